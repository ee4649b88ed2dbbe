"""From files to files: what both front ends do with a photo, and all that is checked before the long work."""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import numpy as np
from pydantic import BaseModel, ValidationError

from ..attacks import RECOGNIZERS, attacked, packaged
from ..attacks.faces import SMALLEST, Found, find_faces, largest_face, search
from ..core.errors import BadPhoto, BadSettings, NoFace
from ..core.files import beside, printable
from ..core.images import open_photo, to_tensor
from ..core.types import Face, Photo, Pixels, Step, Work
from ..core.writing import save_photo
from ..eval.calibration import Calibration
from ..eval.disturbances import DISTURBANCES
from ..eval.report import Report, Unprotected, assess, same_place
from ..eval.verification import embedding
from ..privacy import protect
from ..privacy.priors import PRIORS, placed
from ..privacy.settings import Settings
from ..weights import store
from ..weights.registry import card, cards, learn
from .outputs import Output, claimed, fallen_back, picture_of
from .present import LIMITS, Likeness

ENDURED = {"saved as JPEG 75": "jpeg-75", "shrunk to half": "resize-50"}  # what the page tries on results
SCHEMA = 2  # of records: 1 had no number and no notes
Survival: TypeAlias = dict[
    str, dict[tuple[int, str], Likeness]
]  # what happened -> (face, recogniser) -> says


class Record(BaseModel):
    """What is written beside a protected picture: enough to make it again and to judge it again.

    notes: what reading the photo left out, and in what else the result differs from it.
    """

    schema_number: int = SCHEMA
    veil: str
    photo: str
    settings: Settings
    report: Report
    notes: tuple[str, ...] = ()
    limits: str = LIMITS

    def falls_short(self, strict: bool = False, by_choice: bool = False) -> bool:
        """Whether a face was too small to protect, or a recogniser that was not used still knows one.

        strict: any recogniser counts. by_choice: what was left was left on purpose.
        """
        left = any(face.reason == "too small" for face in self.report.unprotected)
        return (left and not by_choice) or still_known(self.report, strict)


def still_known(report: Report, strict: bool = False) -> bool:
    """Whether a recogniser that the protection has never met, or by `strict` any, still knows a face."""
    matches = (match for face in report.faces for match in face.matches)
    return any(match.still_recognised and (strict or match.seen == "no") for match in matches)


class _Used(BaseModel):
    """The part of a record that tells which recognisers made a picture."""

    class Named(BaseModel):
        surrogates: tuple[str, ...]

    settings: Named


@dataclass(frozen=True)
class Job:
    """A photo that is ready to be protected: the chosen faces by number, the files to write, and what was
    found beside the chosen faces."""

    source: Path
    faces: dict[int, Face]
    picture: Path
    record: Path
    output: Output = Output()
    unprotected: tuple[Unprotected, ...] = ()
    notes: tuple[str, ...] = ()


def device() -> str:
    """Where the environment wants the work to be done."""
    return os.environ.get("VEIL_DEVICE", "cpu")


def names(listed: str | None) -> tuple[str, ...]:
    """The names in "dlib,faceres"."""
    return tuple(name.strip() for name in listed.split(",")) if listed else ()


def surrogates(named: str | None, everyone: bool, left_out: str | None) -> tuple[str, ...]:
    """The recognisers that the protection uses: those named, or every one, or all but one and its kin.

    Raises:
        BadSettings: more than one of the three is asked for.
        UnknownName: no recogniser has this name.
    """
    if sum(map(bool, (named, everyone, left_out))) > 1:
        raise BadSettings(
            "--surrogates, --all-surrogates and --leave-out exclude each other.", "Give one of them."
        )
    if everyone:
        return packaged()
    if named:
        return tuple(RECOGNIZERS.check(name) for name in names(named))
    return attacked(left_out)


def check_models(settings: Settings) -> None:
    """Check that the prior and all recognisers, which judge in the end, are here and undamaged.

    Raises:
        UnknownName, WeightsMissing, WeightsCorrupt: as it says.
        BadSettings: this machine has no such device.
    """
    placed(settings.device)
    for name in (PRIORS.check(settings.prior), *settings.surrogates, *packaged()):
        if name.partition(":")[0] in cards():
            store.path(name)


def prepare(source: Path, output: Output, numbers: Collection[int], taken: set[str]) -> Job:
    """Check everything that could go wrong with one photo, and choose its faces.

    Args:
        numbers: of the faces, 1 being the largest; where empty, all that are large enough.
        taken: the real paths that must not be written to; those of this job are added.

    Raises:
        BadPhoto: the photo cannot be used, or the result not be written.
        NoFace, BadSettings: as `choose` does.
    """
    photo = open_photo(source)
    found = search(photo.pixels)
    faces = choose(photo.name, found, numbers)
    picture = picture_of(source, photo, output, taken)
    record = picture.with_suffix(".json")
    taken |= claimed((picture, record), taken, output.force)
    left = tuple(
        Unprotected(number=number, box=face.within(photo.size), reason=found.reason(number))
        for number, face in found.numbered.items()
        if number not in faces
    )
    return Job(
        source, faces, picture, record, output, left, (*photo.warnings, *fallen_back(photo, picture, output))
    )


