"""What is known beside a photo or clip: the same people elsewhere, as they are or protected already."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..attacks.faces.sampling import part_around
from ..attacks.person import OTHER, SAME, Vectors, nearly_same, only_face, vectors, vote
from ..core.images import open_photo
from ..core.types import Face, Photo, Sighting, Track, tracks_of
from ..core.video import Clip
from ..privacy.video import Elsewhere
from .clip_records import ClipFace

MOST = 8  # references of a person


@dataclass(frozen=True, eq=False)
class Member:
    """A face of an album as it is protected, who it was before, and the file that showed it then."""

    person: Vectors
    shown: Sighting
    source: Path


class Album:
    """Faces of other photos and clips as they are, which say better who a person is, and those that are
    protected so far, with who each of them was before.

    apart: whether results are to be kept apart from those that are protected; if not, these are not kept.
    known: who is shown by other photos as they are.
    """

    def __init__(self, apart: bool = True) -> None:
        self.apart = apart
        self.members: list[Member] = []
        self.known: list[tuple[Vectors, Sighting]] = []  # who a face is, and what it looks like

    @classmethod
    def of_references(cls, references: Iterable[Photo], apart: bool = False) -> Album:
        """An album that knows people by photos each of which shows nobody else.

        Raises:
            NoFace, BadPhoto: as `only_face`.
        """
        album = cls(apart)
        for photo in references:
            album.know(photo, [only_face(photo)])
        return album

    def know(self, photo: Photo, faces: Collection[Face]) -> None:
        """Add faces of a photo as it is."""
        people = zip(people_in(photo, faces), faces, strict=True)
        self.known += [(one, _cut(photo, face)) for one, face in people]

    def add(
        self, people: Iterable[Vectors], after: Photo, faces: Iterable[Face], source: Path | None = None
    ) -> None:
        """Add a photo as it is protected, with the faces that are, and who they were before (`people_in`).

        Args:
            source: its file before; by default only the name of the photo is known.
        """
        if self.apart:
            of = source or Path(after.name)
            pairs = zip(people, faces, strict=True)
            self.members += [Member(one, _cut(after, face), of) for one, face in pairs]

    def reopen(self, source: Path, picture: Path, faces: Collection[Face]) -> None:
        """Add a photo that was protected before: its file, and that of its result.

        Raises:
            BadPhoto: one of them cannot be read.
        """
        self.add(people_in(open_photo(source), faces), open_photo(picture), faces, source)

    def tracks(self, photo: Photo, people: Iterable[Vectors], faces: Iterable[Face]) -> tuple[Track, ...]:
        """The tracks of a photo's faces, each with the protected photos of whoever may be the same person,
        and with references of whoever surely is."""
        return tuple(
            replace(track, album=self._of(one), references=self.references(one))
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

    def elsewhere(self, people: Mapping[int, Vectors]) -> tuple[Elsewhere, Elsewhere]:
        """For the number of each face of a clip the protected photos and pictures of whoever may be the same
        person, and references of whoever surely is."""
        protected = {number: self._of(one) for number, one in people.items()}
        return protected, {number: self.references(one) for number, one in people.items()}

    def references(self, person: Vectors) -> tuple[Sighting, ...]:
        """Those of the person; not the photo itself, which may be among them, and no more than `MOST`."""
        alike = [one for one in self.known if likeness(one[0], person) >= SAME]
        return tuple(sighting for known, sighting in alike if not nearly_same(known, person))[:MOST]

    def _of(self, person: Vectors) -> tuple[Sighting, ...]:
        """Those of the person; not nearly the same picture, which anybody links by sight: to be kept apart
        from it would lead back to the face as it was."""
        alike = [one for one in self.members if likeness(one.person, person) >= OTHER]
        return tuple(one.shown for one in alike if not nearly_same(one.person, person))


def likeness(known: Vectors, person: Vectors) -> float:
    """How like a person one who is known is, as `attacks.person.vote` has it."""
    return float(vote({name: vector[None] for name, vector in known.items()}, person))


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


def people_of(clip: Clip, faces: Iterable[ClipFace]) -> dict[int, Vectors]:
    """Who the faces of a clip are, by number.

    Raises:
        BadClip: a picture cannot be decoded.
    """
    return {number: vectors(shown.frame.pixels, shown.face) for number, shown in best_sightings(clip, faces)}


def people_in(photo: Photo, faces: Iterable[Face]) -> list[Vectors]:
    """Who the faces of a photo are, as it was before."""
    return [vectors(photo.pixels, face) for face in faces]


def _cut(photo: Photo, face: Face) -> Sighting:
    """A face in what recognisers may look at around it: photos of an album need not all be kept in memory."""
    pixels, there = part_around(photo.pixels, face)
    return Sighting(Photo(pixels.copy(), photo.name), there)
