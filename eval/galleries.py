"""Galleries that grow: is a person still found among many strangers, and, extrapolated, among a million?

The gallery holds the second photo of the person who is looked for, as the pairing says, and distractors, who
are as they were; nobody is a distractor of themselves. A rate is the mean over all galleries of its size that
the distractors give. For larger ones, the chance that a stranger looks more like the first photo than the
second does is read off a generalised Pareto tail of strangers' scores (Pickands 1975): its shape is that of
all people whom a recogniser judges, its threshold and scale are each one's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, genpareto, hypergeom

from ..core.types import Array
from ..weights.registry import card
from .benchmark import Distractors, read_distractors
from .bootstrap import Interval, draws_of, grouped, percentiles, rate
from .identification import kept_embeddings, stacked
from .pairings import PAIRINGS, RANKS, both_photos
from .summary import Frame, frame, interval

SIZES = (100, 300, 1000)  # of distractors, beside all that there are
LARGER = (10**4, 10**5, 10**6)
TAIL = 0.1  # the share of strangers' scores that tells how the tail goes on
LEAST = 100  # distractors, below which no tail is fitted
DRAWS = 200  # of people and distractors
FITTED_ON, SPLITS = 300, 10  # with what extrapolation is checked: so many distractors, drawn so many times


@dataclass(frozen=True, eq=False)
class Search:
    """What one recogniser scores for Q people in one pairing.

    own: the cosine (Q,) of their two photos; others: those (Q, M) of the first photo and the distractors.
    """

    people: tuple[str, ...]
    own: Array
    others: Array

    def joined(self, other: Search) -> Search:
        """Both together."""
        return Search(
            (*self.people, *other.people),
            np.concatenate([self.own, other.own]),
            np.concatenate([self.others, other.others]),
        )

    @cached_property
    def chances(self) -> Array:
        """The chances (1 + DRAWS, Q) that a stranger looks more like each, first of the distractors as they
        are, then of as many drawn from them."""
        count = self.others.shape[1]
        draws = np.random.default_rng(0).integers(count, size=(DRAWS, count))
        return np.stack(
            [chance_of_stranger(self.own, self.others[:, one]) for one in (np.arange(count), *draws)]
        )


def galleries(folder: Path, rows: Frame, dataset: str) -> dict[str, Frame]:
    """How often people are the first, or among the first five, that are found in galleries of many sizes.

    Args:
        folder: of the run, which holds distractors.
        dataset: the name of that of the run, whose people may be among the distractors, too.

    Returns:
        "galleries": a row for each method, recogniser ("all": all of them), pairing and size, which counts
        distractors; "fitted": to how many of them the tail was fitted, 0 where nothing is extrapolated.
        "extrapolation": what comes out where it can be checked, from `FITTED_ON` of the distractors to the
        rest of them.
    """
    table, checks = list[dict[str, Any]](), list[dict[str, Any]]()
    for (method, pairing), searches in _searches(folder, rows, dataset).items():
        several = {"all": [*searches.values()]} if len(searches) > 1 else {}
        for recognizer, some in {**{name: [one] for name, one in searches.items()}, **several}.items():
            about = {"method": method, "recognizer": recognizer, "pairing": pairing}
            table += [{**about, **row} for row in _rates(some)]
            checks += [{**about, **row} for row in _checked(some)]
    return {
        name: frame([[*row.values()] for row in rows], [*rows[0]])
        for name, rows in (("galleries", table), ("extrapolation", checks))
        if rows
    }


def _searches(folder: Path, rows: Frame, dataset: str) -> dict[tuple[str, str], dict[str, Search]]:
    """By method and pairing, what each recogniser scores; one's own photos are no distractors."""
    strangers = read_distractors(folder)
    found: dict[tuple[str, str], dict[str, Search]] = {}
    if strangers is None or "cloaked_cloaked" not in rows:
        return found
    places = {name: place for place, name in enumerate(strangers.people)}
    nobody = np.zeros(len(places), bool)
    own = cache(_selves)
    for part, first, second in both_photos(folder, rows, kept_embeddings()):
        method, name = (str(part.iloc[0][column]) for column in ("method", "recognizer"))
        people = tuple(part["identity"])
        keys = [f"{dataset}/{one}" for one in people]
        selves = np.array([own(strangers, places[key]) if key in places else nobody for key in keys])
        for pairing in PAIRINGS:
            probe, known = pairing.split("-")
            asked, theirs = stacked(first[probe]), stacked(second[known])
            others = asked @ strangers.vectors[name].T
            others[selves] = -np.inf
            search = Search(people, (asked * theirs).sum(1), others)
            before = found.setdefault((method, pairing), {})
            before[name] = before[name].joined(search) if name in before else search
    return found


