"""The plain tracker, with which others are compared: the mean of a person's known photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ...core.types import Array, Sighting
from . import Album, Outcome, Shot, Task, tracker


@tracker(
    "none",
    albums=(*(Album(2, cloaked) for cloaked in range(3)), *(Album(n, n) for n in (1, 3))),
)
def track(task: Task) -> Outcome:
    """Compare queries with templates."""
    return scored(albums(task.gallery), task.queries)


def albums(gallery: Sequence[Shot]) -> dict[str, Array]:
    """The vectors (N, D) of each person."""
    people = dict.fromkeys(shot.person for shot in gallery)
    return {one: np.stack([shot.vector for shot in gallery if shot.person == one]) for one in people}


def templates(known: Mapping[str, Array]) -> Array:
    """The unit vectors (P, D) that stand for people, each of vectors (N, D)."""
    means = np.stack([vectors.mean(0) for vectors in known.values()])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def scored(known: Mapping[str, Array], queries: Sequence[Shot]) -> Outcome:
    """The cosines of queries and the templates of people."""
    vectors = np.stack([shot.vector for shot in queries])
    return Outcome(tuple(known), vectors @ templates(known).T, max(map(len, known.values())))


def seen_afresh(task: Task, pictures: Sequence[Sighting]) -> Outcome:
    """As `track`, with another picture in place of each query's."""
    assert task.see, "a tracker that changes pictures needs a recogniser"
    pairs = zip(task.queries, pictures, strict=True)
    return track(replace(task, queries=[replace(shot, vector=task.see(new)) for shot, new in pairs]))
