"""Learn unconditional embeddings that make denoising come back to the original.

Null-text inversion (Mokady et al., arXiv 2211.09794) without guidance: this is what weakens the purification
in section 3.2 of the paper (arXiv 2503.10350).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.types import Stage, Step, Steps
from .inversion import ddim_step
from .priors import Prior

PATIENCE = 4  # steps


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
    step starts from where this one really landed.

    Args:
        trajectory: latents (B, C, h, w) at each of `timesteps`, the clean ones first, as `invert` has them.
        steps: of AdamW for each embedding, at most.
        rate: AdamW's.
        patience: after how many steps in a row that bring less than 1 % it stops early.
    """
    latent, embedding = trajectory[-1], prior.unconditional
    learned: list[Tensor] = []
    total = steps * (len(timesteps) - 1)
    for index in range(len(timesteps) - 1, 0, -1):
        start, end, goal = timesteps[index], timesteps[index - 1], trajectory[index - 1]
        search = EmbeddingOptimisation(prior, latent, goal, start, end, embedding, rate)
        for _ in range(steps):
            search.advance()
            done, loss = len(learned) * steps + search.step, float(search.lowest.mean())
            yield Step(Stage.LEARNING_EMBEDDINGS, done, total, loss)
            if search.stale == patience:
                break
        embedding = search.best
        learned.append(embedding)
        if end != timesteps[0]:
            with torch.no_grad():
                latent = ddim_step(prior, latent, prior.noise(latent, start, embedding), start, end)
    return learned


class EmbeddingOptimisation:
    """AdamW on the embeddings (B, N, D) of one denoising step; keeps the best found for each latent.

    Args:
        latent: (B, C, h, w) at timestep `start`.
        goal: (B, C, h, w), where the step to timestep `end` is to land.
        embedding: (1 or B, N, D) to begin with.
    """

    def __init__(
        self, prior: Prior, latent: Tensor, goal: Tensor, start: int, end: int, embedding: Tensor, rate: float
    ) -> None:
        self.prior, self.latent, self.goal, self.start, self.end = prior, latent, goal, start, end
        self.embedding = embedding.expand(len(latent), -1, -1).clone().requires_grad_()
        self.optimizer = torch.optim.AdamW([self.embedding], rate)
        self.best = self.embedding.detach().clone()
        self.lowest = latent.new_full((len(latent),), torch.inf)
        self.loss: Tensor | None = None
        self.step, self.stale = 0, 0

    def advance(self) -> None:
        """One step of AdamW, and the loss where it led; the first call only takes the loss.

        Counts how many steps in a row have brought less than 1 % (`stale`).
        """
        if self.loss is not None:
            self.optimizer.zero_grad()
            self.loss.sum().backward()
            self.optimizer.step()
        with torch.enable_grad():
            noise = self.prior.noise(self.latent, self.start, self.embedding)
            reached = ddim_step(self.prior, self.latent, noise, self.start, self.end)
            self.loss = (reached - self.goal).square().mean((1, 2, 3))
        losses = self.loss.detach()
        self.stale = 0 if bool((losses < 0.99 * self.lowest).any()) else self.stale + 1
        better = losses < self.lowest
        self.best = torch.where(better[:, None, None], self.embedding.detach(), self.best)
        self.lowest = torch.where(better, losses, self.lowest)
        self.step += 1
