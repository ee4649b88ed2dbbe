"""The vocabulary that every part of veil speaks.

Images are RGB float tensors (B, 3, H, W) in [0, 1], except `Photo.pixels`, which are the bytes of the file.
Points and boxes are in pixels of the image they belong to, x to the right and y down, (0, 0) being the
centre of the first pixel.

What holds arrays is equal to itself only (`eq=False`): numpy's and torch's `==` answer with an array.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum, auto
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
Pixels: TypeAlias = NDArray[np.uint8]
Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Photo:
    """An upright photograph and what must survive saving it."""

    pixels: Pixels  # (H, W, 3) RGB
    name: str
    format: str = "PNG"  # Pillow's name of the file's format
    alpha: Pixels | None = None  # (H, W)
    grey: bool = False
    icc: bytes | None = None
    metadata: dict[str, bytes] = field(
        default_factory=dict[str, bytes]
    )  # kept aside; written only on request
    warnings: tuple[str, ...] = ()  # what opening it had to leave out
    encoding: dict[str, Any] = field(default_factory=dict[str, Any])  # how its file was written (`writing`)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def with_pixels(self, pixels: Pixels) -> Photo:
        """The same photograph with other pixels of the same shape."""
        assert pixels.shape == self.pixels.shape
        return replace(self, pixels=pixels)


@dataclass(frozen=True, eq=False)
class Face:
    """A face in a photo: box (4,) as x0, y0, x1, y1; points (5, 2); score in [0, 1].

    The points are the eyes, the tip of the nose and the corners of the mouth, each pair from the
    left to the right as the upright face is seen; `turn` is how many quarters clockwise it lies from that.
    """

    box: Array
    points: Array
    score: float = 1.0
    turn: int = 0

    @property
    def side(self) -> float:
        """The shorter side of the box, in pixels."""
        return float(min(self.box[2] - self.box[0], self.box[3] - self.box[1]))

    @property
    def eyes(self) -> float:
        """The distance between the eyes, in pixels."""
        return float(np.linalg.norm(self.points[1] - self.points[0]))

    def transformed(self, scale: float, dx: float, dy: float) -> Face:
        """The same face where each point p of the image has gone to scale * p + (dx, dy)."""
        shift = np.array([dx, dy])
        box = (self.box.reshape(2, 2) * scale + shift).reshape(4)
        return replace(self, box=box, points=self.points * scale + shift)


@dataclass(frozen=True, eq=False)
class Sighting:
    """A face in a frame, as it lies there; a frame is a photo, or an upright picture of a video."""

    frame: Photo
    face: Face


@dataclass(frozen=True, eq=False)
class Track:
    """One person through the frames of one photo or video, once a frame, in at least one.

    album: the person in photos that are protected already, and with which this one should not be linked.
    references: the person in other photos as they are, which say better than one photo who it is.
    """

    sightings: tuple[Sighting, ...]
    album: tuple[Sighting, ...] = ()
    references: tuple[Sighting, ...] = ()

    def __post_init__(self) -> None:
        assert self.sightings

    @property
    def key(self) -> Sighting:
        """The first sighting: from its crop a change is made, which all of them show."""
        return self.sightings[0]


def tracks_of(photo: Photo, faces: Iterable[Face]) -> tuple[Track, ...]:
    """The tracks of a photo's faces: one sighting each, in the order of the faces."""
    return tuple(Track((Sighting(photo, face),)) for face in faces)


class Stage(StrEnum):
    """What long work is doing; `ui.wording` has the words."""

    FOLLOWING = auto()
    GETTING_READY = auto()
    LEARNING_EMBEDDINGS = auto()
    PROTECTING = auto()
    RENDERING = auto()
    RECONSTRUCTING = auto()
    JUDGING = auto()
    DISTURBING = auto()
    CHOOSING_PEOPLE = auto()
    BENCHMARKING = auto()
    EMBEDDING = auto()
    MEASURING = auto()


class Item(NamedTuple):
    """Which faces of a photo are worked on: from the `first` to the `last`, 1 being the first of `total`."""

    first: int
    last: int
    total: int


@dataclass(frozen=True, eq=False)
class Step:
    """One step of long work: `done` of `total` steps of a stage.

    loss: of what is being optimised, where something is.
    preview: (H, W, 3), where there is one.
    item: whom the stage is about, where it comes round more than once.
    """

    stage: Stage
    done: int
    total: int
    loss: float | None = None
    preview: Pixels | None = None
    item: Item | None = None


Steps: TypeAlias = Generator[Step, None, T]
Objective: TypeAlias = "Callable[[Tensor], Tensor]"  # (B, 3, H, W) -> (B,), lower is better protected
