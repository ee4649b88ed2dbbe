"""Trackers that learn: adversaries who know the public tool and have more than one photo of a person.

Each is handed photos whose people it knows (`Task.gallery`) and photos that it is asked about, and scores how
sure it is of each person. What must not be known here, the engine's prior, is handed in. `rates` turns scores
into what is rejected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import process_time
from typing import Any, Literal

from ...core.registry import Registry
from ...core.types import Array, Pixels, Sighting

Restore = Callable[[Pixels], Pixels]  # (H, W, 3) -> the same size


@dataclass(frozen=True, eq=False)
class Shot:
    """A photo as a tracker has it.

    person: who is on it; a tracker reads it in the gallery only.
    vector: how the recogniser sees it, a unit vector (D,).
    pictures: what it looks like, or several cloaks of the same photo; those who only compare vectors need
        none.
    """

    person: str
    vector: Array
    pictures: tuple[Sighting, ...] = ()


@dataclass(frozen=True, eq=False)
class Task:
    """What a tracker is handed.

    gallery: photos whose people are known; queries: those that it is asked about.
    passing: photos that it saw before, in this order, and nobody named.
    threshold: the cosine above which the recogniser takes two faces for one person.
    see: the recogniser: a unit vector (D,) of a face in a picture.
    restore: an untrained restorer that it may use, such as a generative prior.
    seed: of all that is drawn.
    """

    gallery: Sequence[Shot]
    queries: Sequence[Shot]
    passing: Sequence[Shot] = ()
    threshold: float = 0.0
    see: Callable[[Sighting], Array] | None = None
    restore: Restore | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a tracker makes of Q queries.

    people: the P whom it knows, in order; scores: (Q, P), how sure it is of each: the higher, the surer.
    photos: how many photos of one person it used, at most.
    others: from how many cloaked photos of other people it had learnt before.
    seconds: of processor time for each query, as `run` measures it; what was learnt before is not in it.
    """

    people: tuple[str, ...]
    scores: Array
    photos: int = 1
    others: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Album:
    """What a tracker has of everybody: photos whose person it knows, how many of them are cloaked, and how
    many more, cloaked and without a name, pass by."""

    photos: int
    cloaked: int = 0
    passing: int = 0


@dataclass(frozen=True)
class Tracker:
    """An adversary: how sure it is of each person it knows, for each query of a task.

    ask: the function; of a family (`Registry`) it takes the model first.
    does: what it does, as tables have it.
    pairs: of which benchmarks `scripts/trackers.py` asks it about the photos, while it knows another one of
        each person: all, the first alone (where it takes long), or none.
    albums: with which albums it is asked there; averages: whether about several cloaks of one photo.
    detects: whether it says that a photo is cloaked, and not whose it is.
    """

    ask: Callable[..., Outcome]
    does: str
    pairs: Literal["all", "first", "none"] = "all"
    albums: tuple[Album, ...] = ()
    averages: bool = False
    detects: bool = False

    def __call__(self, *task: Any) -> Outcome:
        return self.ask(*task)


def tracker(does: str, **asked: Any) -> Callable[[Callable[..., Outcome]], Tracker]:
    """A decorator: the function is a `Tracker`, of these fields."""
    return lambda ask: Tracker(ask, does, **asked)


TRACKERS: Registry[Tracker] = Registry(
    "tracker",
    {
        "template": "veil.eval.trackers.template:track",
        "dynamic-gallery": "veil.eval.trackers.dynamic_gallery:track",
        "linear-probe": "veil.eval.trackers.linear_probe:track",
        "averaging": "veil.eval.trackers.averaging:track",
        "restoration": "veil.eval.trackers.restoration:track",
        "purifier:": "veil.eval.trackers.purifier:track",
        "detector:": "veil.eval.trackers.detector:track",
    },
)


def run(name: str, task: Task) -> Outcome:
    """What the tracker called `name` makes of a task, and the time it took.

    Raises:
        UnknownName: no tracker has this name.
        WeightsMissing, WeightsCorrupt: it was trained, and its file is not there, or not what it should be.
    """
    asked = TRACKERS[name]
    began = process_time()
    outcome = asked(task)
    return replace(outcome, seconds=(process_time() - began) / len(task.queries))
