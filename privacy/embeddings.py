"""Learn unconditional embeddings that make denoising come back to the original.

Null-text inversion (Mokady et al., arXiv 2211.09794) without guidance: this is what weakens the purification
in section 3.2 of the paper (arXiv 2503.10350).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.types import Step, Work
from .inversion import move
from .priors import Prior

PATIENCE = 4  # steps that may bring less than 1 %


def learn(
    prior: Prior, trajectory: Sequence[Tensor], timesteps: Sequence[int], steps: int, rate: float
) -> Work[list[Tensor]]:
    """One embedding (B, N, D) for each step down from the deepest level, each starting from the one before.

    Every embedding is optimised so that one denoising step lands on the inversion's trajectory; the next
    step starts from where this one really landed. Stops early where it no longer pays.
    """
    latent, embedding = trajectory[-1], prior.unconditional
    learned: list[Tensor] = []
    down = range(len(timesteps) - 1, 0, -1)
    for index in down:
        start, end, goal = timesteps[index], timesteps[index - 1], trajectory[index - 1]
        if steps:
            embedding = _fit(prior, latent, goal, start, end, embedding, steps, rate)
        learned.append(embedding)
        with torch.no_grad():
            latent = move(prior, latent, prior.noise(latent, start, embedding), start, end)
        yield Step("learning embeddings", len(learned), len(down))
    return learned


def _fit(
    prior: Prior,
    latent: Tensor,
    goal: Tensor,
    start: int,
    end: int,
    embedding: Tensor,
    steps: int,
    rate: float,
) -> Tensor:
    """The best embeddings (B, N, D) seen in `steps` steps of AdamW, for each latent its own."""
    guess = embedding.expand(len(latent), -1, -1).clone().requires_grad_()
    optimizer = torch.optim.AdamW([guess], rate)
    best, lowest = guess.detach().clone(), torch.full((len(latent),), torch.inf).to(latent)
    stale = 0
    for _ in range(steps + 1):
        with torch.enable_grad():
            landed = move(prior, latent, prior.noise(latent, start, guess), start, end)
            loss = (landed - goal).square().mean((1, 2, 3))
        better = loss.detach() < lowest
        stale = 0 if bool((loss.detach() < 0.99 * lowest).any()) else stale + 1
        best[better], lowest[better] = guess.detach()[better], loss.detach()[better]
        if stale == PATIENCE:
            break
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
    return best
