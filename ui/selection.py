"""Which faces of a photo are protected: all, those with some numbers, one person's, or all but theirs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ..attacks.faces.boxes import clipped
from ..attacks.faces.found import SMALLEST, Found, Reason
from ..attacks.person import Person
from ..core.errors import BadSettings, NoFace
from ..core.types import Face, Photo
from ..eval.report import Unprotected


@dataclass(frozen=True)
class Whom:
    """Whom to protect: everyone whose face is large enough, or the faces with `numbers`, 1 being the largest.

    person: of these only this person; or, where `spare`, everyone but them.
    """

    numbers: frozenset[int] = frozenset()
    person: Person | None = None
    spare: bool = False

    @property
    def missing(self) -> str:
        """What to say of a photo in which nobody is to be protected."""
        if self.spare:
            return "shows nobody but the person who is to be spared"
        return "does not show the person who is to be protected"

    def unmet(self, found: Found) -> str:
        """What to say of a photo in which nobody could be protected; nothing where somebody can."""
        named = [found.numbered[number] for number in self.numbers & found.numbered.keys()]
        if found.protectable or any(face.side >= SMALLEST for face in named):
            return ""
        return "shows no face that is large enough" if found.faces else "shows no face"


@dataclass(frozen=True)
class Choice:
    """The faces that are protected, by number; what was found beside them; and which of those that are
    protected may be the person's or not."""

    faces: dict[int, Face]
    unprotected: tuple[Unprotected, ...]
    doubtful: tuple[int, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """A word on faces of which it cannot be told whose they are."""
        return tuple(
            f"It is doubtful whether face {number} is the person asked for; to be safe, it is protected."
            for number in self.doubtful
        )


def choose(photo: Photo, found: Found, whom: Whom) -> Choice:
    """Choose the faces of a photo; nobody may be left.

    Raises:
        NoFace, BadSettings: as `asked_for` does.
    """
    asked = asked_for(photo.name, found, whom.numbers)
    person, left, because = whom.person, "other", "another person"
    if whom.spare:
        left, because = "same", "spared"
    verdicts = (
        {number: person.verdict(photo.pixels, face) for number, face in asked.items()} if person else {}
    )
    faces = {number: face for number, face in asked.items() if verdicts.get(number) != left}
    unprotected = left_of(photo, found, faces, dict.fromkeys(asked, because))
    doubtful = tuple(number for number, verdict in verdicts.items() if verdict == "doubtful")
    return Choice(faces, unprotected, doubtful)


def left_of(
    photo: Photo,
    found: Found,
    faces: Collection[int] = (),
    reasons: Mapping[int, Reason] | None = None,
) -> tuple[Unprotected, ...]:
    """What was found in a photo beside the faces that are protected, with the reasons, where they are others
    than `Found` knows."""
    known = reasons or {}
    return tuple(
        Unprotected(
            number=number,
            box=clipped(face.box, photo.size),
            reason=known[number] if number in known else found.reason(number),
        )
        for number, face in found.numbered.items()
        if number not in faces
    )


def asked_for(name: str, found: Found, numbers: Collection[int]) -> dict[int, Face]:
    """The faces of a photo by number, the largest being 1: those asked for, or all that are large enough.

    Raises:
        NoFace: there is none, or it is too small.
        BadSettings: no face has this number.
    """
    faces = found.numbered
    if unknown := set(numbers) - set(faces):
        raise BadSettings(
            f"{name} has no face number {min(unknown)}.",
            f"Its faces, the largest first, are: {', '.join(map(str, faces)) or 'none'}.",
        )
    if not found.faces and not numbers:
        hint = "Try a photo with a larger or better lit face."
        if faces:
            hint = (
                f"What may be one has number {', '.join(map(str, faces))}; --faces protects it all the same."
            )
        raise NoFace(f"No face was found in {name}.", hint)
    chosen = sorted(numbers) or found.protectable or [1]
    for number in chosen:
        if faces[number].side < SMALLEST:
            raise NoFace(
                f"Face {number} of {name} measures only {faces[number].side:.0f} pixels.",
                f"Only faces of {SMALLEST:.0f} pixels and more can be protected.",
            )
    return {number: faces[number] for number in chosen}


def numbers(faces: str | None) -> frozenset[int]:
    """The numbers in "1,3"; none for all.

    Raises:
        BadSettings: they are no numbers.
    """
    try:
        return frozenset(int(number) for number in faces.split(",")) if faces else frozenset()
    except ValueError as error:
        raise BadSettings(
            f"{faces!r} is no list of face numbers.", "Write them like 1,3; `veil faces` shows them."
        ) from error
