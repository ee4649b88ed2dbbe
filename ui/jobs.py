"""From files to files: what both front ends do with a photo, and all that is checked before the long work."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import numpy as np
from pydantic import BaseModel, ValidationError

from ..attacks import RECOGNIZERS, attacked, packaged
from ..attacks.faces import SMALLEST, Found, find_faces, largest_face, search
from ..core.errors import BadPhoto, BadSettings, NoFace
from ..core.images import beside, check_writable, names_picture, open_photo, save_photo, to_tensor
from ..core.types import Face, Photo, Pixels, Step, Work
from ..eval.calibration import Calibration
from ..eval.disturbances import DISTURBANCES
from ..eval.report import Report, Unprotected, assess, same_place
from ..eval.verification import embedding
from ..privacy import protect
from ..privacy.priors import PRIORS, placed
from ..privacy.settings import Settings
from ..weights import store
from ..weights.registry import card, cards, learn
from .present import LIMITS, Likeness

ENDURED = {
    "saved as JPEG 75": "jpeg-75",
    "shrunk to half": "resize-50",
}  # what the page tries on results
SUFFIXES = {"JPEG": ".jpg", "WEBP": ".webp"}
Survival: TypeAlias = dict[
    str, dict[tuple[int, str], Likeness]
]  # what happened -> (face, recogniser) -> says


class Record(BaseModel):
    """What is written beside a protected picture: enough to make it again and to judge it again."""

    veil: str
    photo: str
    settings: Settings
    report: Report
    limits: str = LIMITS


@dataclass(frozen=True)
class Job:
    """A photo that is ready to be protected: the chosen faces by number, the files to write, and what was
    found beside the chosen faces."""

    source: Path
    faces: dict[int, Face]
    picture: Path
    record: Path
    unprotected: tuple[Unprotected, ...] = ()


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


def prepare(
    source: Path, output: Path | None, format: str, numbers: Collection[int], force: bool, taken: set[Path]
) -> Job:
    """Check everything that could go wrong with one photo, and choose its faces.

    Args:
        output: the folder to write to, or the picture to write; beside the photo where None.
        format: "png", "jpeg", "webp", or "keep" for the photo's own; the name of the picture tells more.
        numbers: of the faces, 1 being the largest; where empty, all that are large enough.
        force: whether existing files may be replaced.
        taken: the resolved paths that must not be written to; those of this job are added.

    Raises:
        BadPhoto: the photo cannot be used, or the result not be written.
        NoFace, BadSettings: as `choose` does.
    """
    photo = open_photo(source)
    found = search(photo.pixels)
    faces = choose(photo.name, found, numbers)
    if output and names_picture(output):
        picture = output
    else:
        suffix = SUFFIXES.get(photo.format if format == "keep" else format.upper(), ".png")
        picture = (output or source.parent) / f"{source.stem}.veiled{suffix}"
    rest = tuple(
        Unprotected(number=number, box=face.within(photo.size), reason=found.reason(number))
        for number, face in found.numbered.items()
        if number not in faces
    )
    job = Job(source, faces, picture, picture.with_suffix(".json"), rest)
    check_writable(picture.parent)
    for path in (job.picture, job.record):
        if path.resolve() in taken:
            raise BadPhoto(
                f"{path} would replace another photo or result of this run.", "Name another folder."
            )
        if path.exists() and not force:
            raise BadPhoto(f"{path} exists already.", "Give --force to replace it, or another folder.")
    taken |= {job.picture.resolve(), job.record.resolve()}
    return job


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
    job: Job,
    settings: Settings,
    target: tuple[Photo, Face] | None = None,
    probe: Photo | None = None,
    keep_metadata: bool = False,
) -> Work[tuple[Photo, Report]]:
    """Protect a photo and write picture and record, which appear together or not at all.

    Yields a first step that shows the face, then one for each of the protection's. Returns the photo as it
    was and the report, which judges the written file, opened again.
    """
    photo = open_photo(job.source)
    yield Step("getting ready", 0, 1, preview=_close_up(photo, job.faces))
    protected = yield from protect(photo, list(job.faces.values()), settings, target)
    yield Step("judging", 0, 1)
    numbers = list(job.faces)
    with beside(job.picture, job.record) as (picture, record):
        save_photo(protected.photo, picture, keep_metadata=keep_metadata)
        report = assess(
            photo,
            open_photo(picture),
            seen=frozenset(settings.surrogates),
            probe=probe,
            faces=job.faces,
            limited=[numbers[index] for index in protected.limited],
            unprotected=job.unprotected,
        )
        written = Record(veil=version("veil"), photo=job.source.name, settings=settings, report=report)
        record.write_text(written.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return photo, report


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
    """The recognisers that made a protected picture, as the record beside it says; None where it has none."""
    try:
        written = Record.model_validate_json(after.with_suffix(".json").read_bytes())
    except (OSError, ValidationError):
        return None
    return frozenset(written.settings.surrogates)


def keep_thresholds(measured: Calibration) -> None:
    """Keep measured thresholds on the cards of recognisers that are not packaged."""
    for one in measured.measured:
        if not card(one.recognizer).packaged:
            values = {rate: round(bound.value, 4) for rate, bound in one.thresholds.items()}
            learn(card(one.recognizer).name, thresholds=values)
