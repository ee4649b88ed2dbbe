"""Learn unconditional embeddings that make denoising come back to the original.

Null-text inversion (Mokady et al., arXiv 2211.09794) without guidance: this is what weakens the purification
in section 3.2 of the paper (arXiv 2503.10350).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.types import Step, Steps
from .inversion import ddim_step
from .priors import Prior

PATIENCE = 4


def learn(
    prior: Prior,
    trajectory: Sequence[Tensor],
    timesteps: Sequence[int],
    steps: int,
    rate: float,
    patience: int = PATIENCE,
) -> Steps[list[Tensor]]:
    """One embedding (B, N, D) for each step down from the deepest level, each starting from the one before.

    Every embedding is optimised so that one denoising step lands on the inversion's trajectory; the next
    step starts from where this one really landed. Stops early where it no longer pays: after `patience` steps
    that bring less than 1 %.
    """
    latent, embedding = trajectory[-1], prior.unconditional
    learned: list[Tensor] = []
    total = steps * (len(timesteps) - 1)
    for index in range(len(timesteps) - 1, 0, -1):
        start, end, goal = timesteps[index], timesteps[index - 1], trajectory[index - 1]
        fit = Fit(prior, latent, goal, start, end, embedding, rate)
        for _ in range(steps):
            fit.advance()
            yield Step(
                "learning embeddings", len(learned) * steps + fit.step, total, float(fit.lowest.mean())
            )
            if fit.stale == patience:
                break
        embedding = fit.best
        learned.append(embedding)
        if end != timesteps[0]:
            with torch.no_grad():
                latent = ddim_step(prior, latent, prior.noise(latent, start, embedding), start, end)
    return learned


class Fit:
    """AdamW on the embeddings (B, N, D) of one denoising step; keeps the best seen for each latent."""

    def __init__(
        self, prior: Prior, latent: Tensor, goal: Tensor, start: int, end: int, embedding: Tensor, rate: float
    ) -> None:
        self.prior, self.latent, self.goal, self.start, self.end = prior, latent, goal, start, end
        self.guess = embedding.expand(len(latent), -1, -1).clone().requires_grad_()
        self.optimizer = torch.optim.AdamW([self.guess], rate)
        self.best = self.guess.detach().clone()
        self.lowest = torch.full((len(latent),), torch.inf).to(latent)
        self.loss: Tensor | None = None
        self.step, self.stale = 0, 0

    def advance(self) -> None:
        """One step down from where it stands, and a look at where that led; the first only looks.

        Counts how many in a row have brought less than 1 %.
        """
        if self.loss is not None:
            self.optimizer.zero_grad()
            self.loss.sum().backward()
            self.optimizer.step()
        with torch.enable_grad():
            noise = self.prior.noise(self.latent, self.start, self.guess)
            landed = ddim_step(self.prior, self.latent, noise, self.start, self.end)
            self.loss = (landed - self.goal).square().mean((1, 2, 3))
        reached = self.loss.detach()
        self.stale = 0 if bool((reached < 0.99 * self.lowest).any()) else self.stale + 1
        better = reached < self.lowest
        self.best[better], self.lowest[better] = self.guess.detach()[better], reached[better]
        self.step += 1
