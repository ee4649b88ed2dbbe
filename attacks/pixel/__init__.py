"""Pixel attacks: the noise that the literature compares with. One loop, and four ways to take its step.

An attack changes an image within an L-infinity ball so that an objective falls; what the objective sees,
such as random views, is the caller's. Everything is drawn from a seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ...core.errors import VeilError
from ...core.registry import Registry
from ...core.types import Objective, Stage, Step, Steps

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class Budget:
    """How far pixels may move (`epsilon`, in [0, 1]) and in how many steps; `seed` for what is drawn."""

    epsilon: float
    steps: int
    seed: int = 0


class Attack(Protocol):
    """Finds a change (1, 3, H, W) of an image of this shape within a budget that lowers an objective."""

    def __call__(self, image: Tensor, objective: Objective, budget: Budget) -> Steps[Tensor]: ...


ATTACKS: Registry[Attack] = Registry(
    "pixel attack",
    {
        "identity": "veil.attacks.pixel.identity:attack",
        "random-noise": "veil.attacks.pixel.random_noise:attack",
        "pgd": "veil.attacks.pixel.pgd:attack",
        "mi-fgsm": "veil.attacks.pixel.mi_fgsm:attack",
        "ti-dim": "veil.attacks.pixel.ti_dim:attack",
        "tip-im": "veil.attacks.pixel.tip_im:attack",
    },
)


def descend(
    image: Tensor,
    objective: Objective,
    budget: Budget,
    direction: Callable[[Tensor], Tensor],
    *,
    random_start: float = 0.25,
    penalty: Callable[[Tensor], Tensor] | None = None,
    input_transform: Callable[[Tensor, Generator], Tensor] = lambda image, generator: image,
) -> Steps[Tensor]:
    """Step against a direction of the gradient and stay within the budget; steps are such that twice the
    budget can be walked.

    Args:
        image: (1, 3, H, W) in [0, 1].
        objective: to be lowered.
        direction: of a gradient (1, 3, H, W), the step to take, to be scaled by the step length.
        random_start: the largest value of the noise it starts from, as a share of the budget; there is some,
            since the similarity to oneself is flat at its peak.
        penalty: (1, 3, H, W) -> (B,), what the attack itself adds to the loss.
        input_transform: what the attack itself does to the image before the objective is asked.

    Raises:
        VeilError: no step had a gradient, so that nothing was attacked.
    """
    import torch

    generator = torch.Generator().manual_seed(budget.seed)
    noise = torch.rand(image.shape, generator=generator).to(image) * 2 - 1
    change, length = random_start * budget.epsilon * noise, 2 * budget.epsilon / budget.steps
    attacked = False
    for done in range(1, budget.steps + 1):
        with torch.enable_grad():
            change = change.detach().requires_grad_()
            loss = objective(input_transform((image + change).clamp(0, 1), generator)).sum()
            (gradient,) = torch.autograd.grad(loss, change, allow_unused=True, materialize_grads=True)
            attacked = attacked or bool(gradient.any())
            if penalty is not None:
                gradient = gradient + torch.autograd.grad(penalty(image + change).sum(), change)[0]
        if bool(gradient.any()):
            change = change.detach() - length * direction(gradient)
        change = change.detach().clamp(-budget.epsilon, budget.epsilon)
        change = (image + change).clamp(0, 1) - image
        yield Step(Stage.PROTECTING, done, budget.steps, float(loss.detach()))
    if not attacked:
        raise VeilError("The attack had no gradient: nothing was protected.", "Check the surrogates.")
    return change


def momentum(decay: float = 1.0) -> Callable[[Tensor], Tensor]:
    """Gradients, each by its own mean size, added up with decay (Dong et al., arXiv 1710.06081, eq. 6)."""
    total: list[Tensor] = []

    def add(gradient: Tensor) -> Tensor:
        unit = gradient / gradient.abs().mean().clamp(min=1e-20)
        total[:] = [decay * total[0] + unit if total else unit]
        return total[0]

    return add
