"""An album whose photos and clips are not to be linked: what of it is protected, and whom it shows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..attacks.faces.sampling import part_around
from ..attacks.person import OTHER, Vectors, vectors, vote
from ..core.images import open_photo
from ..core.types import Face, Photo, Sighting, Track, tracks_of
from ..core.video import Clip
from .clip_records import ClipFace


@dataclass(frozen=True, eq=False)
class Member:
    """A face of an album as it is protected, who it was before, and the file that showed it then."""

    person: Vectors
    shown: Sighting
    source: Path


class Album:
    """The faces of an album that are protected so far, and who each of them was before."""

    def __init__(self) -> None:
        self.members: list[Member] = []

    def add(
        self, people: Iterable[Vectors], after: Photo, faces: Iterable[Face], source: Path | None = None
    ) -> None:
        """Add a photo as it is protected, with the faces that are, and who they were before (`people_in`).

        Args:
            source: its file before; by default only the name of the photo is known.
        """
        of = source or Path(after.name)
        self.members += [Member(one, _cut(after, face), of) for one, face in zip(people, faces, strict=True)]

    def reopen(self, source: Path, picture: Path, faces: Collection[Face]) -> None:
        """Add a photo that was protected before: its file, and that of its result.

        Raises:
            BadPhoto: one of them cannot be read.
        """
        self.add(people_in(open_photo(source), faces), open_photo(picture), faces, source)

    def tracks(self, photo: Photo, people: Iterable[Vectors], faces: Iterable[Face]) -> tuple[Track, ...]:
        """The tracks of a photo's faces, each with the protected photos of whoever may be the same person."""
        return tuple(
            replace(track, album=self._of(one))
            for track, one in zip(tracks_of(photo, faces), people, strict=True)
        )

    def reopen_clip(self, source: Clip, result: Clip, faces: Iterable[ClipFace]) -> None:
        """Add a clip that is protected, with the faces that are: the picture that shows each of them best.

        Raises:
            BadClip: a picture cannot be decoded.
        """
        protected = [face for face in faces if not face.left]
        for (_, before), (_, after) in zip(
            best_sightings(source, protected), best_sightings(result, protected), strict=True
        ):
            self.add(people_in(before.frame, [before.face]), after.frame, [after.face], source.path)

    def of_clip(self, clip: Clip, faces: Iterable[ClipFace]) -> dict[int, tuple[Sighting, ...]]:
        """For the number of each face of a clip the protected photos and pictures of whoever may be the same
        person.

        Raises:
            BadClip: a picture cannot be decoded.
        """
        return {
            number: self._of(vectors(shown.frame.pixels, shown.face))
            for number, shown in best_sightings(clip, faces)
        }

    def _of(self, person: Vectors) -> tuple[Sighting, ...]:
        return tuple(
            member.shown
            for member in self.members
            if float(vote({name: vector[None] for name, vector in member.person.items()}, person)) >= OTHER
        )


def best_sightings(clip: Clip, faces: Iterable[ClipFace]) -> Iterator[tuple[int, Sighting]]:
    """The number of each face of a clip, and the picture that shows it best.

    Raises:
        BadClip: a picture cannot be decoded.
    """
    known = [(face.number, face.best) for face in faces if face.best]
    for index, pixels in clip.chosen(best.picture for _, best in known):
        for number, best in known:
            if best.picture == index:
                yield number, Sighting(Photo(pixels, clip.name), best.face)


def people_in(photo: Photo, faces: Iterable[Face]) -> list[Vectors]:
    """Who the faces of a photo are, as it was before."""
    return [vectors(photo.pixels, face) for face in faces]


def _cut(photo: Photo, face: Face) -> Sighting:
    """A face in what recognisers may look at around it: photos of an album need not all be kept in memory."""
    pixels, there = part_around(photo.pixels, face)
    return Sighting(Photo(pixels.copy(), photo.name), there)
