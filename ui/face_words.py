"""What there is to say of the faces of a photo: which can be protected, and which stayed as they were."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from .wording import Row

if TYPE_CHECKING:
    from ..attacks.faces.found import Found, Reason
    from ..eval.report import Unprotected

FACE_COLUMNS = ("Face", "Left, top", "Pixels", "Can be protected")
BY_CHOICE = (
    "not chosen",
    "another person",
    "spared",
)  # reasons to leave a face that nobody need be warned of


def unprotected(
    faces: Iterable[Unprotected], photo: str = "", way: str = "", protected: Collection[int] = ()
) -> list[str]:
    """What was found in the photo, which may be named, and left as it was, a sentence each.

    Args:
        way: how what only one detector takes for a face is protected, with {} for the numbers of all that
            are then `protected`.
    """
    of, said = f" of {photo}" * bool(photo), list[str]()
    for left in faces:
        x0, y0, x1, y1 = left.box
        place = f"{x1 - x0}x{y1 - y0} pixels at {x0}, {y0}"
        if left.reason != "taken for no face":
            said.append(f"Not protected: face {left.number}{of}, {left.reason} ({place}).")
            continue
        numbers = ",".join(map(str, sorted({*protected, left.number})))
        said.append(
            f"Left as it is: {place}{of}, which one detector takes for a face (number {left.number}) and "
            f"another does not.{f' If it is one, {way.format(numbers)}.' if way else ''}"
        )
    return said


def by_number(instead: str = "", several: bool = False, written: bool = False) -> str:
    """How `veil protect` protects what only one detector takes for a face: `unprotected`'s `way`.

    Args:
        instead: the option that was given to choose faces, which excludes --faces.
        several: whether there are other photos, whose faces have numbers of their own.
        written: whether there is a result by now, which the new one replaces.
    """
    how = "protect the photo alone, with" if several else "give"
    return f"{how} --faces {{}}{' --force' * written}{f' instead of {instead}' if instead else ''}"


def ways_out() -> dict[Reason, str]:
    """What can be done about faces that nobody chose to leave, by why they are left."""
    from ..attacks.faces.found import SMALLEST

    return {
        "too small": f"Faces need {SMALLEST:.0f} pixels or more: take the photo in a larger size.",
        "taken for no face": "If it is one, click it in the photo, or tick it below.",
    }


def face_rows(found: Found, protected: Collection[int] = ()) -> list[Row]:
    """One row for each face of a photo, as `FACE_COLUMNS` names them; `protected` are so already."""
    return [
        (
            str(number),
            f"{face.box[0]:.0f}, {face.box[1]:.0f}",
            f"{face.side:.0f}",
            "is protected already" if number in protected else _can_be_protected(found, number),
        )
        for number, face in found.numbered.items()
    ]


def _can_be_protected(found: Found, number: int) -> str:
    if number in found.protectable:
        return "yes"
    if (reason := found.reason(number)) == "taken for no face":
        return "by its number: only one of two detectors takes it for a face"
    return f"no, {reason}"
