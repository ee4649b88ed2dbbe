"""What is said of behaviour: figures, each beside the same figure of a control, by aspect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from ...core.registry import Registry

if TYPE_CHECKING:
    from .reading import Reading

Better: TypeAlias = Literal["higher", "lower", ""]


@dataclass(frozen=True)
class Measured:
    """One figure of an aspect.

    better: whether more or less of it means that more is kept; empty for a fact about the frames before.
    parts: what it was made of, by name, where that is told.
    weak: those of them that are kept the least, from the worst.
    """

    name: str
    value: float
    unit: str
    better: Better
    parts: Mapping[str, float] = field(default_factory=dict[str, float])
    weak: tuple[str, ...] = ()


# Two readings of the same frames, before and after -> figures; none where the frames do not show it.
Compare: TypeAlias = "Callable[[Reading, Reading], Sequence[Measured]]"


@dataclass(frozen=True)
class Measure:
    """What measures an aspect, such as gaze.

    label: what tables call it; plain: what it shows, in a sentence's words: "where the eyes look".
    independent: whether the networks that read it are others than those the engine uses.
    """

    compare: Compare
    label: str
    plain: str
    independent: bool = True

    def __call__(self, before: Reading, after: Reading) -> Sequence[Measured]:
        return self.compare(before, after)


def measure(label: str, plain: str, independent: bool = True) -> Callable[[Compare], Measure]:
    """A decorator: the function measures an aspect of these words."""
    return lambda compare: Measure(compare, label, plain, independent)


BEHAVIOURS: Registry[Measure] = Registry(
    "behaviour",
    {
        "blendshapes": "veil.eval.behaviour.blendshapes:blendshapes",
        "gaze": "veil.eval.behaviour.gaze:gaze",
        "blinks": "veil.eval.behaviour.blinks:blinks",
        "mouth": "veil.eval.behaviour.mouth:mouth",
        "emotion": "veil.eval.behaviour.emotion:emotion",
        "motion": "veil.eval.behaviour.motion:motion",
        "head": "veil.eval.behaviour.head:head",
        "hands": "veil.eval.behaviour.hands:hands",
        "body": "veil.eval.behaviour.body:body",
        "scene": "veil.eval.behaviour.scene:scene",
    },
)


class Part(BaseModel):
    """A part of a figure, such as one blendshape's curve."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: float
    control: float | None = None


class Figure(BaseModel):
    """One figure of an aspect, and the same of the control; None where it could not be measured.

    better: as in `Measured`.
    weak: the parts that are kept the least, from the worst.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    unit: str
    better: Better
    value: float | None
    control: float | None = None
    weak: tuple[Part, ...] = ()


class Aspect(BaseModel):
    """What was measured of one aspect, such as gaze.

    independent: whether the networks that read it are others than those the engine uses.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    independent: bool
    figures: tuple[Figure, ...]


class Behaviour(BaseModel):
    """What one person expresses, before and after.

    frames: how many were compared.
    read, read_after, read_control: the share of them in which the person's face could be read.
    aspects: by name (`BEHAVIOURS`), those that the frames show.
    """

    model_config = ConfigDict(frozen=True)

    frames: int
    read: float
    read_after: float
    read_control: float | None = None
    aspects: tuple[Aspect, ...]

    def figure(self, aspect: str, name: str) -> Figure | None:
        """One figure by name; None where it was not measured."""
        named = (each for one in self.aspects if one.name == aspect for each in one.figures)
        return next((each for each in named if each.name == name), None)
