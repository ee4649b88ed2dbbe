"""From files to files: what all front ends do with a photo, and all that is checked before the long work."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from ..attacks.faces.boxes import clipped, padded
from ..attacks.faces.detection import largest_face, search
from ..attacks.faces.found import Found
from ..attacks.person import Person
from ..core.errors import BadPhoto
from ..core.files import atomic_write, printable
from ..core.images import open_photo
from ..core.types import Face, Photo, Pixels, Sighting, Stage, Step, Steps
from ..core.writing import save_photo
from ..eval.calibration import Calibration
from ..eval.datasets import checksum
from ..eval.report import Report, Unprotected, assess
from ..privacy import Protected, protect
from ..privacy.priors import PRIORS, resolve_device
from ..privacy.settings import Settings
from ..weights import store
from ..weights.registry import card, cards, remember
from .albums import Album
from .beside import Beside
from .outputs import Output, claimed, fallen_back, numbered, picture_of, real, record_of
from .records import Origin, Record, Shortfall, done_before, left_behind, named, origin
from .references import known_in
from .selection import Choice, Whom, choose, left_of
from .wording import AGAIN


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
    """A photo for which nothing is written, why (a verb and what follows), and the faces found in it.

    shortfalls: why it is not all protected, where that was wanted.
    """

    source: Path
    why: str
    unprotected: tuple[Unprotected, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()


@dataclass(frozen=True)
class Done:
    """A photo whose result is there already: made from the same, in the same way, and not changed since."""

    source: Path
    picture: Path
    record: Path
    choice: Choice
    said: Record
    why: str = "was done before"


def device() -> str:
    """Where the environment wants the work to be done."""
    return os.environ.get("VEIL_DEVICE", "cpu")


def check_models(settings: Settings) -> None:
    """Check that the prior, the recognisers that are attacked, and all that is packaged are here, undamaged.

    Raises:
        UnknownName, WeightsMissing, WeightsCorrupt: as it says.
        BadSettings: this machine has no such device.
    """
    resolve_device(settings.device)
    ours = (name for name in cards() if card(name).packaged)
    for name in (PRIORS.check(settings.prior), *settings.surrogates, *ours):
        if name.partition(":")[0] in cards():
            store.path(name)


def prepare(
    source: Path,
    output: Output,
    whom: Whom,
    taken: set[str],
    alone: bool = True,
    settings: Settings | None = None,
    common: Origin | None = None,
    beside: Beside | None = None,
    find: Callable[[Path], Found] | None = None,
) -> Job | PassedOver | Done:
    """Check everything that could go wrong with one photo, and choose its faces.

    Args:
        taken: the real paths that must not be written to; those of this job are added.
        alone: whether it is the one photo that was asked for; then a result of veil is protected again,
            with a word, and one that shows no face is an error; otherwise they are passed over.
        settings, common: what `run` is given, `common` by `records.origin`. A result that was made in just
            this way is done; without settings, or where results are to be replaced, none is.
        beside, find: the records, where many are prepared; what finds faces, where it is not done here.

    Raises:
        BadPhoto: the photo cannot be used, or the result not be written.
        MadeOtherwise: one is there that was made with other settings.
        NoFace, BadSettings: as `selection.choose` does.
    """
    photo = open_photo(source)
    made_from = (common or origin(output)).model_copy(update={"photo": checksum(source)})
    again = (beside or Beside()).earlier(source) is not None
    if again and not alone:
        return PassedOver(source, "is protected already")
    found = find(source) if find else search(photo.pixels)
    if (whom.person or not alone) and (why := whom.unmet(found)):
        left = left_of(photo, found)
        none: tuple[Shortfall, ...] = () if found.faces or whom.person else ("no face found",)
        return PassedOver(source, why, left, (*none, *left_behind(face.reason for face in left)))
    choice = choose(photo, found, whom)
    if not choice.faces:
        left = choice.unprotected
        return PassedOver(source, whom.missing, left, left_behind(face.reason for face in left))
    picture = picture_of(source, photo, output, taken)
    record = record_of(picture)
    if settings and not output.force and not {real(picture), real(record)} & taken:
        if done := done_before(picture, settings, made_from, choice):
            taken |= {real(picture), real(record)}
            return Done(source, picture, record, choice, done)
    said = *fallen_back(photo, picture, output), *numbered(source, picture, output, taken)
    taken |= claimed((picture, record), taken, output.force)
    notes = (*[AGAIN.format(photo.name)] * again, *photo.warnings, *said, *choice.notes)
    return Job(source, made_from, choice, picture, record, output, notes)


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
    job: Job,
    settings: Settings,
    target: Sighting | None = None,
    probe: Photo | None = None,
    album: Album | None = None,
) -> Steps[tuple[Photo, Record]]:
    """Protect a photo and write picture and record, which appear together or not at all.

    Args:
        album: what is known of people beside this photo; where its photos are kept apart, the result is
            added.

    Yields a first step that shows the face, then one for each of the protection's. Returns the photo as it
    was and the record, whose report judges the written file, opened again.

    Raises:
        BadPhoto: the result cannot be written, or something has appeared in its place.
    """
    photo, output = open_photo(job.source), job.output
    if job.origin.photo != checksum(job.source):
        raise BadPhoto(f"{photo.name} has changed since its faces were found.", "Protect it again.")
    yield Step(Stage.GETTING_READY, 0, 1, preview=_close_up(photo, job.faces))
    people, tracks, said = known_in(album, photo, job.faces)
    protected = yield from protect(tracks, settings, target)
    yield Step(Stage.JUDGING, 0, 1)
    made = Made(photo, protected, job.choice, settings, (*job.notes, *said.notes), job.origin, said.ignored)
    record = keep(made, job.picture, job.record, output, probe)
    if album:
        album.add(people, open_photo(job.picture), job.faces.values(), job.source)
    return photo, record


@dataclass(frozen=True, eq=False)
class Made:
    """A protection that is not written yet: the photo before, what became of it, what there is to say."""

    photo: Photo
    protected: Protected
    choice: Choice
    settings: Settings
    notes: tuple[str, ...] = ()
    origin: Origin | None = None
    ignored: tuple[str, ...] = ()

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
            references={
                number: track.references for number, track in zip(numbers, self.protected.tracks, strict=True)
            },
        )


def keep(made: Made, picture: Path, record: Path, output: Output, probe: Photo | None = None) -> Record:
    """Write a protected photo and its record, which judges the written file, opened again.

    Raises:
        BadPhoto: they cannot be written, or something has appeared in their place.
    """
    with telling_when_unwritable(picture), atomic_write(picture, record, replace=output.force) as parts:
        save_photo(made.protected.photo, parts[0], keep_metadata=output.keep_metadata, quality=output.quality)
        written = Record(
            veil=version("veil"),
            photo=made.photo.name,
            settings=made.settings,
            **named(made.settings),
            report=made.judged(open_photo(parts[0]), probe),
            picture_sha256=checksum(parts[0]),
            origin=made.origin,
            doubtful=made.choice.doubtful,
            notes=made.notes,
            ignored=made.ignored,
        )
        parts[1].write_text(written.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return written


@contextmanager
def telling_when_unwritable(path: Path) -> Generator[None]:
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
    left, top, right, bottom = clipped(padded(face.box, 0.4 * face.side), photo.size)
    return photo.pixels[top:bottom, left:right]


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
