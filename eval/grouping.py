"""Which of several photos hang together: cosines of every two, and groups by links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Groups: TypeAlias = tuple[tuple[int, ...], ...]  # of photos, by number from 1, the largest group first


def groups(links: NDArray[np.bool_]) -> Groups:
    """The photos that hang together by links (N, N): connected components of two or more."""
    near = links | np.eye(len(links), dtype=bool)
    while ((further := near.astype(float) @ near > 0) != near).any():
        near = further
    together = {tuple(1 + np.flatnonzero(row)) for row in near}
    return tuple(
        tuple(map(int, group))
        for group in sorted(together, key=lambda one: (-len(one), one))
        if len(group) > 1
    )


def cosines_of(vectors: Sequence[Tensor]) -> NDArray[np.float64]:
    """The cosines (N, N) of unit vectors (D,)."""
    stacked = torch.stack(list(vectors)).double()
    return (stacked @ stacked.T).numpy().round(4)


def above(cosines: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Which two photos have a cosine above a threshold (N, N); no photo is linked to itself."""
    return (cosines > threshold) & ~np.eye(len(cosines), dtype=bool)


def pairs_of(count: int) -> int:
    """How many pairs there are of so many photos."""
    return count * (count - 1) // 2


def in_words(links: int, pairs: int, together: Groups) -> str:
    """How many of the pairs are linked, and how many photos hang together by that, in words."""
    if pairs == 1:
        return "the two" if links else "no pair"
    if not links:
        return f"none of the {pairs} pairs"
    sizes = " and ".join(str(len(group)) for group in together)
    return f"{links} of the {pairs} pairs, by which {sizes} hang together"
