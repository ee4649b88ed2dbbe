"""What the records beside photos and clips say of them: that they are protected, by what, and which faces."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ValidationError

from ..attacks.faces.boxes import iou
from ..attacks.faces.detection import SAME_PLACE
from ..attacks.faces.found import Found
from ..core.errors import BadSettings
from ..core.files import printable
from ..core.types import Face
from ..eval.datasets import checksum
from ..eval.report import Report


class _Earlier(BaseModel):
    """The part of a record that tells which picture it is of, and what was done to it."""

    picture_sha256: str
    report: Report


class _Used(BaseModel):
    """The part of a record that tells which recognisers made which picture."""

    class Named(BaseModel):
        surrogates: tuple[str, ...]

    picture_sha256: str
    settings: Named


def known_surrogates(after: Path, record: Path | None = None) -> frozenset[str] | None:
    """The recognisers that made a protected picture, as its record says, by default the one beside it; None
    where it has none.

    Raises:
        BadSettings: there is a record that does not say it, or not of this picture as it is now, so that
            nobody could be an honest judge.
    """
    if not os.path.isfile(after):  # which whoever opens it complains of
        return None
    beside_it, hint = (
        record or after.with_suffix(".json"),
        'Name them with --seen dlib,faceres; --seen "" says none.',
    )
    try:
        used = _Used.model_validate_json(beside_it.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise BadSettings(
            f"{printable(beside_it)} does not say of which picture it is and which recognisers were used, as "
            "reports of veil do.",
            hint,
        ) from error
    if used.picture_sha256 != checksum(after):
        raise BadSettings(
            f"{printable(beside_it)} is the report of another picture than {printable(after)}, or this has "
            "changed since; so it does not say which recognisers were used.",
            hint,
        )
    return frozenset(used.settings.surrogates)


def known_to_either(before: Path, after: Path) -> frozenset[str] | None:
    """The recognisers that made a protected photo or clip, as the record beside it says, or that of what it
    was before, which then was protected already; None where neither has one.

    Raises:
        BadSettings: the record beside `after` does not say it; see `known_surrogates`.
    """
    if (known := known_surrogates(after)) is not None:
        return known
    with suppress(BadSettings):
        return known_surrogates(before)
    return None


class Beside:
    """The records that lie beside photos; what a folder holds is read once, when its first photo is met."""

    def __init__(self) -> None:
        self._folders = dict[Path, dict[str, Report]]()

    def earlier(self, photo: Path) -> Report | None:
        """The report of the protection that made a photo; None where no record in its folder has its
        checksum."""
        if (folder := photo.parent) not in self._folders:
            self._folders[folder] = _reports(sorted(folder.glob("*.veiled.json")))
        known = _reports([photo.with_suffix(".json")]) | self._folders[folder]
        return known.get(checksum(photo)) if known else None

    def already_protected(self, photo: Path, found: Found) -> set[int]:
        """The numbers of the faces of a photo that veil has protected, as the record of the photo says."""
        report = self.earlier(photo)
        return {*protected_faces(report, found)} if report else set()


def protected_faces(report: Report, found: Found) -> dict[int, Face]:
    """The faces of a photo, by number, that a report on it, or on its result, says are protected."""
    boxes = [np.array(face.box, float) for face in report.faces]
    return {
        number: face
        for number, face in found.numbered.items()
        if any(iou(face.box, box) > SAME_PLACE for box in boxes)
    }


def _reports(records: Iterable[Path]) -> dict[str, Report]:
    """The reports of records, by the checksum of the picture that each is of; no file may be one."""
    known = dict[str, Report]()
    for record in records:
        with suppress(OSError, ValidationError):
            read = _Earlier.model_validate_json(record.read_bytes())
            known[read.picture_sha256] = read.report
    return known
