"""What has arrived on the page: photos with their faces, of which some are picked; clips; what is no use."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from ...attacks.faces.detection import search
from ...attacks.faces.found import SMALLEST
from ...core.errors import BadClip, BadPhoto, NoFace, VeilError
from ...core.images import open_photo, size_of
from ...core.types import Face
from ...core.video import Clip, open_clip
from ...eval.report import Unprotected
from ..face_words import unprotected, ways_out
from ..pipes import is_clip
from ..selection import left_of
from . import html
from .page import Page, known
from .pictures import show_copy
from .sessions import Visitor

NO_FACE_HINT = (
    "Try a photo in which the face is larger, better lit, or not covered; very small faces and "
    "those that look away are missed."
)


@dataclass
class Arrival:
    """A photo with its faces by number, the largest being 1; `picked` are those that will be protected.

    upload: the path under which it came; path: where it lies by its own name.
    unprotected: those that are not picked unless somebody does it, or cannot be.
    """

    upload: str
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
            f"{name_of(path)} is a clip by its name; here a photo is needed.",
            "The tabs Clip and Album protect clips, and Check judges them, further down.",
        )
    own = _by_its_name(visitor, path)
    photo = open_photo(own)
    found = search(photo.pixels)
    left = left_of(photo, found, found.protectable)
    if not found.faces:
        raise NoFace(f"No face was found in {photo.name}.", " ".join((*unprotected(left), NO_FACE_HINT)))
    if not found.protectable:
        raise NoFace(
            f"The face in {photo.name} measures only {found.faces[0].side:.0f} pixels.",
            ways_out()["too small"],
        )
    shown = visitor.path_for("faces.jpg")
    arrival = Arrival(path, own, photo.name, photo.size, found.numbered, shown, left)
    arrival.picked = found.protectable
    show_copy(photo, arrival.shown)
    return arrival


def name_of(path: str) -> str:
    """The name that an upload had where it came from, if `gradio_queue.keep_name` has seen it come."""
    return Path(getattr(path, "orig_name", None) or path).name or Path(path).name


def _by_its_name(visitor: Visitor, path: str) -> Path:
    """Where an upload lies by its own name, out of which gradio takes some characters."""
    if name_of(path) in (Path(path).name, ".."):
        return Path(path)
    try:
        return Path(shutil.copyfile(path, visitor.path_for(name_of(path))))
    except (OSError, ValueError):  # no name for a file here
        return Path(path)


def arrived_clip(page: Page, path: str | None) -> Clip:
    """Open a clip, if the rules allow it.

    Raises:
        BadPhoto: there is none, it is too large or too long for this page, or cannot be used (`BadClip`).
    """
    if not path:
        raise BadClip("There is no clip yet.", "Drop one above.")
    page.rules.admit(path)
    if not is_clip(Path(path)):
        raise BadClip(f"{Path(path).name} is no video by its name.", "Drop an MP4, MOV, MKV or WebM.")
    clip = open_clip(Path(path))
    page.rules.admit_clip(clip.name, clip.size, clip.seconds)
    return clip


def admit_album(page: Page, paths: Collection[str]) -> None:
    """Check how much one job is to hold: how many files, and how long their clips last together.

    Raises:
        BadPhoto: there is none, or too much for this page.
    """
    page.rules.admit_album(paths)
    if page.rules.film:
        page.rules.admit_film(sum(_seconds(page, path) for path in paths if is_clip(Path(path))))


def admit_references(page: Page, paths: Collection[str | Path], only: str | None = None) -> None:
    """Check photos by which people are known, before they are decoded.

    Raises:
        BadPhoto: they are too many or too large for this page, or were deleted.
    """
    if paths:
        page.rules.admit_album([*map(str, paths)])
    for path in (*paths, *filter(None, (only,))):
        page.rules.admit(path)


def _seconds(page: Page, path: str) -> float:
    """How long a clip lasts; nothing where it cannot be used, which is told when its turn comes."""
    try:
        return arrived_clip(page, path).seconds
    except Exception:
        return 0.0


def refusals(page: Page, paths: Collection[str], film: bool = False) -> list[VeilError]:
    """What is wrong with the files of one job, as far as it can be told before anything is decoded that takes
    long.

    Args:
        film: whether they have to be clips.
    """
    problems, seconds = list[VeilError](), 0.0
    for path in paths:
        try:
            if film or is_clip(Path(path)):
                seconds += arrived_clip(page, path).seconds
            else:
                _look_at_header(page, path)
        except Exception as error:
            problems.append(known(error))
    try:
        if paths:
            page.rules.admit_album(paths)
            page.rules.admit_film(seconds)
    except Exception as error:
        problems.append(known(error))
    return problems


def _look_at_header(page: Page, path: str) -> None:
    """Check what the header of a photo tells.

    Raises:
        BadPhoto: it is too large for this page, or no picture.
    """
    page.rules.admit(path)
    try:
        size_of(Path(path))
    except Exception:  # decoders raise whatever their parser stumbles over
        open_photo(Path(path))
