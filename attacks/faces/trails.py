"""Faces while they are followed through a video, and which of these are of one person."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ...core.types import Face, Pixels
from .boxes import iou
from .hands import Hand, HandFollower
from .tracks import GAP, Mesh, face_of


@dataclass(eq=False)
class Trail:
    """A face while it is followed without a gap: its mesh (468, 2) by frame.

    portrait: the best picture of it (SIDE, SIDE, 3) with the face as it lies there.
    hands: those near it.
    """

    shot: int
    meshes: MutableMapping[int, Mesh] = field(default_factory=dict[int, Mesh])
    hands: HandFollower = field(default_factory=HandFollower)
    portrait: tuple[Pixels, Face] | None = None
    quality: float = 0.0


def apart(a: Face, b: Face) -> float:
    """How far two faces' points lie apart on average, in eye distances."""
    return float(np.linalg.norm(a.points - b.points, axis=1).mean() / max(b.eyes, 1.0))


def same(a: Face, b: Face) -> bool:
    return apart(a, b) < 0.75 or iou(a.box, b.box) > 0.4


def meshes_of(trails: Iterable[Trail], shot: int) -> ChainMap[int, Mesh]:
    return ChainMap(*(one.meshes for one in trails if one.shot == shot))


def hands_of(trails: Iterable[Trail], shot: int) -> list[dict[int, Hand]]:
    return [hand for one in trails if one.shot == shot for hand in one.hands.trails]


def people_of(trails: Sequence[Trail]) -> list[list[Trail]]:
    """The trails of each person: those that go on in the same place after a short gap, and those whom
    recognisers take for one; the most shown and largest person first."""
    people = list[list[Trail]]()
    known = dict[int, dict[str, torch.Tensor]]()
    for trail in sorted(trails, key=lambda one: min(one.meshes)):
        free = [one for one in people if not any(other.meshes.keys() & trail.meshes.keys() for other in one)]
        own = next((one for one in free if _goes_on(one[-1], trail)), None) or _alike(trail, free, known)
        if own is None:
            people.append([trail])
        else:
            own.append(trail)

    def shown(person: list[Trail]) -> float:
        return sum(len(one.meshes) * one.quality**2 for one in person)

    return sorted(people, key=shown, reverse=True)


def _goes_on(before: Trail, after: Trail) -> bool:
    """Whether a trail goes on, in the same shot, where one before it was lost."""
    last, first = max(before.meshes), min(after.meshes)
    if before.shot != after.shot or first - last > GAP:
        return False
    return same(face_of(before.meshes[last]), face_of(after.meshes[first]))


def _alike(
    trail: Trail, people: Iterable[list[Trail]], known: dict[int, dict[str, torch.Tensor]]
) -> list[Trail] | None:
    """Whom recognisers take a face for, beyond doubt; `known` keeps what they see of trails."""
    from ..person import SAME, vectors, vote

    def seen(one: Trail) -> dict[str, torch.Tensor]:
        if id(one) not in known:
            assert one.portrait
            known[id(one)] = vectors(*one.portrait)
        return known[id(one)]

    best, most = None, SAME
    for person in people:
        shown = max(person, key=lambda one: one.quality)
        there = {name: vector[None] for name, vector in seen(shown).items()}
        alike = float(vote(there, seen(trail)))
        if alike >= most:
            best, most = person, alike
    return best
