"""Optimise the adversarial latent: section 3.3 of the paper (arXiv 2503.10350)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.types import Objective, Pixels, Step, Work
from .limits import change_energy, chroma_energy
from .paste import feather
from .priors import Prior
from .settings import Settings
from .structure import denoise_with_maps, distance


@dataclass(frozen=True)
class Start:
    """Where the optimisation starts: a latent (1, C, h, w) at the deepest of `timesteps`, the embeddings that
    lead it back, what it then decodes to (1, 3, S, S), and the attention maps on that way."""

    latent: Tensor
    timesteps: Sequence[int]
    embeddings: Sequence[Tensor]
    reconstruction: Tensor
    maps: Sequence[Tensor]


@torch.no_grad()
def start(prior: Prior, latent: Tensor, timesteps: Sequence[int], embeddings: Sequence[Tensor]) -> Start:
    """Walk the unchanged latent back once: what it gives never changes again."""
    clean, maps = denoise_with_maps(prior, latent, timesteps, embeddings)
    return Start(latent, timesteps, embeddings, prior.decode(clean), maps)


class Optimisation:
    """The adversarial latent on its way down the objective, by Adam.

    `compose` puts a change of the crop (1, 3, S, S) into the image that the objective sees. The change is
    counted from `origin`: the reconstruction, so that the autoencoder's own loss never shows, or the crop
    itself for the paper's plain output.
    """

    def __init__(
        self,
        prior: Prior,
        start: Start,
        settings: Settings,
        compose: Callable[[Tensor], Tensor],
        objective: Objective,
        origin: Tensor,
    ) -> None:
        self.prior, self.start, self.settings = prior, start, settings
        self.compose, self.objective, self.origin = compose, objective, origin
        self.mask = feather(prior.size).to(origin)
        self.latent = start.latent.clone().requires_grad_()
        self.optimizer = torch.optim.Adam([self.latent], settings.rate)

    def change(self) -> tuple[Tensor, list[Tensor]]:
        """The change of the crop (1, 3, S, S) that the latent now gives, and its attention maps."""
        clean, maps = denoise_with_maps(self.prior, self.latent, self.start.timesteps, self.start.embeddings)
        return self.prior.decode(clean) - self.origin, maps

    def advance(self) -> tuple[float, Tensor]:
        """One step; returns the loss and the change before it."""
        settings = self.settings
        with torch.enable_grad():
            change, maps = self.change()
            seen = self.mask * change
            loss = self.objective(self.compose(change)).sum()
            loss = loss + settings.structure * distance(maps, self.start.maps)
            loss = (
                loss + (settings.change * change_energy(seen) + settings.chroma * chroma_energy(seen)).sum()
            )
            self.optimizer.zero_grad()
            loss.backward()
        self.optimizer.step()
        return loss.item(), change.detach()

    @torch.no_grad()
    def result(self) -> Tensor:
        """The change of the crop (1, 3, S, S) that the latent gives in the end."""
        return self.change()[0]


def optimise(optimisation: Optimisation, preview: Callable[[Tensor], Pixels]) -> Work[Tensor]:
    """Drive an optimisation to its end; returns the change of the crop (1, 3, S, S)."""
    total = optimisation.settings.steps
    for done in range(1, total + 1):
        loss, change = optimisation.advance()
        yield Step("protecting", done, total, loss, preview(change))
    return optimisation.result()
