"""Rates, error curves, and how sure they are: bootstrap intervals that draw people, not photos.

Photos of one person rise and fall together, so people are drawn (with replacement) and bring along all that
belongs to them; the interval is the 2.5 to 97.5 % percentile of the draws (Efron 1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.types import Array

DRAWS = 2000
HEADLINE_RATES = {"far1": "FAR 1 %", "far01": "FAR 0.1 %"}  # of false accepts, at which headlines are stated


class Interval(NamedTuple):
    """A value and its 95 % interval; `n` is how many values it is the mean of."""

    value: float
    low: float
    high: float
    n: int = 0


def grouped(people: Sequence[object]) -> tuple[NDArray[np.intp], int]:
    """A number for each person (N,), and how many there are."""
    names, codes = np.unique(np.asarray([str(one) for one in people]), return_inverse=True)
    return codes, len(names)


def draws_of(groups: int, draws: int = DRAWS, seed: int = 0) -> Array:
    """How often each of `groups` people is drawn, (draws, groups)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(groups, np.full(groups, 1 / groups), size=draws).astype(float)


def percentiles(value: float, drawn: Array, n: int) -> Interval:
    """The interval that draws of a value give."""
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Interval(float(value), float(low), float(high), n)


def mean(values: ArrayLike, people: Sequence[object], draws: int = DRAWS, seed: int = 0) -> Interval:
    """The mean of values (N,), with its interval over the people (N,) to whom they belong."""
    numbers = np.asarray(values, float)
    if not len(numbers):
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    codes, count = grouped(people)
    sums, sizes = np.bincount(codes, numbers), np.bincount(codes)
    weights = draws_of(count, draws, seed)
    return percentiles(float(numbers.mean()), (weights @ sums) / (weights @ sizes), len(numbers))


def rate(values: ArrayLike, people: Sequence[object], draws: int = DRAWS, seed: int = 0) -> Interval:
    """The mean of zeros and ones (N,), with its interval over people (N,).

    Where all are equal no draw differs, which proves nothing: there the interval is Wilson's (1927), for as
    many cases as there are people.
    """
    found = mean(values, people, draws, seed)
    if found.value not in (0.0, 1.0):
        return found
    count, z = grouped(people)[1], 1.96
    reach = z**2 / (count + z**2)
    low, high = (0.0, reach) if found.value == 0 else (1 - reach, 1.0)
    return found._replace(low=low, high=high)


class Curve:
    """The error rates of a recogniser: cosines of pairs of one person, and of pairs of two people.

    Each pair is counted as often as its people are drawn: `weigh` takes how often each person is (P,).
    """

    def __init__(self, vectors: Array, people: Sequence[object]) -> None:
        codes, self.people = grouped(people)
        first, second = np.triu_indices(len(codes), 1)
        cosines = (vectors @ vectors.T)[first, second]
        same = codes[first] == codes[second]
        order = np.argsort(cosines[same])[::-1]
        self.same, self._owner = cosines[same][order], codes[first][same][order]
        order = np.argsort(cosines[~same])
        self.different = cosines[~same][order]
        self._pair = codes[first][~same][order], codes[second][~same][order]
        self._above = np.searchsorted(self.different, self.same, side="right")

    def weigh(self, drawn: Array) -> tuple[Array, Array]:
        """The weights of `same` and, added up, of `different`, when person p was drawn drawn[p] times."""
        return drawn[self._owner], np.cumsum(drawn[self._pair[0]] * drawn[self._pair[1]])

    def threshold(self, rate: float) -> float:
        """The cosine that a share `rate` of the pairs of two people exceeds."""
        return float(np.quantile(self.different, 1 - rate))

    def accepted(self, threshold: float) -> float:
        """The share of the pairs of one person above a threshold."""
        return float((self.same > threshold).mean())

    def equal_error_rate(self, drawn: Array | None = None) -> float:
        """The rate at which as many pairs of one person fail as pairs of two pass: where the curve of true
        over false accepts, drawn through every cosine, meets the antidiagonal."""
        weights, total = self.weigh(np.ones(self.people) if drawn is None else drawn)
        false = 1 - np.concatenate([[0.0], total])[self._above] / total[-1]
        true = np.cumsum(weights) / weights.sum()
        crossing = int(np.argmax(true + false >= 1))
        before = true[crossing - 1] if crossing else 0.0
        return float(1 - before if before + false[crossing] >= 1 else false[crossing])

    def drawn(self, rates: Sequence[float], draws: int, seed: int = 0) -> Array:
        """For each draw of people: the equal error rate, then for each rate the share of the pairs of one
        person that pass at that rate of false accepts, then the thresholds (draws, 1 + 2 rates)."""
        rows: list[list[float]] = []
        for weights in draws_of(self.people, draws, seed):
            own, total = self.weigh(weights)
            spots = np.searchsorted(total, (1 - np.asarray(rates)) * total[-1])
            bounds = self.different[np.minimum(spots, len(self.different) - 1)]
            shares = [float(own[self.same > bound].sum() / own.sum()) for bound in bounds]
            rows.append([self.equal_error_rate(weights), *shares, *bounds])
        return np.array(rows)
