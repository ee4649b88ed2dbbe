"""Optimise the adversarial latent: section 3.3 of the paper (arXiv 2503.10350)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..attacks.ensemble import losses_together
from ..core.images import onto, to_pixels
from ..core.types import Stage, Step, Steps
from .appearance import AppearancePenalty, penalties_together
from .face_context import side_by_side
from .paste import greyed
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
from .structure import attention_distance, denoise_with_maps
from .subject import Subject


@dataclass(frozen=True, eq=False)
class InvertedFaces:
    """Where the optimisation starts.

    latent: (B, C, h, w) at the deepest of `timesteps`.
    embeddings: (B, N, D) for each denoising step, the deepest first.
    clean: (B, C, h, w), what denoising makes of the latents.
    reconstruction: (B, 3, S, S), what the prior decodes from these; not clamped.
    maps: self-attention maps of all layers and steps on the way.
    """

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
    """Denoise unchanged latents (B, C, h, w) once: what they give never changes again."""
    clean, maps = denoise_with_maps(prior, latent, timesteps, embeddings)
    return InvertedFaces(latent, timesteps, embeddings, clean, prior.decode(clean), maps)


@torch.no_grad()
def channel_scale(prior: Prior, inverted: InvertedFaces) -> Tensor:
    """The factors (B, C, 1, 1), of geometric mean 1, by which equal steps of the latents' channels become
    equally visible.

    Without them an optimiser spends most of the visible change on the few channels that hold light and shade,
    whatever they do for protection.
    """
    nudge = 0.1 * torch.randn(inverted.clean.shape[-2:], generator=torch.Generator().manual_seed(0))
    nudge = onto(nudge, inverted.clean)
    gains: list[Tensor] = []
    for channel in range(inverted.clean.shape[1]):
        nudged = inverted.clean.clone()
        nudged[:, channel] += nudge
        gains.append((prior.decode(nudged) - inverted.reconstruction).square().mean((1, 2, 3)).log() / 2)
    logs = torch.stack(gains, 1)
    return (logs.mean(1, keepdim=True) - logs).exp()[..., None, None]


class Optimisation:
    """The adversarial latents of subjects on their way down their objectives, by Adam.

    Each step sees another view, so the latents never rest; the mean of the last of them does (Polyak and
    Juditsky 1992, doi:10.1137/0330046).

    Args:
        inverted: the subjects' crops, in their order.
        subjects: B people of one photo or video.
        origin: (B, 3, S, S), from which changes are counted: the reconstruction, so that the autoencoder's
            own error never shows, or the crops themselves for the paper's plain output.
    """

    def __init__(
        self,
        prior: Prior,
        inverted: InvertedFaces,
        settings: Settings,
        subjects: Sequence[Subject],
        origin: Tensor,
    ) -> None:
        self.prior, self.inverted, self.settings = prior, inverted, settings
        self.subjects, self.origin = subjects, origin
        self.appearance = {
            context: AppearancePenalty(
                context.image, context.face, settings.perceptual, settings.landmarks, settings.expression
            )
            for subject in subjects
            for context in subject.contexts
        }
        self.mask = torch.cat([subject.crop.mask for subject in subjects])
        self.before = origin.clamp(0, 1)
        self.colours, self.smooth = colours(self.before), smooth(self.before)
        self.channel_scale = (
            channel_scale(prior, inverted) if settings.equalise_channels else torch.ones(()).to(origin)
        )
        self.delta = torch.zeros_like(inverted.latent).requires_grad_()
        self.optimizer = torch.optim.Adam([self.delta], settings.learning_rate, settings.betas)
        self.last = deque(
            [torch.zeros_like(inverted.latent)], max(1, round(settings.tail_average * settings.steps))
        )
        self.schedules = [
            PenaltySchedule(
                settings.penalty_scale, settings.target_margin, settings.ceiling / 255, settings.steps
            )
            for _ in subjects
        ]

    def go_on_from(self, other: Optimisation) -> None:
        """Begin where another optimisation of the same crops has ended."""
        with torch.no_grad():
            self.delta.copy_(torch.stack(tuple(other.last)).mean(0))
        self.schedules = other.schedules

    def change(self, delta: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The change of the crops (B, 3, S, S) when `delta` (B, C, h, w), scaled by channel, is added to the
        latents, and their attention maps."""
        latent = self.inverted.latent + self.channel_scale * delta
        clean, maps = denoise_with_maps(self.prior, latent, self.inverted.timesteps, self.inverted.embeddings)
        change = self.prior.decode(clean) - self.origin
        return greyed(change) if self.subjects[0].context.grey else change, maps

    def advance(self) -> tuple[float, list[Tensor]]:
        """One step; returns the loss and the images of the subjects' contexts before it."""
        contexts = [subject.context for subject in self.subjects]
        with torch.enable_grad():
            change, maps = self.change(self.delta)
            images = [context.with_change(own[None]) for context, own in zip(contexts, change, strict=True)]
            faces = [(image, context.face) for image, context in zip(images, contexts, strict=True)]
            loss = losses_together([subject.objective for subject in self.subjects], faces)
            visible = (self.before + self.mask * change).clamp(0, 1) - self.before
            appearance = penalties_together([self.appearance[context] for context in contexts], images)
            penalty = self.penalty(visible, maps) + appearance
            scales = onto(torch.tensor([schedule.value for schedule in self.schedules]), loss)
            total = (loss + scales * penalty).sum()
            self.optimizer.zero_grad()
            total.backward()
        sizes = change_energy(visible.detach()).sqrt()
        margins = torch.stack([subject.objective.worst_margin for subject in self.subjects])
        # read at once: a GPU is waited for a single time
        (value, *_), margins, sizes = torch.stack(
            [total.detach().expand(len(sizes)), margins, sizes]
        ).tolist()
        for schedule, margin, size in zip(self.schedules, margins, sizes, strict=True):
            schedule.update(margin, size)
        self.optimizer.step()
        self.last.append(self.delta.detach().clone())
        return value, [image.detach() for image in images]

    def penalty(self, change: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """What visible changes of the crops (B, 3, S, S) cost, without what the face looks like: (B,)."""
        settings = self.settings
        penalty = settings.energy_weight * change_energy(change)
        penalty = penalty + settings.chroma * chroma_energy(change, self.colours)
        penalty = penalty + settings.smoothness * roughness(change, self.smooth)
        return penalty + settings.structure * attention_distance(maps, self.inverted.maps, len(change))

    @torch.no_grad()
    def result(self) -> Tensor:
        """The change of the crops (B, 3, S, S) by the mean of the last latents, scaled below the ceiling."""
        change = self.change(torch.stack(tuple(self.last)).mean(0))[0]
        return change * ceiling_scale(self.settings.ceiling / 255, self.mask * change)


def optimise(optimisation: Optimisation) -> Steps[Tensor]:
    """Drive an optimisation to its end; returns the change of the crops (B, 3, S, S)."""
    total = optimisation.settings.steps
    for done in range(1, total + 1):
        loss, images = optimisation.advance()
        yield Step(Stage.PROTECTING, done, total, loss, to_pixels(side_by_side(images)))
    return optimisation.result()
