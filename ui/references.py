"""For whom of a photo or clip other photos of people counted, and what is made of them in the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from ..attacks.faces.sampling import cut_around
from ..attacks.person import OTHER, SAME, Vectors, nearly_same
from ..core.files import some
from ..core.types import Face, Photo, Sighting, Track, tracks_of
from ..core.video import Clip
from ..eval.references import References, compare
from ..eval.verification import embedding
from ..privacy.video import NOWHERE, Elsewhere
from .albums import MOST, Album, best_sightings, likeness, people_in, people_of
from .clip_records import ClipFace


@dataclass(frozen=True)
class Told:
    """For whom other photos counted, or why one did not, and, apart, which show nobody who is protected, or
    nobody for sure; a sentence each."""

    notes: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def told(album: Album, people: Mapping[int, Vectors], name: str, kind: str = "photo") -> Told:
    """What there is to say of other photos.

    Args:
        people: those of a photo or clip who are protected, by the number of their face.
        name: of the photo or clip; kind: "photo" or "clip".
    """
    counted = {number: album.references(person) for number, person in people.items()}
    all_that_did = [id(one) for shown in counted.values() for one in shown]
    notes = [_learnt(number, shown) for number, shown in counted.items() if shown]
    ignored = list[str]()
    for known, sighting in album.known:
        if id(sighting) not in all_that_did:
            why, shows_nobody = _why_not(known, people.values(), name, kind)
            (ignored if shows_nobody else notes).append(
                f"{sighting.frame.name} {why}: it counted for no face."
            )
    return Told(tuple(notes), tuple(ignored))


def summed_up(ignored: Iterable[tuple[str, str, str]], kind: str = "photo") -> list[str]:
    """What several photos or clips were `told` to be ignored: a sentence for each other photo and reason.

    Args:
        ignored: each sentence, the name of the photo or clip in it, and how that is called in what is said.
        kind: "photo", "clip" or "file".
    """
    files = defaultdict[tuple[str, str], list[str]](list)
    for sentence, of, name in ignored:
        what, _, then = sentence.rpartition(f" in {of}")
        files[what, then].append(name)
    return [
        f"{what} in {len(names)} {kind}{'s' * (len(names) > 1)} ({some(names)}){then}"
        for (what, then), names in files.items()
    ]


def known_in(
    album: Album | None, photo: Photo, faces: Mapping[int, Face]
) -> tuple[list[Vectors], tuple[Track, ...], Told]:
    """Who the faces of a photo are, where there is an album; their tracks, with what it knows of them, and
    what is `told`."""
    there = faces.values()
    if not album:
        return [], tracks_of(photo, there), Told()
    people = people_in(photo, there)
    said = told(album, dict(zip(faces, people, strict=True)), photo.name)
    return people, album.tracks(photo, people, there), said


def known_of(
    album: Album | None, clip: Clip, faces: Iterable[ClipFace]
) -> tuple[tuple[Elsewhere, Elsewhere], Told]:
    """What an album knows of those who are protected in a clip, as `Album.elsewhere`, and what is `told`.

    Raises:
        BadClip: a picture cannot be decoded.
    """
    if not album:
        return (NOWHERE, NOWHERE), Told()
    people = people_of(clip, faces)
    return album.elsewhere(people), told(album, people, clip.name, "clip")


def _learnt(number: int, shown: tuple[Sighting, ...]) -> str:
    names, several = some([one.frame.name for one in shown]), "s" * (len(shown) > 1)
    return f"Who face {number} is was also learnt from {len(shown)} other photo{several} ({names})."


def _why_not(known: Vectors, people: Iterable[Vectors], name: str, kind: str) -> tuple[str, bool]:
    """Why a photo counted for nobody, and whether that is since it shows nobody who is protected, or nobody
    for sure."""
    alike = [(likeness(known, person), nearly_same(known, person)) for person in people]
    if any(same for _, same in alike):
        very = ("a picture of " * (kind == "clip")) + f"this very {kind}"
        return f"is {very}, or nearly the same picture", False
    most = max(number for number, _ in alike)
    if most >= SAME:
        return f"comes after {MOST} others, and more are not looked at", False
    if most < OTHER:
        return f"shows nobody who is protected in {name}", True
    return f"may show somebody who is protected in {name}, but that is not sure enough", True


def compare_clip(
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
