"""A linear classifier of embeddings: a person's known photos, cloaked or not, against others'.

Radiya-Dixit and Tramer (arXiv 2106.14851): who has cloaked photos with a name on them learns what stays the
same in all of them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from . import Album, Outcome, Task, tracker

WEIGHT_DECAY = 1e-3
SCALE = 10.0  # of embeddings: unit vectors alone would ask for large weights
STEPS = 200


@tracker("a linear classifier", pairs="none", albums=tuple(Album(n, n) for n in (1, 2, 3)))
def track(task: Task) -> Outcome:
    """Logits of queries for each person, one against the rest, a person's few photos counting as much."""
    people = tuple(dict.fromkeys(shot.person for shot in task.gallery))
    vectors, queries = (
        SCALE * torch.from_numpy(np.stack([shot.vector for shot in shots])).double()
        for shots in (task.gallery, task.queries)
    )
    own = torch.tensor([[shot.person == one for one in people] for shot in task.gallery]).double()
    counts = own.sum(0)
    weights = torch.where(own > 0, 0.5 / counts, 0.5 / (len(own) - counts).clamp(min=1))
    slopes = torch.zeros(vectors.shape[1], len(people), dtype=torch.double, requires_grad=True)
    offsets = torch.zeros(len(people), dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([slopes, offsets], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        wrong = functional.binary_cross_entropy_with_logits(
            vectors @ slopes + offsets, own, weights, reduction="sum"
        )
        total = wrong + WEIGHT_DECAY * slopes.square().sum()
        total.backward()
        return total

    optimizer.step(loss)  # pyright: ignore[reportArgumentType]
    return Outcome(people, (queries @ slopes + offsets).detach().numpy(), int(counts.max()))
