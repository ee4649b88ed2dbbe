"""Hands before and beside a face in a video: found every few frames, carried by their points between.

Where a hand lies on a face, skin on skin, its palm is seldom sure; so the likeliest one is taken however
unlikely it is, and the network that finds a hand's points says whether there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...core.images import to_tensor
from ...core.types import Array, Face, Pixels
from ..networks.facemesh import OVAL
from ..networks.hands import MIDDLE, hand_in, next_crop, palms
from .detection import around

EVERY, STEP = 12, 4  # frames from one search to the next, and from one to the next in which points are found
REACH = 1.6  # of a face's side: what is looked at around its middle,
SIZE = 384  # and the side of the picture of it in pixels
FOUND, KEPT = 0.7, 0.5  # how sure the network has to be that there is a hand: a new one, and a known one
ONE_HAND = 0.5  # of a palm's length: two hands whose points are nearer on average are one
MOST = 2  # hands that are followed at one time
ENDS = 2  # frames for which a hand goes on after it was seen last, and before it was seen first


class Hand(NamedTuple):
    """A hand in a frame: points (21, 2) in its pixels, and how sure it is, in [0, 1]."""

    points: Array
    score: float


@dataclass(frozen=True, eq=False)
class Hands:
    """Hands near a face in the frames of a video.

    indexes: (M,), the frame of each, rising.
    points: (M, 21, 2), in pixels of these frames.
    """

    indexes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    points: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 21, 2), np.float32))

    def at(self, index: int) -> Array:
        """Those in a frame: (K, 21, 2)."""
        return self.between(index, index + 1).points.astype(float)

    def between(self, start: int, stop: int) -> Hands:
        """Those in the frames from `start` to before `stop`."""
        first, end = np.searchsorted(self.indexes, (start, stop))
        return Hands(self.indexes[first:end].copy(), self.points[first:end].copy())

    @classmethod
    def of(cls, trails: Iterable[Mapping[int, Hand]], first: int, end: int) -> Hands:
        """What was seen of each hand, by frame, and what lies between; from frame `first` to before `end`."""
        indexes, points = [np.zeros(0, np.int64)], [np.zeros((0, 21, 2), np.float32)]
        for trail in trails:
            seen = np.array(sorted(trail))
            lines = np.stack([trail[index].points for index in seen.tolist()]).reshape(len(seen), -1).T
            every = np.arange(max(first, seen[0] - ENDS), min(end, seen[-1] + ENDS + 1))
            filled = np.stack([np.interp(every, seen, line).astype(np.float32) for line in lines], 1)
            indexes.append(every)
            points.append(filled.reshape(-1, 21, 2))
        order = np.argsort(of_all := np.concatenate(indexes), kind="stable")
        return cls(of_all[order], np.concatenate(points)[order])


def drift_of(hand: Array, other: Array) -> float:
    """How far the points of a hand (21, 2) lie from those of another, in lengths of its palm."""
    size = max(float(np.linalg.norm(hand[MIDDLE] - hand[0])), 1.0)
    return float(np.linalg.norm(other - hand, axis=1).mean()) / size


def over_face(hand: NDArray[np.floating], mesh: NDArray[np.floating]) -> bool:
    """Whether a point of a hand (21, 2) lies within the outline of a face's mesh (468 or more, 2 or 3)."""
    from matplotlib.path import Path

    if np.isnan(mesh[0, 0]):
        return False
    return bool(Path(mesh[[*OVAL], :2]).contains_points(hand).any())


class HandFollower:
    """Follows the hands near one face; `trails` hold what was seen of each, by frame."""

    def __init__(self) -> None:
        self.trails: list[dict[int, Hand]] = []
        self.next = 0  # the first frame that has not been looked at

    def take(self, frames: Sequence[tuple[int, Pixels]], faces: Mapping[int, Face]) -> None:
        """Look at frames (H, W, 3) that follow one another, where they show the face."""
        looks = [
            _Look(index, pixels, faces[index])
            for index, pixels in frames
            if index >= self.next and index % STEP == 0 and index in faces
        ]
        for place, look in enumerate(looks):
            for trail in self.trails:
                self._go(trail, look, look.index - STEP)
            hand = look.search() if look.index % EVERY == 0 else None
            if hand is None:
                continue
            if known := self._known(hand, look.index):
                known[look.index] = max(hand, known[look.index], key=lambda one: one.score)
            elif sum(look.index in trail for trail in self.trails) < MOST:
                self.trails.append(trail := {look.index: hand})
                for before in reversed(looks[:place]):
                    self._go(trail, before, before.index + STEP)
        self.next = frames[-1][0] + 1

    def _go(self, trail: dict[int, Hand], look: _Look, known: int) -> None:
        """Look for a hand where it was in another frame, if it is known there."""
        if known in trail:
            hand = look.again(trail[known])
            if hand and self._known(hand, look.index) is None:
                trail[look.index] = hand

    def _known(self, hand: Hand, index: int) -> dict[int, Hand] | None:
        """The trail of a hand that was found in a frame, where it is followed there already."""
        for trail in self.trails:
            if index in trail and drift_of(hand.points, trail[index].points) < ONE_HAND:
                return trail
        return None


class _Look:
    """What lies around a face in a frame."""

    def __init__(self, index: int, pixels: Pixels, face: Face) -> None:
        self.index = index
        self._pixels, self._face = pixels, face

    @cached_property
    def _around(self) -> tuple[Tensor, float, Array]:
        picture, scale, corner = around(self._pixels, self._face, REACH, SIZE)
        return to_tensor(picture), scale, np.array(corner)

    def search(self) -> Hand | None:
        """The hand that is likeliest here, if there is one."""
        (crop,) = palms(self._around[0], np.array([0.0, 0.0, SIZE, SIZE]), most=1)
        return self._hand(crop, FOUND)

    def again(self, hand: Hand) -> Hand | None:
        """A hand that was seen in a frame shortly before or after, if it is still near the face."""
        _, scale, corner = self._around
        there = (hand.points - corner) * scale
        middle = there.mean(0)
        near = 0 < middle.min() and middle.max() < SIZE
        return self._hand(next_crop(there), KEPT) if near else None

    def _hand(self, crop: Array, least: float) -> Hand | None:
        image, scale, corner = self._around
        points, score = hand_in(image, crop)
        return Hand(points / scale + corner, score) if score > least else None
