"""An album whose photos are not to be linked with one another: what of it is protected, and whom it shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..attacks.faces.boxes import clipped, padded
from ..attacks.faces.sampling import REACH
from ..attacks.person import OTHER, Vectors, vectors, vote
from ..core.types import Face, Photo, Sighting, Track, tracks_of


class Album:
    """The faces of an album that are protected so far, and who each of them was before."""

    def __init__(self) -> None:
        self._shown: list[tuple[Vectors, Sighting]] = []

    def add(self, before: Photo, after: Photo, faces: Iterable[Face]) -> None:
        """Add a photo as it was and as it is protected, with the faces that are."""
        self._shown += [(vectors(before.pixels, face), _cut(after, face)) for face in faces]

    def tracks(self, photo: Photo, faces: Mapping[int, Face]) -> tuple[Track, ...]:
        """The tracks of a photo's faces, each with the protected photos of whoever may be the same person."""
        return tuple(
            replace(track, album=self._of(vectors(photo.pixels, track.key.face)) if self._shown else ())
            for track in tracks_of(photo, faces.values())
        )

    def _of(self, person: Vectors) -> tuple[Sighting, ...]:
        return tuple(
            sighting
            for known, sighting in self._shown
            if float(vote({name: vector[None] for name, vector in known.items()}, person)) >= OTHER
        )


def _cut(photo: Photo, face: Face) -> Sighting:
    """A face in what recognisers may look at around it: photos of an album need not all be kept in memory."""
    reach = padded(face.box, REACH * float((face.box[2:] - face.box[:2]).max()))
    left, top, right, bottom = clipped(reach, photo.size)
    cut = Photo(photo.pixels[top:bottom, left:right].copy(), photo.name)
    return Sighting(cut, face.transformed(1.0, -left, -top))
