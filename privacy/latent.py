"""Optimise the adversarial latent: section 3.3 of the paper (arXiv 2503.10350)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..attacks.ensemble import Ensemble
from ..core.images import to_pixels
from ..core.types import Step, Steps
from .appearance import AppearancePenalty
from .face_context import FaceContext, side_by_side
from .paste import feather, greyed
from .penalties import (
    PenaltySchedule,
    ceiling_scale,
    change_energy,
    chroma_energy,
    colours,
    roughness,
    smooth,
)
from .priors import Prior
from .settings import Settings
from .structure import denoise_with_maps, distance


@dataclass(frozen=True)
class InvertedFaces:
    """Where the optimisation starts: latents (B, C, h, w) at the deepest of `timesteps`, the embeddings that
    lead them back, the clean latents, what these decode to (B, 3, S, S), and the attention maps on it."""

    latent: Tensor
    timesteps: Sequence[int]
    embeddings: Sequence[Tensor]
    clean: Tensor
    reconstruction: Tensor
    maps: Sequence[Tensor]


@torch.no_grad()
def reconstruct(
    prior: Prior, latent: Tensor, timesteps: Sequence[int], embeddings: Sequence[Tensor]
) -> InvertedFaces:
    """Walk the unchanged latents back once: what they give never changes again."""
    clean, maps = denoise_with_maps(prior, latent, timesteps, embeddings)
    return InvertedFaces(latent, timesteps, embeddings, clean, prior.decode(clean), maps)


@torch.no_grad()
def channel_scale(prior: Prior, inverted: InvertedFaces) -> Tensor:
    """How far each channel of the latents has to move, (B, C, 1, 1), for all to be seen alike: 1 on average.

    An optimiser that moves all channels alike spends most of what may be seen on the few that hold light and
    shade, whatever they do for protection.
    """
    nudge = 0.1 * torch.randn(inverted.clean.shape[-2:], generator=torch.Generator().manual_seed(0))
    gains: list[Tensor] = []
    for channel in range(inverted.clean.shape[1]):
        nudged = inverted.clean.clone()
        nudged[:, channel] += nudge.to(nudged)
        gains.append((prior.decode(nudged) - inverted.reconstruction).square().mean((1, 2, 3)).log() / 2)
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
        inverted: InvertedFaces,
        settings: Settings,
        canvases: Sequence[FaceContext],
        objectives: Sequence[Ensemble],
        origin: Tensor,
    ) -> None:
        self.prior, self.inverted, self.settings = prior, inverted, settings
        self.canvases, self.objectives, self.origin = canvases, objectives, origin
        self.appearance = [
            AppearancePenalty(
                canvas.image, canvas.face, settings.perceptual, settings.landmarks, settings.expression
            )
            for canvas in canvases
        ]
        self.mask, self.before = feather(prior.size).to(origin), origin.clamp(0, 1)
        self.colours, self.smooth = colours(self.before), smooth(self.before)
        self.channel_scale = (
            channel_scale(prior, inverted) if settings.equalise_channels else torch.ones(()).to(origin)
        )
        self.delta = torch.zeros_like(inverted.latent).requires_grad_()
        self.optimizer = torch.optim.Adam([self.delta], settings.learning_rate, settings.betas)
        self.last = deque(
            [torch.zeros_like(inverted.latent)], max(1, round(settings.tail_average * settings.steps))
        )
        self.penalties = [
            PenaltySchedule(
                settings.penalty_scale, settings.target_margin, settings.ceiling / 255, settings.steps
            )
            for _ in canvases
        ]

    def change(self, delta: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The change of the crops (B, 3, S, S) by so far moved latents, and their attention maps."""
        latent = self.inverted.latent + self.channel_scale * delta
        clean, maps = denoise_with_maps(self.prior, latent, self.inverted.timesteps, self.inverted.embeddings)
        change = self.prior.decode(clean) - self.origin
        return greyed(change) if self.canvases[0].grey else change, maps

    def advance(self) -> tuple[float, list[Tensor]]:
        """One step; returns the loss and the canvases before it."""
        settings = self.settings
        with torch.enable_grad():
            change, maps = self.change(self.delta)
            seen = (self.before + self.mask * change).clamp(0, 1) - self.before
            energy = change_energy(seen)
            pairs = zip(self.canvases, change, strict=True)
            images = [canvas.with_change(own[None]) for canvas, own in pairs]
            loss = torch.cat([see(image) for see, image in zip(self.objectives, images, strict=True)])
            visible = settings.energy_weight * energy + settings.chroma * chroma_energy(seen, self.colours)
            visible = visible + settings.smoothness * roughness(seen, self.smooth)
            visible = visible + settings.structure * distance(maps, self.inverted.maps, len(images))
            visible = visible + torch.cat(
                [see(image) for see, image in zip(self.appearance, images, strict=True)]
            )
            loss = (loss + loss.new_tensor([price.value for price in self.penalties]) * visible).sum()
            self.optimizer.zero_grad()
            loss.backward()
        for price, objective, size in zip(
            self.penalties, self.objectives, energy.sqrt().tolist(), strict=True
        ):
            price.update(objective.worst_margin, size)
        self.optimizer.step()
        self.last.append(self.delta.detach().clone())
        return loss.item(), [image.detach() for image in images]

    @torch.no_grad()
    def result(self) -> Tensor:
        """The change of the crops (B, 3, S, S) that the last latents give on average, below the ceiling."""
        change = self.change(torch.stack(tuple(self.last)).mean(0))[0]
        return change * ceiling_scale(self.settings.ceiling / 255, self.mask * change)


def optimise(optimisation: Optimisation) -> Steps[Tensor]:
    """Drive an optimisation to its end; returns the change of the crops (B, 3, S, S)."""
    total = optimisation.settings.steps
    for done in range(1, total + 1):
        loss, images = optimisation.advance()
        yield Step("protecting", done, total, loss, to_pixels(side_by_side(images)))
    return optimisation.result()
