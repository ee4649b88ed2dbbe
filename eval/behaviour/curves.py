"""Curves over frames, (N,) or (N, C): how alike two of them are. Not a number where nothing was read."""

from __future__ import annotations

import numpy as np

from ...core.types import Array

FEWEST = 5  # frames, below which nothing is said of a correlation


def correlation(before: Array, after: Array, still: float) -> float:
    """Pearson's correlation of two curves (N,); not a number where the one before is `still` or shorter.

    Args:
        still: the standard deviation below which a curve says nothing, in its unit.
    """
    both = ~(np.isnan(before) | np.isnan(after))
    one, other = before[both], after[both]
    if len(one) < FEWEST or one.std() < still:
        return float("nan")
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other / max(np.linalg.norm(one) * np.linalg.norm(other), 1e-12))


def error(before: Array, after: Array) -> float:
    """The mean absolute difference of two curves; not a number where they share no frame."""
    gaps = np.abs(after - before)
    return float(np.nanmean(gaps)) if not np.isnan(gaps).all() else float("nan")


def median(values: list[float]) -> float:
    """The median of those that are numbers; not a number where none is."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.median(known)) if known else float("nan")
