"""TIP-IM: targeted identity protection by iteration (Yang et al., arXiv 2003.06814).

What carries over to one photo and one goal: momentum, steps of one length (not signs), and the penalty that
keeps the photo natural. Its greedy choice among many targets has nothing to choose from here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...core.types import Objective, Steps
from . import Budget, descend, momentum

NATURAL = 0.1  # weight of the penalty
WIDTHS = (1.0, 2.0, 4.0)  # of the kernels, in units of the budget


def attack(image: Tensor, objective: Objective, budget: Budget) -> Steps[Tensor]:
    """Momentum steps of constant length, with a penalty on what looks unnatural."""
    collected = momentum()

    def natural(changed: Tensor) -> Tensor:
        return NATURAL * discrepancy(changed, image, budget.epsilon)

    def direction(gradient: Tensor) -> Tensor:
        total = collected(gradient)
        return total / total.square().mean().sqrt().clamp(min=1e-20)

    return (yield from descend(image, objective, budget, direction, penalty=natural))


def discrepancy(changed: Tensor, image: Tensor, scale: float) -> Tensor:
    """The maximum mean discrepancy (B,) of single images under Gaussian kernels: 2 - 2 k(changed, image)."""
    distance = (changed - image).square().mean((1, 2, 3)) / scale**2
    return 2 - 2 * torch.stack([torch.exp(-distance / (2 * width**2)) for width in WIDTHS]).mean(0)
