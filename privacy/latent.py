"""Optimise the adversarial latent: section 3.3 of the paper (arXiv 2503.10350)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..attacks.ensemble import Ensemble
from ..core.images import to_pixels
from ..core.types import Step, Work
from .canvas import Canvas, side_by_side
from .limits import Price, change_energy, chroma_energy, colours, roughness, smooth, within
from .looks import Looks
from .paste import feather, greyed
from .priors import Prior
from .settings import Settings
from .structure import denoise_with_maps, distance


@dataclass(frozen=True)
class Start:
    """Where the optimisation starts: latents (B, C, h, w) at the deepest of `timesteps`, the embeddings that
    lead them back, the clean latents, what these decode to (B, 3, S, S), and the attention maps on it."""

    latent: Tensor
    timesteps: Sequence[int]
    embeddings: Sequence[Tensor]
    clean: Tensor
    reconstruction: Tensor
    maps: Sequence[Tensor]


@torch.no_grad()
def start(prior: Prior, latent: Tensor, timesteps: Sequence[int], embeddings: Sequence[Tensor]) -> Start:
    """Walk the unchanged latents back once: what they give never changes again."""
    clean, maps = denoise_with_maps(prior, latent, timesteps, embeddings)
    return Start(latent, timesteps, embeddings, clean, prior.decode(clean), maps)


@torch.no_grad()
def evened(prior: Prior, start: Start) -> Tensor:
    """How far each channel of the latents has to move, (B, C, 1, 1), for all to be seen alike: 1 on average.

    An optimiser that moves all channels alike spends most of what may be seen on the few that hold light and
    shade, whatever they do for protection.
    """
    nudge = 0.1 * torch.randn(start.clean.shape[-2:], generator=torch.Generator().manual_seed(0))
    gains: list[Tensor] = []
    for channel in range(start.clean.shape[1]):
        nudged = start.clean.clone()
        nudged[:, channel] += nudge.to(nudged)
        gains.append((prior.decode(nudged) - start.reconstruction).square().mean((1, 2, 3)).log() / 2)
    logs = torch.stack(gains, 1)
    return (logs.mean(1, keepdim=True) - logs).exp()[..., None, None]


class Optimisation:
    """The adversarial latents of faces on their way down their objectives, by Adam.

    Each step sees another view, so the latents never rest; the mean of the last of them does (Polyak and
    Juditsky 1992, doi:10.1137/0330046).

    Each objective sees the change of its crop (1, 3, S, S) on its canvas. The change is counted from `origin`
    (B, 3, S, S): the reconstruction, so that the autoencoder's own loss never shows, or the crop itself for
    the paper's plain output.
    """

    def __init__(
        self,
        prior: Prior,
        start: Start,
        settings: Settings,
        canvases: Sequence[Canvas],
        objectives: Sequence[Ensemble],
        origin: Tensor,
    ) -> None:
        self.prior, self.start, self.settings = prior, start, settings
        self.canvases, self.objectives, self.origin = canvases, objectives, origin
        self.looks = [
            Looks(canvas.image, canvas.face, settings.perceptual, settings.landmarks, settings.expression)
            for canvas in canvases
        ]
        self.mask, self.before = feather(prior.size).to(origin), origin.clamp(0, 1)
        self.colours, self.smooth = colours(self.before), smooth(self.before)
        self.pace = evened(prior, start) if settings.even else torch.ones(()).to(origin)
        self.moved = torch.zeros_like(start.latent).requires_grad_()
        self.optimizer = torch.optim.Adam([self.moved], settings.rate, settings.memory)
        self.last = deque([torch.zeros_like(start.latent)], max(1, round(settings.average * settings.steps)))
        self.prices = [
            Price(settings.price, settings.margin, settings.ceiling / 255, settings.steps) for _ in canvases
        ]

    def change(self, moved: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The change of the crops (B, 3, S, S) by so far moved latents, and their attention maps."""
        latent = self.start.latent + self.pace * moved
        clean, maps = denoise_with_maps(self.prior, latent, self.start.timesteps, self.start.embeddings)
        change = self.prior.decode(clean) - self.origin
        return greyed(change) if self.canvases[0].grey else change, maps

    def advance(self) -> tuple[float, list[Tensor]]:
        """One step; returns the loss and the canvases before it."""
        settings = self.settings
        with torch.enable_grad():
            change, maps = self.change(self.moved)
            seen = (self.before + self.mask * change).clamp(0, 1) - self.before
            energy = change_energy(seen)
            pairs = zip(self.canvases, change, strict=True)
            images = [canvas.with_change(own[None]) for canvas, own in pairs]
            loss = torch.cat([see(image) for see, image in zip(self.objectives, images, strict=True)])
            visible = settings.change * energy + settings.chroma * chroma_energy(seen, self.colours)
            visible = visible + settings.smoothness * roughness(seen, self.smooth)
            visible = visible + settings.structure * distance(maps, self.start.maps, len(images))
            visible = visible + torch.cat([see(image) for see, image in zip(self.looks, images, strict=True)])
            loss = (loss + loss.new_tensor([price.value for price in self.prices]) * visible).sum()
            self.optimizer.zero_grad()
            loss.backward()
        for price, objective, size in zip(self.prices, self.objectives, energy.sqrt().tolist(), strict=True):
            price.update(objective.lead, size)
        self.optimizer.step()
        self.last.append(self.moved.detach().clone())
        return loss.item(), [image.detach() for image in images]

    @torch.no_grad()
    def result(self) -> Tensor:
        """The change of the crops (B, 3, S, S) that the last latents give on average, below the ceiling."""
        change = self.change(torch.stack(tuple(self.last)).mean(0))[0]
        return change * within(self.settings.ceiling / 255, self.mask * change)


def optimise(optimisation: Optimisation) -> Work[Tensor]:
    """Drive an optimisation to its end; returns the change of the crops (B, 3, S, S)."""
    total = optimisation.settings.steps
    for done in range(1, total + 1):
        loss, images = optimisation.advance()
        yield Step("protecting", done, total, loss, to_pixels(side_by_side(images)))
    return optimisation.result()
