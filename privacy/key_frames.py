"""Which frames of a track are looked at to find its change, and what of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import NamedTuple, TypeAlias

import numpy as np

from ..attacks.faces.boxes import clipped, reaching
from ..attacks.faces.hands import over_face
from ..attacks.faces.tracks import Mesh, MeshTrack, face_of, normalised, spread
from ..core.types import Array, Photo, Pixels, Sighting

FramesOf: TypeAlias = Callable[[Collection[int]], Iterator[tuple[int, Pixels]]]

VIEWED = 9  # frames that take turns; no multiple of the five kinds of views, which take turns as well
CHECKED = 9  # more frames, on which the surrogates are asked afterwards
AROUND = 1.0  # of a face's longer side: what is kept around it of a frame
COLOURLESS = 2  # the most by which the colours of a grey frame differ, as a codec leaves them


class FaceFrame(NamedTuple):
    """A face in the part of a frame around it, its mesh (468, 2), and the hands near it (K, 21, 2)."""

    sighting: Sighting
    mesh: Mesh
    hands: Array


def face_frames(frames_of: FramesOf, track: MeshTrack) -> list[FaceFrame]:
    """The key of a track, frames that differ most in pose and expression, and more at regular intervals."""
    order = chosen_of(track)
    found = dict[int, tuple[Pixels, Mesh, Array]]()
    for index, pixels in frames_of(sorted(order)):
        (mesh,) = track.meshes([index])
        around = reaching(face_of(mesh).box, AROUND)
        left, top, right, bottom = clipped(around, (pixels.shape[1], pixels.shape[0]))
        corner = np.array([left, top], np.float32)
        found[index] = (pixels[top:bottom, left:right].copy(), mesh - corner, track.hands.at(index) - corner)
    grey = all(int(np.ptp(pixels.astype(np.int16), 2).max()) <= COLOURLESS for pixels, *_ in found.values())
    return [
        FaceFrame(Sighting(Photo(pixels, "", grey=grey), face_of(mesh)), mesh, hands)
        for pixels, mesh, hands in (found[index] for index in order)
    ]


def chosen_of(track: MeshTrack) -> list[int]:
    """The key frame of a track, others that differ most, each from those before it, and some to check on."""
    seen, key = track.indexes[track.seen], _key(track)
    some = spread(seen)
    shapes = normalised(track.meshes(some))
    order = [key]
    near = np.linalg.norm(shapes - normalised(track.meshes([key])), axis=(1, 2))
    while len(order) < VIEWED and near.max() > 0:
        further = int(near.argmax())
        order.append(int(some[further]))
        near = np.minimum(near, np.linalg.norm(shapes - shapes[further], axis=(1, 2)))
    left = [int(frame) for frame in some if int(frame) not in order]
    places = np.linspace(0, len(left) - 1, min(len(left), CHECKED)).round().astype(int) if left else []
    return order + [left[place] for place in places]


def _key(track: MeshTrack) -> int:
    """The frame that shows a face best, where there is one without a hand before it."""
    hidden = {
        int(index)
        for index, hand in zip(track.hands.indexes, track.hands.points, strict=True)
        if (mesh := track.mesh(int(index))) is not None and over_face(hand, mesh)
    }
    free = track.seen & ~np.isin(track.indexes, [*hidden])
    return replace(track, seen=free).key if free.any() else track.key
