"""What is written beside a protected picture, and what is read from it again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeAlias, TypedDict, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from ..attacks.faces.boxes import iou
from ..attacks.faces.detection import SAME_PLACE
from ..attacks.faces.found import Reason
from ..core.errors import MadeOtherwise
from ..core.files import printable
from ..eval.datasets import checksum
from ..eval.report import Report
from ..eval.verification import UsedByAttack
from ..privacy.settings import EFFORTS, PRESETS, Settings
from ..privacy.settings import settings as preset
from .limits import LIMITS
from .outputs import Output
from .selection import Choice

# Of records: 1 had no number and no notes, 2 no checksum, 3 no origin, and settings by other names; those of
# clips had no number before.
SCHEMA = 4
CUSTOM = "custom"  # in place of the name of a strength or effort
# Of settings, what no strength or effort decides.
FREE = ("method", "prior", "size", "device", "surrogates", "goal", "seed")


Shortfall: TypeAlias = Literal[
    "no face found", "face left", "still recognised", "linked"
]  # why a photo is not all protected; "linked" is said of an album

# What entries of an origin are called on the command line, where it is by another name.
OPTIONS = {"references": "--me", "numbers": "--faces", "people": "--only or --except", "spare": "--except"}


# Checksums of files, in whichever order they are given.
Files: TypeAlias = Annotated[tuple[str, ...], AfterValidator(sorted), AfterValidator(tuple[str, ...])]


class Origin(BaseModel):
    """What decides a result beside its settings: files, by checksum ("" for none), and how it is written.

    album: whether it is kept apart from the photos of its album that were protected before it.
    references: the photos that were given to say better who a person is; the report says of each face which
        of them counted.
    """

    model_config = ConfigDict(frozen=True)

    photo: str
    target: str = ""
    probe: str = ""
    quality: int | None = None
    keep_metadata: bool = False
    album: bool = False
    references: Files = ()


def origin(
    output: Output,
    target: Path | None = None,
    probe: Path | None = None,
    album: bool = False,
    references: Iterable[Path] = (),
) -> Origin:
    """What the results of a run are made from, beside the photo of each."""
    return Origin(
        photo="",
        target=checksum(target) if target else "",
        probe=checksum(probe) if probe else "",
        quality=output.quality,
        keep_metadata=output.keep_metadata,
        album=album,
        references=tuple(map(checksum, references)),
    )


class Record(BaseModel):
    """What is written beside a protected picture: enough to make it again and to judge it again.

    strength, effort: their names, or "custom" where the settings are others; None in records of before.
    picture_sha256: of the file of the protected picture, by which it is known again.
    origin: what it was made from, by which a run that goes on knows what is done; None in records of before.
    doubtful: the faces, by number, of which it could not be told whether they are the person asked for.
    notes: what reading the photo left out, and in what else the result differs from it.
    ignored: which other photos of people show nobody who is protected, a sentence each.
    """

    schema_number: int = SCHEMA
    veil: str
    photo: str
    settings: Settings
    strength: str | None = None
    effort: str | None = None
    report: Report
    picture_sha256: str = ""
    origin: Origin | None = None
    doubtful: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    limits: str = LIMITS

    def shortfalls(self, strict: bool = False, by_choice: bool = False) -> tuple[Shortfall, ...]:
        """Why not all is protected: a face was too small, or a recogniser that judges still knows one.

        strict: any recogniser counts. by_choice: what was left was left on purpose.
        """
        left = () if by_choice else left_behind(face.reason for face in self.report.unprotected)
        return (*left, *(("still recognised",) if still_known(self.report, strict) else ()))


class Names(TypedDict):
    """The strength and the effort of settings."""

    strength: str
    effort: str


def named(used: Settings) -> Names:
    """The strength and the effort that settings are of, by name; "custom" where they are of none."""
    own: dict[str, Any] = {name: getattr(used, name) for name in (*FREE, "steps")}
    strength = next((name for name in PRESETS if preset(name, **own) == used), CUSTOM)
    effort = next((name for name, values in EFFORTS.items() if values["steps"] == used.steps), CUSTOM)
    return {"strength": strength, "effort": effort}


class Asked(Protocol):
    """What a recogniser said, of a photo or of a clip."""

    @property
    def used_by_attack(self) -> UsedByAttack: ...


Answer = TypeVar("Answer", bound=Asked)


def left_behind(reasons: Iterable[Reason | None]) -> tuple[Shortfall, ...]:
    """Whether a face was left because it is too small to be protected, as a shortfall.

    Args:
        reasons: why each face was left; None for one that was not.
    """
    return ("face left",) if "too small" in reasons else ()


def that_count(answers: Iterable[Answer], strict: bool = False) -> list[Answer]:
    """The answers by which a protection is judged: those of recognisers that it has never met; all, by
    `strict` or where no such recogniser was asked."""
    every = list(answers)
    honest = [one for one in every if one.used_by_attack == "no"]
    return every if strict or not honest else honest


def still_known(report: Report, strict: bool = False) -> bool:
    """Whether a recogniser that counts, as `that_count` has it, still knows a face."""
    matches = (match for face in report.faces for match in face.matches)
    return any(match.still_recognised for match in that_count(matches, strict))


class Made(Protocol):
    """The part of a record, of a photo or clip, that says how a result was made."""

    @property
    def settings(self) -> Settings: ...
    @property
    def strength(self) -> str | None: ...
    @property
    def effort(self) -> str | None: ...


def done_before(picture: Path, settings: Settings, origin: Origin, choice: Choice) -> Record | None:
    """The record beside a picture, where it says that just this was done to just these faces of a photo.

    Raises:
        MadeOtherwise: it says that something else was done.
    """
    try:
        record = Record.model_validate_json(picture.with_suffix(".json").read_bytes())
        if not record.origin or record.picture_sha256 != checksum(picture):
            return None
    except (OSError, ValidationError):
        return None
    check_made_so(picture, record, record.origin, settings, origin)
    boxes = {face.number: np.array(face.box, float) for face in record.report.faces}
    found = set(boxes) == set(choice.faces) and all(
        iou(face.box, boxes[number]) > SAME_PLACE for number, face in choice.faces.items()
    )
    if not found:
        raise _otherwise(picture, "of other faces")
    return record


def check_made_so(result: Path, made: Made, of: BaseModel, settings: Settings, origin: BaseModel) -> None:
    """Check that a result was made with these settings, of these files.

    Args:
        of, origin: what it was made from, and what it is to be made from, as `Origin`.

    Raises:
        MadeOtherwise: it was not; the message says how it was made.
    """
    if (made.settings, of) == (settings, origin):
        return
    said = [f"at strength {made.strength}, effort {made.effort}"] if made.strength else []
    alike = not made.strength or {"strength": made.strength, "effort": made.effort} == named(settings)
    values, old, new = settings.model_dump(), of.model_dump(), origin.model_dump()
    run = made.settings.model_dump(include=None if alike else set(FREE))
    said += [f"with another {name.replace('_', ' ')}" for name in run if run[name] != values[name]]
    said += [_option(name, old[name], new[name]) for name in old if old[name] != new[name]]
    raise _otherwise(result, *said)


def _option(name: str, old: object, new: object) -> str:
    """How a result was made, where that differs from what is asked for now by an entry of its origin."""
    if name in ("photo", "clip"):
        return "of another file of this name"
    option = OPTIONS.get(name, f"--{name.replace('_', '-')}")
    if old and new:
        return f"with another {option}"
    return f"with {option}" if old else f"without {option}"


def _otherwise(result: Path, *how: str) -> MadeOtherwise:
    return MadeOtherwise(
        f"{printable(result)} exists already, made with other settings: {', '.join(how)}.",
        "It is left as it is. Give -o OTHER_FOLDER to keep both, or --force to replace it.",
    )
