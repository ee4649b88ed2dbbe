"""For whom of a photo or clip other photos of people counted, and what is made of them in the end."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from torch import Tensor

from ..attacks.faces.sampling import cut_around
from ..attacks.person import OTHER, SAME, Vectors
from ..core.types import Face, Photo, Sighting, Track, tracks_of
from ..core.video import Clip
from ..eval.linking import some
from ..eval.references import References, compare
from ..eval.verification import embedding
from ..privacy.video import NOWHERE, Elsewhere
from .albums import MOST, Album, best_sightings, likeness, nearly_same, people_in, people_of
from .clip_records import ClipFace


def told(album: Album, people: Mapping[int, Vectors], kind: str = "photo") -> list[str]:
    """For whom other photos counted, and why one counted for nobody, a sentence each.

    Args:
        people: those of a photo or clip who are protected, by the number of their face.
        kind: "photo" or "clip".
    """
    counted = {number: album.references(person) for number, person in people.items()}
    all_that_did = [id(one) for shown in counted.values() for one in shown]
    return [
        *(_learnt(number, shown) for number, shown in counted.items() if shown),
        *(
            f"{sighting.frame.name} {_why_not(known, people.values(), kind)}: it counted for no face."
            for known, sighting in album.known
            if id(sighting) not in all_that_did
        ),
    ]


def known_in(
    album: Album | None, photo: Photo, faces: Mapping[int, Face]
) -> tuple[list[Vectors], tuple[Track, ...], list[str]]:
    """Who the faces of a photo are, where there is an album; their tracks, with what it knows of them, and
    what is `told`."""
    there = faces.values()
    if not album:
        return [], tracks_of(photo, there), []
    people = people_in(photo, there)
    return people, album.tracks(photo, people, there), told(album, dict(zip(faces, people, strict=True)))


def known_of(
    album: Album | None, clip: Clip, faces: Iterable[ClipFace]
) -> tuple[tuple[Elsewhere, Elsewhere], list[str]]:
    """What an album knows of those who are protected in a clip, as `Album.elsewhere`, and what is `told`.

    Raises:
        BadClip: a picture cannot be decoded.
    """
    if not album:
        return (NOWHERE, NOWHERE), []
    people = people_of(clip, faces)
    return album.elsewhere(people), told(album, people, "clip")


def _learnt(number: int, shown: tuple[Sighting, ...]) -> str:
    names, several = some([one.frame.name for one in shown]), "s" * (len(shown) > 1)
    return f"Who face {number} is was also learnt from {len(shown)} other photo{several} ({names})."


def _why_not(known: Vectors, people: Iterable[Vectors], kind: str) -> str:
    alike = [(likeness(known, person), nearly_same(known, person)) for person in people]
    if any(same for _, same in alike):
        return "is " + ("a picture of " * (kind == "clip")) + f"this very {kind}, or nearly the same picture"
    most = max(number for number, _ in alike)
    if most >= SAME:
        return f"comes after {MOST} others, and more are not looked at"
    shows = "shows nobody" if most < OTHER else "does not surely show anybody"
    return f"{shows} who is protected in this {kind}"


def beside(
    clips: tuple[Clip, Clip],
    faces: Iterable[ClipFace],
    references: Elsewhere,
    recognizers: Iterable[str],
    surrogates: frozenset[str],
) -> dict[int, References]:
    """What recognisers make of the best picture of each face of a clip, before and after, and other photos of
    the person, where such counted.

    Raises:
        BadClip: a picture cannot be decoded.
    """
    known, names = [face for face in faces if references.get(face.number)], list(recognizers)
    found = dict[int, References]()
    for (number, old), (_, new) in zip(*(best_sightings(clip, known) for clip in clips), strict=True):
        own, left = (_seen(one, names) for one in (old, new))
        if compared := compare(references[number], own, left, surrogates):
            found[number] = compared
    return found


def _seen(sighting: Sighting, recognizers: Collection[str]) -> dict[str, Tensor]:
    (image,), (face,) = cut_around((sighting.frame.pixels,), (sighting.face,))
    return {name: embedding(name, image, face) for name in recognizers}
