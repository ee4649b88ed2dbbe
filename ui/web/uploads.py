"""A photo that has arrived on the page: where it lies, its faces, and which of them are picked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ...attacks.faces.detection import search
from ...attacks.faces.found import SMALLEST
from ...core.errors import BadPhoto, NoFace, VeilError
from ...core.images import open_photo
from ...core.types import Face
from ...eval.report import Unprotected
from ..pipes import is_clip
from ..selection import left_of
from ..wording import unprotected, ways_out
from . import html
from .page import Page
from .pictures import show_copy
from .sessions import Visitor

NO_FACE_HINT = (
    "Try a photo in which the face is larger, better lit, or not covered; very small faces and "
    "those that look away are missed."
)


@dataclass
class Arrival:
    """A photo with its faces by number, the largest being 1; `picked` are those that will be protected.

    unprotected: those that are not picked unless somebody does it, or cannot be.
    """

    path: Path
    name: str
    size: tuple[int, int]
    faces: dict[int, Face]
    shown: Path
    unprotected: tuple[Unprotected, ...] = ()
    picked: list[int] = field(default_factory=list[int])

    @property
    def choices(self) -> list[tuple[str, int]]:
        """The faces that are large enough, as a choice."""
        return [(f"Face {number}", number) for number in self.large]

    @property
    def large(self) -> list[int]:
        """The numbers of the faces that are large enough to be protected."""
        return [number for number, face in self.faces.items() if face.side >= SMALLEST]

    @property
    def left_out(self) -> list[VeilError]:
        """What to say of the faces that are not protected unless they are chosen, or cannot be: an error for
        each reason."""
        left = self.unprotected
        return [
            VeilError(" ".join(said), way_out)
            for reason, way_out in ways_out().items()
            if (said := unprotected((face for face in left if face.reason == reason), self.name))
        ]

    def picture(self, group: str) -> str:
        """The photo with its faces as buttons, in HTML; they press the inputs of the element `group`."""
        found = {number: self.faces[number] for number in self.large}
        return html.faces(self.shown, self.name, self.size, found, self.picked, group)


def arrive(page: Page, visitor: Visitor, path: str) -> Arrival:
    """Open a photo and find its faces; all that are large enough are picked, but what is in doubt.

    Raises:
        BadPhoto, NoFace: it cannot be used, or shows no face that can be protected.
    """
    page.rules.admit(path)
    if is_clip(Path(path)):
        raise BadPhoto(
            f"{Path(path).name} is a clip; here a photo is needed.",
            "The tab Clip protects clips, and says what recognisers make of them. `veil assess BEFORE AFTER` "
            "judges two clips.",
        )
    photo = open_photo(Path(path))
    found = search(photo.pixels)
    left = left_of(photo, found, found.protectable)
    if not found.faces:
        raise NoFace(f"No face was found in {photo.name}.", " ".join((*unprotected(left), NO_FACE_HINT)))
    if not found.protectable:
        raise NoFace(
            f"The face in {photo.name} measures only {found.faces[0].side:.0f} pixels.",
            ways_out()["too small"],
        )
    arrival = Arrival(Path(path), photo.name, photo.size, found.numbered, visitor.path_for("faces.jpg"), left)
    arrival.picked = found.protectable
    show_copy(photo, arrival.shown)
    return arrival
