"""From files to files: what both front ends do with a photo, and all that is checked before the long work."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from ..attacks import RECOGNIZERS, attacked, packaged
from ..attacks.faces import SAME, Found, find_faces, iou, largest_face, search
from ..attacks.person import Person
from ..core.errors import BadPhoto, BadSettings
from ..core.files import atomic_write, printable
from ..core.images import open_photo, to_tensor
from ..core.types import Face, Photo, Pixels, Sighting, Stage, Step, Steps, tracks_of
from ..core.writing import save_photo
from ..eval.calibration import Calibration
from ..eval.datasets import checksum
from ..eval.disturbances import DISTURBANCES
from ..eval.report import Report, Unprotected, assess, same_place
from ..eval.verification import embedding
from ..privacy import Protected, protect
from ..privacy.priors import PRIORS, resolve_device
from ..privacy.settings import Settings
from ..weights import store
from ..weights.registry import card, cards, remember
from .outputs import Output, claimed, fallen_back, picture_of, real
from .selection import Choice, Whom, choose, left_of
from .wording import LIMITS, Likeness

ENDURED = {"saved as JPEG 75": "jpeg-75", "shrunk to half": "resize-50"}  # what the page tries on results
SCHEMA = (
    4  # of records: 1 had no number and no notes, 2 no checksum, 3 no origin, and settings by other names
)
AGAIN = (
    "{} is protected already, and is protected once more: that changes the faces further. Better protect the "
    "photo as it was before."
)
Shortfall: TypeAlias = Literal["face left", "still recognised"]  # why a photo is not all protected
Survival: TypeAlias = dict[
    str, dict[tuple[int, str], Likeness]
]  # what happened -> (face, recogniser) -> says


class Origin(BaseModel):
    """What decides a result beside its settings: files, by checksum ("" for none), and how it is written."""

    model_config = ConfigDict(frozen=True)

    photo: str
    target: str = ""
    probe: str = ""
    quality: int | None = None
    keep_metadata: bool = False


class Record(BaseModel):
    """What is written beside a protected picture: enough to make it again and to judge it again.

    picture_sha256: of the file of the protected picture, by which it is known again.
    origin: what it was made from, by which a run that goes on knows what is done; None in records of before.
    doubtful: the faces, by number, of which it could not be told whether they are the person asked for.
    notes: what reading the photo left out, and in what else the result differs from it.
    """

    schema_number: int = SCHEMA
    veil: str
    photo: str
    settings: Settings
    report: Report
    picture_sha256: str = ""
    origin: Origin | None = None
    doubtful: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    limits: str = LIMITS

    def shortfalls(self, strict: bool = False, by_choice: bool = False) -> tuple[Shortfall, ...]:
        """Why not all is protected: a face was too small, or a recogniser that was not used still knows one.

        strict: any recogniser counts. by_choice: what was left was left on purpose.
        """
        left = () if by_choice else left_behind(self.report.unprotected)
        return (*left, *(("still recognised",) if still_known(self.report, strict) else ()))


def left_behind(unprotected: Iterable[Unprotected]) -> tuple[Shortfall, ...]:
    """Whether a face was left because it is too small to be protected, as a shortfall."""
    return ("face left",) if any(face.reason == "too small" for face in unprotected) else ()


def still_known(report: Report, strict: bool = False) -> bool:
    """Whether a recogniser that the protection has never met, or by `strict` any, still knows a face."""
    matches = (match for face in report.faces for match in face.matches)
    return any(match.still_recognised and (strict or match.used_by_attack == "no") for match in matches)


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


@dataclass(frozen=True)
class Job:
    """A photo that is ready to be protected: whose faces, the files to write, and what there is to say.

    origin: its checksum when its faces were found, and what else it is made from.
    """

    source: Path
    origin: Origin
    choice: Choice
    picture: Path
    record: Path
    output: Output = Output()
    notes: tuple[str, ...] = ()

    @property
    def faces(self) -> dict[int, Face]:
        """The faces that are protected, by number."""
        return self.choice.faces


@dataclass(frozen=True)
class PassedOver:
    """A photo for which nothing is written, why (a verb and what follows), and the faces found in it."""

    source: Path
    why: str
    unprotected: tuple[Unprotected, ...] = ()


@dataclass(frozen=True)
class Done:
    """A photo whose result is there already: made from the same, in the same way, and not changed since."""

    source: Path
    picture: Path
    record: Path
    said: Record
    why: str = "was done before"


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
    resolve_device(settings.device)
    for name in (PRIORS.check(settings.prior), *settings.surrogates, *packaged()):
        if name.partition(":")[0] in cards():
            store.path(name)


def prepare(
    source: Path,
    output: Output,
    whom: Whom,
    taken: set[str],
    alone: bool = True,
    settings: Settings | None = None,
    target: Path | None = None,
    probe: Path | None = None,
) -> Job | PassedOver | Done:
    """Check everything that could go wrong with one photo, and choose its faces.

    Args:
        taken: the real paths that must not be written to; those of this job are added.
        alone: whether it is the one photo that was asked for; then a result of veil is protected again,
            with a word, and otherwise passed over.
        settings, target, probe: what `run` is going to be given. A result that was made in just this way is
            done; without settings, or where results are to be replaced, none is.

    Raises:
        BadPhoto: the photo cannot be used, or the result not be written.
        NoFace, BadSettings: as `whom.choose` does.
    """
    photo = open_photo(source)
    origin = Origin(
        photo=checksum(source),
        target=checksum(target) if target else "",
        probe=checksum(probe) if probe else "",
        quality=output.quality,
        keep_metadata=output.keep_metadata,
    )
    again = earlier(source) is not None
    if again and not alone:
        return PassedOver(source, "is protected already")
    found = search(photo.pixels)
    if whom.person and not found.faces:
        return PassedOver(source, "shows no face", left_of(photo, found))
    choice = choose(photo, found, whom)
    if not choice.faces:
        return PassedOver(source, whom.missing, choice.unprotected)
    picture = picture_of(source, photo, output, taken)
    record = picture.with_suffix(".json")
    if settings and not output.force and not {real(picture), real(record)} & taken:
        if said := done_before(picture, settings, origin, choice):
            taken |= {real(picture), real(record)}
            return Done(source, picture, record, said)
    taken |= claimed((picture, record), taken, output.force)
    notes = (*[AGAIN.format(photo.name)] * again, *photo.warnings, *fallen_back(photo, picture, output))
    return Job(source, origin, choice, picture, record, output, (*notes, *choice.notes))


def done_before(picture: Path, settings: Settings, origin: Origin, choice: Choice) -> Record | None:
    """The record beside a picture, where it says that just this was done to just these faces of a photo."""
    try:
        record = Record.model_validate_json(picture.with_suffix(".json").read_bytes())
        same = (record.settings, record.origin) == (settings, origin)
        if not same or record.picture_sha256 != checksum(picture):
            return None
    except (OSError, ValidationError):
        return None
    boxes = {face.number: np.array(face.box, float) for face in record.report.faces}
    found = set(boxes) == set(choice.faces) and all(
        iou(face.box, boxes[number]) > SAME for number, face in choice.faces.items()
    )
    return record if found else None


def photo_and_face(path: Path | None) -> Sighting | None:
    """A photo and its largest face.

    Raises:
        BadPhoto, NoFace: it cannot be used, or shows no face.
    """
    return with_largest_face(open_photo(path)) if path else None


def with_largest_face(photo: Photo) -> Sighting:
    """A photo and its largest face.

    Raises:
        NoFace: it shows none.
    """
    return Sighting(photo, largest_face(photo.pixels))


def run(
    job: Job, settings: Settings, target: Sighting | None = None, probe: Photo | None = None
) -> Steps[tuple[Photo, Record]]:
    """Protect a photo and write picture and record, which appear together or not at all.

    Yields a first step that shows the face, then one for each of the protection's. Returns the photo as it
    was and the record, whose report judges the written file, opened again.

    Raises:
        BadPhoto: the result cannot be written, or something has appeared in its place.
    """
    photo, output = open_photo(job.source), job.output
    if job.origin.photo != checksum(job.source):
        raise BadPhoto(f"{photo.name} has changed since its faces were found.", "Protect it again.")
    yield Step(Stage.GETTING_READY, 0, 1, preview=_close_up(photo, job.faces))
    protected = yield from protect(tracks_of(photo, job.faces.values()), settings, target)
    yield Step(Stage.JUDGING, 0, 1)
    made = Made(photo, protected, job.choice, settings, job.notes, job.origin)
    return photo, keep(made, job.picture, job.record, output, probe)


@dataclass(frozen=True, eq=False)
class Made:
    """A protection that is not written yet: the photo before, what became of it, what there is to say."""

    photo: Photo
    protected: Protected
    choice: Choice
    settings: Settings
    notes: tuple[str, ...] = ()
    origin: Origin | None = None

    def judged(self, after: Photo, probe: Photo | None = None) -> Report:
        """The report on the result as it is, or as it was written; see `eval.report.assess`."""
        numbers = list(self.choice.faces)
        return assess(
            self.photo,
            after,
            surrogates=frozenset(self.settings.surrogates),
            probe=probe,
            faces=self.choice.faces,
            limited=[numbers[index] for index in self.protected.limited],
            unfinished=[numbers[index] for index in self.protected.unfinished],
            unprotected=self.choice.unprotected,
        )


def keep(made: Made, picture: Path, record: Path, output: Output, probe: Photo | None = None) -> Record:
    """Write a protected photo and its record, which judges the written file, opened again.

    Raises:
        BadPhoto: they cannot be written, or something has appeared in their place.
    """
    with _told(picture), atomic_write(picture, record, replace=output.force) as parts:
        save_photo(made.protected.photo, parts[0], keep_metadata=output.keep_metadata, quality=output.quality)
        written = Record(
            veil=version("veil"),
            photo=made.photo.name,
            settings=made.settings,
            report=made.judged(open_photo(parts[0]), probe),
            picture_sha256=checksum(parts[0]),
            origin=made.origin,
            doubtful=made.choice.doubtful,
            notes=made.notes,
        )
        parts[1].write_text(written.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return written


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
    left, top, right, bottom = Face(face.box + margin, face.points).clipped_box(photo.size)
    return photo.pixels[top:bottom, left:right]


def endure(photo: Photo, after: Photo, faces: Mapping[int, Face], report: Report) -> Steps[Survival]:
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
        yield Step(Stage.DISTURBING, done, len(ENDURED))
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


def same_person(one: Sighting, other: Sighting) -> list[Likeness]:
    """What every packaged recogniser makes of the faces of any two photos.

    Raises:
        WeightsMissing, WeightsCorrupt: as `attacks.recognizer` does.
    """
    images = [(to_tensor(each.frame.pixels), each.face) for each in (one, other)]
    found: list[Likeness] = []
    for name in packaged():
        first, second = (embedding(name, image, face) for image, face in images)
        found.append(Likeness(name, round(float(first @ second), 4), card(name).thresholds["far1"]))
    return found


def known_surrogates(after: Path) -> frozenset[str] | None:
    """The recognisers that made a protected picture, as the record beside it says; None where it has none.

    Raises:
        BadSettings: there is a record that does not say it, or not of this picture as it is now, so that
            nobody could be an honest judge.
    """
    if not os.path.isfile(after):  # which whoever opens it complains of
        return None
    beside_it, hint = after.with_suffix(".json"), 'Name them with --seen dlib,faceres; --seen "" says none.'
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


def earlier(photo: Path) -> Report | None:
    """The report of the protection that made a photo; None where no record in its folder has its checksum."""
    records = [photo.with_suffix(".json"), *sorted(photo.parent.glob("*.veiled.json"))]
    there = [record for record in records if os.path.isfile(record)]
    digest = checksum(photo) if there else ""
    for record in there:
        with suppress(OSError, ValidationError):
            if digest.encode() in (text := record.read_bytes()):
                known = _Earlier.model_validate_json(text)
                if known.picture_sha256 == digest:  # and not what it was made from
                    return known.report
    return None


def already_protected(photo: Path, found: Found) -> set[int]:
    """The numbers of the faces of a photo that veil has protected, as the record of the photo says."""
    report = earlier(photo)
    boxes = [np.array(face.box, float) for face in report.faces] if report else []
    return {
        number for number, face in found.numbered.items() if any(iou(face.box, box) > SAME for box in boxes)
    }


def person_of(photos: Iterable[Path]) -> Person:
    """The person of reference photos.

    Raises:
        BadPhoto, NoFace: one cannot be used, shows no face, or several.
    """
    return Person([open_photo(path) for path in photos])


def keep_thresholds(measured: Calibration) -> None:
    """Keep measured thresholds on the cards of recognisers that are not packaged."""
    for one in measured.measured:
        if not card(one.recognizer).packaged:
            values = {rate: round(bound.value, 4) for rate, bound in one.thresholds.items()}
            remember(card(one.recognizer).name, thresholds=values)