def choose(name: str, found: Found, numbers: Collection[int]) -> dict[int, Face]:
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


def place(path: Path | None) -> tuple[Photo, Face] | None:
    """A photo and its largest face.

    Raises:
        BadPhoto, NoFace: it cannot be used, or shows no face.
    """
    if path is None:
        return None
    photo = open_photo(path)
    return photo, largest_face(photo.pixels)


def run(
    job: Job, settings: Settings, target: tuple[Photo, Face] | None = None, probe: Photo | None = None
) -> Work[tuple[Photo, Record]]:
    """Protect a photo and write picture and record, which appear together or not at all.

    Yields a first step that shows the face, then one for each of the protection's. Returns the photo as it
    was and the record, whose report judges the written file, opened again.

    Raises:
        BadPhoto: the result cannot be written, or something has appeared in its place.
    """
    photo, output = open_photo(job.source), job.output
    yield Step("getting ready", 0, 1, preview=_close_up(photo, job.faces))
    protected = yield from protect(photo, list(job.faces.values()), settings, target)
    yield Step("judging", 0, 1)
    numbers = list(job.faces)
    with _told(job.picture), beside(job.picture, job.record, replace=output.force) as (picture, record):
        save_photo(protected.photo, picture, keep_metadata=output.keep_metadata, quality=output.quality)
        report = assess(
            photo,
            open_photo(picture),
            seen=frozenset(settings.surrogates),
            probe=probe,
            faces=job.faces,
            limited=[numbers[index] for index in protected.limited],
            unfinished=[numbers[index] for index in protected.unfinished],
            unprotected=job.unprotected,
        )
        written = Record(
            veil=version("veil"),
            photo=photo.name,
            settings=settings,
            report=report,
            notes=job.notes,
        )
        record.write_text(written.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return photo, written


@contextmanager
def _told(path: Path) -> Generator[None]:
    """What the file system refuses, as an error for people."""
    try:
        yield
    except OSError as error:
        raise BadPhoto(
            f"{printable(path)} cannot be written ({error.strerror}).",
            "Is the disk full, or the name too long?",
        ) from error


def _close_up(photo: Photo, faces: Mapping[int, Face]) -> Pixels:
    """The first face and some of what is around it, as it is before the work."""
    face = next(iter(faces.values()))
    margin = 0.4 * face.side * np.array([-1, -1, 1, 1])
    left, top, right, bottom = Face(face.box + margin, face.points).within(photo.size)
    return photo.pixels[top:bottom, left:right]


def endure(photo: Photo, after: Photo, faces: Mapping[int, Face], report: Report) -> Work[Survival]:
    """Ask the report's recognisers again after what is likely to happen to a protected photo: `ENDURED`.

    Faces are found afresh in what became of it, but the photo before is looked at only once.
    """
    limits = {match.recognizer: match.threshold for match in report.faces[0].matches}
    image = to_tensor(photo.pixels)
    known = {
        (number, name): embedding(name, image, face) for number, face in faces.items() for name in limits
    }
    survival: Survival = {}
    for done, (title, name) in enumerate(ENDURED.items()):
        yield Step("checking what survives", done, len(ENDURED))
        pixels = DISTURBANCES[name](after.pixels)
        image, found = to_tensor(pixels), find_faces(pixels)
        places = {number: same_place(face, found) or face for number, face in faces.items()}
        survival[title] = {
            (number, judge): Likeness(
                judge, round(float(before @ embedding(judge, image, places[number])), 4), limits[judge]
            )
            for (number, judge), before in known.items()
        }
    return survival


def same_person(one: tuple[Photo, Face], other: tuple[Photo, Face]) -> list[Likeness]:
    """What every packaged recogniser makes of the faces of any two photos.

    Raises:
        WeightsMissing, WeightsCorrupt: as `attacks.recognizer` does.
    """
    images = [(to_tensor(photo.pixels), face) for photo, face in (one, other)]
    found: list[Likeness] = []
    for name in packaged():
        first, second = (embedding(name, image, face) for image, face in images)
        found.append(Likeness(name, round(float(first @ second), 4), card(name).thresholds["far1"]))
    return found


def known_surrogates(after: Path) -> frozenset[str] | None:
    """The recognisers that made a protected picture, as the record beside it says; None where it has none.

    Raises:
        BadSettings: there is a record that does not say it, so that nobody could be an honest judge.
    """
    beside_it = after.with_suffix(".json")
    try:
        return frozenset(_Used.model_validate_json(beside_it.read_bytes()).settings.surrogates)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        raise BadSettings(
            f"{printable(beside_it)} does not say which recognisers were used, as reports of veil do.",
            'Name them with --seen dlib,faceres; --seen "" says that there were none.',
        ) from error


def keep_thresholds(measured: Calibration) -> None:
    """Keep measured thresholds on the cards of recognisers that are not packaged."""
    for one in measured.measured:
        if not card(one.recognizer).packaged:
            values = {rate: round(bound.value, 4) for rate, bound in one.thresholds.items()}
            learn(card(one.recognizer).name, thresholds=values)
