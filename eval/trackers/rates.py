"""What scores come to: how often a person is not recognised, and how well two kinds are told apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...core.types import Array
from ..bootstrap import Interval, draws_of, grouped, percentiles
from . import Outcome, Shot

Mask = NDArray[np.bool_]


def owned(outcome: Outcome, queries: Sequence[Shot]) -> Mask:
    """Which scores (Q, P) are of the person whom the query shows."""
    return np.array([[shot.person == one for one in outcome.people] for shot in queries])


def rejected(outcome: Outcome, queries: Sequence[Shot], rate: float = 0.01) -> Array:
    """Which queries (Q,) of people whom the tracker knows it does not take for them -> 1 or 0.

    Its threshold is its own: what a share `rate` of the scores of others exceeds, in these queries.
    """
    own = owned(outcome, queries)
    assert own.sum(1).all(), "a query shows nobody whom the tracker knows"
    threshold = np.quantile(outcome.scores[~own], 1 - rate)
    return (outcome.scores[own] <= threshold).astype(float)


def area_under_curve(scores: Array, positive: Mask, people: Sequence[object]) -> Interval:
    """How often a positive case scores higher than another one (Hanley and McNeil 1982), 0.5 being chance.

    Args:
        scores, positive, people: (N,); the interval is from drawing people.
    """
    codes, count = grouped(people)
    high, low = scores[positive][:, None], scores[~positive][None]
    wins = (high > low) + 0.5 * (high == low)
    drawn = np.vstack([np.ones(count), draws_of(count)])  # first: everyone once
    ours, theirs = drawn[:, codes[positive]], drawn[:, codes[~positive]]
    areas = ((ours @ wins) * theirs).sum(1) / (ours.sum(1) * theirs.sum(1))
    return percentiles(float(areas[0]), areas[1:], len(scores))