def _selves(strangers: Distractors, place: int) -> NDArray[np.bool_]:
    """Which of M distractors are the person at a place among them, perhaps under another name in another
    dataset: whom all recognisers take for the same at FAR 0.1 %, as everybody is (M,)."""
    taken = [made @ made[place] > card(name).thresholds["far01"] for name, made in strangers.vectors.items()]
    return np.logical_and.reduce(taken)


def _rates(searches: Sequence[Search]) -> Iterator[dict[str, Any]]:
    """A row for each size of gallery, of all people of some searches."""
    people = [one for search in searches for one in search.people]
    count = searches[0].others.shape[1]
    for size in (*(size for size in SIZES if size < count), count):
        row: dict[str, Any] = {"size": size, "fitted": 0}
        for rank in RANKS:
            values = np.concatenate([measured(search, size, rank) for search in searches])
            row |= interval(f"rank-{rank}", _stated(values[None], people))
        yield row | {"n": len(people)}
    if count < LEAST:
        return
    chances = np.concatenate([search.chances for search in searches], 1)
    for size in LARGER:
        row = {"size": size, "fitted": count}
        for rank in RANKS:
            row |= interval(f"rank-{rank}", _stated(extrapolated(chances, size, rank), people))
        yield row | {"n": len(people)}


def _stated(values: Array, people: Sequence[str]) -> Interval:
    """The mean of the first of values (1 + draws, Q), with its interval from drawing people and, where there
    are draws, with these; Wilson's, where to a percent everybody is found, or nobody."""
    found = float(values[0].mean())
    sure = rate(np.full(len(people), round(found, 2)), people)
    if sure.value in (0.0, 1.0):
        return sure._replace(value=found)
    if len(values) == 1:
        return rate(values[0], people)
    codes, count = grouped(people)
    weights = draws_of(count, len(values) - 1)[:, codes]
    return percentiles(found, (weights * values[1:]).sum(1) / weights.sum(1), len(people))


def _checked(searches: Sequence[Search]) -> Iterator[dict[str, Any]]:
    """One row: what some distractors foretell of the others, the first that is found, and how far it is off
    in the mean, where there are enough of them."""
    rest = searches[0].others.shape[1] - FITTED_ON
    if rest < FITTED_ON:
        return
    rng, both = np.random.default_rng(0), list[tuple[float, float]]()
    for _ in range(SPLITS):
        order = rng.permutation(rest + FITTED_ON)
        some = [replace(search, others=search.others[:, order[:FITTED_ON]]) for search in searches]
        chances = [chance_of_stranger(search.own, search.others) for search in some]
        others = [replace(search, others=search.others[:, order[FITTED_ON:]]) for search in searches]
        foretold = np.concatenate([extrapolated(chance, rest, 1) for chance in chances])
        found = np.concatenate([measured(search, rest, 1) for search in others])
        both.append((float(foretold.mean()), float(found.mean())))
    foretold, found = np.transpose(both)
    off = {"predicted": foretold.mean(), "measured": found.mean(), "error": abs(foretold - found).mean()}
    yield {"fitted": FITTED_ON, "size": rest, **off, "n": sum(len(search.own) for search in searches)}


def measured(search: Search, size: int, rank: int) -> Array:
    """The chance (Q,) that people are among the first `rank` found, with `size` of the distractors."""
    above = (search.others > search.own[:, None]).sum(1)
    return hypergeom.cdf(rank - 1, search.others.shape[1], above, size)


def extrapolated(chance: Array, size: int, rank: int) -> Array:
    """As `measured`, with any number of them, from the `chance` (...) that a stranger looks more alike."""
    return binom.cdf(rank - 1, size, chance)


def chance_of_stranger(own: Array, others: Array) -> Array:
    """The chance (Q,) that a stranger's score exceeds a person's own (Q,), from those (Q, M) of M strangers.

    As counted, up to where the tail begins; from there on by a generalised Pareto distribution, fitted by
    probability-weighted moments (Hosking and Wallis 1987).
    """
    size = others.shape[1]
    count = round(TAIL * size)
    top = np.sort(np.partition(others, size - count - 1)[:, size - count - 1 :])
    bound, excess = top[:, 0], top[:, 1:] - top[:, :1]
    scale = excess.mean(1)
    falling = np.linspace(1, 0, count)
    ratio = float(((falling * excess).mean(1) / scale).mean())
    shape = (1 - 4 * ratio) / (1 - 2 * ratio)
    tail = genpareto.sf(own - bound, shape, scale=scale * (1 - shape))
    return np.where(own > bound, count / size * tail, (others > own[:, None]).mean(1))
