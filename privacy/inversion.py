"""Deterministic diffusion (DDIM, Song et al., arXiv 2010.02502): one step serves both directions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .priors import Prior


def levels(prior: Prior, schedule: int, depth: int) -> tuple[int, ...]:
    """The timesteps 0, 51, 101, ... at which latents lie, from clean down to `depth` steps of the schedule.

    A schedule of 20 steps has its levels 50 timesteps apart, as the paper's.
    """
    total = len(prior.scheduler.alphas_cumprod)
    return (0, *(total // schedule * step + 1 for step in range(1, depth + 1)))


def ddim_step(prior: Prior, latent: Tensor, noise: Tensor, start: int, end: int) -> Tensor:
    """Take latents (B, C, h, w) from timestep `start` to `end`, up or down: equation 12 with sigma 0.

    Args:
        noise: what the prior predicts in the latents at `start`, of their shape.
    """
    alpha_bar_start, alpha_bar_end = prior.alpha_bar(start), prior.alpha_bar(end)
    denoised = (latent - (1 - alpha_bar_start) ** 0.5 * noise) / alpha_bar_start**0.5
    return alpha_bar_end**0.5 * denoised + (1 - alpha_bar_end) ** 0.5 * noise


@torch.no_grad()
def invert(prior: Prior, latent: Tensor, timesteps: Sequence[int]) -> list[Tensor]:
    """The trajectory of clean latents (B, C, h, w): those at each of `timesteps`, the clean ones first."""
    trajectory = [latent]
    for start, end in zip(timesteps, timesteps[1:], strict=False):
        noise = prior.noise(trajectory[-1], start, prior.unconditional)
        trajectory.append(ddim_step(prior, trajectory[-1], noise, start, end))
    return trajectory


def denoise(prior: Prior, latent: Tensor, timesteps: Sequence[int], embeddings: Sequence[Tensor]) -> Tensor:
    """Walk latents (B, C, h, w) from the deepest of `timesteps` to the clean one, differentiably.

    `embeddings` holds one embedding (1 or B, N, D) for each step, the deepest first.
    """
    down = list(reversed(timesteps))
    for start, end, embedding in zip(down, down[1:], embeddings, strict=False):
        latent = ddim_step(prior, latent, prior.noise(latent, start, embedding), start, end)
    return latent
