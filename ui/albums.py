"""An album whose photos are not to be linked with one another: what of it is protected, and whom it shows."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from ..attacks.faces.sampling import part_around
from ..attacks.person import OTHER, Vectors, vectors, vote
from ..core.images import open_photo
from ..core.types import Face, Photo, Sighting, Track, tracks_of


class Album:
    """The faces of an album that are protected so far, and who each of them was before."""

    def __init__(self) -> None:
        self._shown: list[tuple[Vectors, Sighting]] = []

    def add(self, people: Iterable[Vectors], after: Photo, faces: Iterable[Face]) -> None:
        """Add a photo as it is protected, with the faces that are, and who they were before (`people_in`)."""
        self._shown += [(one, _cut(after, face)) for one, face in zip(people, faces, strict=True)]

    def reopen(self, source: Path, picture: Path, faces: Collection[Face]) -> None:
        """Add a photo that was protected before: its file, and that of its result.

        Raises:
            BadPhoto: one of them cannot be read.
        """
        self.add(people_in(open_photo(source), faces), open_photo(picture), faces)

    def tracks(self, photo: Photo, people: Iterable[Vectors], faces: Iterable[Face]) -> tuple[Track, ...]:
        """The tracks of a photo's faces, each with the protected photos of whoever may be the same person."""
        return tuple(
            replace(track, album=self._of(one))
            for track, one in zip(tracks_of(photo, faces), people, strict=True)
        )

    def _of(self, person: Vectors) -> tuple[Sighting, ...]:
        return tuple(
            sighting
            for known, sighting in self._shown
            if float(vote({name: vector[None] for name, vector in known.items()}, person)) >= OTHER
        )


def people_in(photo: Photo, faces: Iterable[Face]) -> list[Vectors]:
    """Who the faces of a photo are, as it was before."""
    return [vectors(photo.pixels, face) for face in faces]


def _cut(photo: Photo, face: Face) -> Sighting:
    """A face in what recognisers may look at around it: photos of an album need not all be kept in memory."""
    pixels, there = part_around(photo.pixels, face)
    return Sighting(Photo(pixels.copy(), photo.name), there)
