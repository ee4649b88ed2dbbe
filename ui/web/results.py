"""From an arrival to an outcome: what all tabs that protect do with one photo or clip."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ...attacks.faces.boxes import clipped, padded
from ...attacks.faces.tracks import Tracks
from ...attacks.person import Person
from ...core.errors import BadSettings, NoFace
from ...core.images import open_photo
from ...core.types import Photo, Stage, Step, Steps
from ...core.video import Clip
from ...eval.report import Report
from ...privacy.settings import Goal, Settings, settings
from .. import clips, recognizers, records, workflow
from ..albums import Album, best_sightings
from ..clip_records import ClipFace, ClipRecord
from ..commands.people import known
from ..outputs import Output
from ..selection import Whom
from ..wording import made
from . import checks
from .pictures import amplified, small_copy
from .sessions import Visitor

BROWSER_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF")  # that every browser shows


@dataclass(frozen=True)
class Wish:
    """What a visitor asked for."""

    settings: Settings
    target: Path | None = None
    format: str = "keep"
    only: Path | None = None  # a photo of the one person who is protected
    me: tuple[Path, ...] = ()  # photos that each show one person alone, from which results are led away, too
    apart: bool = False  # whether the photos and clips of an album are kept apart


@dataclass(frozen=True)
class Outcome:
    """A protected photo: its files, and the reports on it as it is and as it survives.

    shown: what a browser shows of `after`, which may be in a format that it cannot show.
    settings: by which it was protected. notes: as in its record, first what of it is `ignored`.
    made: its strength and effort, in words.
    """

    name: str
    before: Path
    after: Path
    shown: Path
    record: Path
    change: Path
    report: Report
    survives: checks.Survival
    settings: Settings | None = None
    notes: tuple[str, ...] = ()
    made: str = ""

    @property
    def whole(self) -> tuple[int, int, int, int]:
        """All of the photo, as (left, top, right, bottom)."""
        return 0, 0, *self.report.size

    @property
    def faces(self) -> list[int]:
        """The numbers of its faces."""
        return [face.number for face in self.report.faces]

    def close_up(self, number: int) -> tuple[int, int, int, int]:
        """The part of the photo that holds a face, by its number, and some of what is around it."""
        return around_faces(self.report, [number])

    @property
    def there(self) -> bool:
        """Whether its files are there still: they are deleted in time."""
        return all(file.exists() for file in (self.before, self.after, self.shown, self.record, self.change))


def wish(
    strength: str = "balanced",
    effort: str = "normal",
    goal: Goal = "dodge",
    target: str | None = None,
    seed: float = 0,
    prior: str = "portrait",
    surrogates: list[str] | None = None,
    format: str = "keep",
    only: str | None = None,
    apart: bool = False,
    me: list[str] | None = None,
) -> Wish:
    """Check what a visitor asked for, before the long work.

    Raises:
        BadSettings, UnknownName: it does not fit together, or names what does not exist.
        WeightsMissing, WeightsCorrupt: a model is not here, or damaged.
    """
    if (goal == "impersonate") != bool(target):
        raise BadSettings(
            "Looking like another person needs a photo of that person, and only that does.",
            "Add the photo under Advanced, or choose to look like nobody known.",
        )
    used = recognizers.surrogates(",".join(surrogates) if surrogates else None, False, None)
    chosen = settings(
        strength,
        effort,
        surrogates=used,
        goal=goal,
        seed=int(seed or 0),
        prior=prior,
        device=workflow.device(),
    )
    workflow.check_models(chosen)
    aim, person = (Path(path) if path else None for path in (target, only))
    return Wish(chosen, aim, format, person, tuple(map(Path, me or ())), apart)


def beside(wish: Wish) -> Steps[Album | None]:
    """What is known beside each photo or clip: other photos of people, and of an album what is going to be
    made; or nothing.

    Raises:
        BadPhoto, NoFace: a photo of `wish.me` cannot be used, shows no face, or several.
    """
    yield Step(Stage.EMBEDDING, 0, 1)
    return known(wish.me, wish.apart)


def protect(
    source: Path,
    numbers: list[int],
    wish: Wish,
    visitor: Visitor,
    endure: bool = True,
    person: Person | None = None,
    album: Album | None = None,
) -> Steps[Outcome]:
    """Protect a photo in the visitor's folder, by `person` only theirs of the faces; `endure` also tries what
    survives. `album` is what is known `beside` it, for `wish`.

    Raises:
        NoFace: the person is not in it.
        VeilError: whatever is wrong with the photo.
    """
    folder = visitor.path_for("any").parent
    output, whom = Output(folder, wish.format), Whom(frozenset(numbers), person)
    apart = album is not None and album.apart
    common = records.origin(output, wish.target, album=apart, references=wish.me)
    job = workflow.prepare(source, output, whom, set(), common=common)
    if not isinstance(job, workflow.Job):
        raise NoFace(f"{source.name} {job.why}.", "Nothing is changed in it.")
    aim = workflow.photo_and_face(wish.target)
    photo, record = yield from workflow.run(job, wish.settings, aim, album=album)
    after, report, survives = open_photo(job.picture), record.report, checks.Survival()
    if endure:
        survives = yield from checks.endure(photo, after, job.faces, report)
    before = _plain_copy(photo, visitor, "before.jpg")
    shown = job.picture if after.format in BROWSER_FORMATS else _plain_copy(after, visitor, "after.jpg")
    change = visitor.path_for("change.png")
    Image.fromarray(amplified(photo.pixels, after.pixels)).save(change)
    notes = (*record.ignored, *record.notes)
    said = record.settings, notes, made(record.strength, record.effort)
    return Outcome(source.name, before, job.picture, shown, job.record, change, report, survives, *said)


@dataclass(frozen=True)
class ClipOutcome:
    """A protected clip: its files, and what there is to say of it."""

    after: Path
    record: Path
    said: ClipRecord


def protect_clip(
    clip: Clip, wish: Wish, whom: Whom, place: Path, tracks: Tracks | None = None, album: Album | None = None
) -> Steps[ClipOutcome]:
    """Protect a clip; work that was stopped in this place goes on.

    Args:
        place: the folder for the result.
        tracks: its faces, where they have been followed.
        album: what is known `beside` it, for `wish`.

    Raises:
        NoFace: the person is not in it.
        VeilError: whatever is wrong with the clip.
    """
    people, apart = [wish.only] if wish.only else [], album is not None and album.apart
    more = None, apart, wish.me
    job = clips.prepare(clip.path, Output(place), whom, set(), True, wish.settings, people, *more)
    if isinstance(job, clips.ClipDone):
        return ClipOutcome(job.result, job.record, job.said)
    assert isinstance(job, clips.ClipJob)  # only one of several is passed over before its faces are known
    said = yield from clips.run(job, wish.settings, whom, tracks=tracks, album=album)
    if isinstance(said, clips.ClipPassedOver):
        raise NoFace(f"{clip.name} {said.why}.", "Nothing is changed in it.")
    return ClipOutcome(job.result, job.record, said)


def around_faces(report: Report, numbers: Collection[int] | None = None) -> tuple[int, int, int, int]:
    """The part (left, top, right, bottom) of a photo that holds its protected faces, all or some by number,
    and some of what is around."""
    boxes = np.array([face.box for face in report.faces if numbers is None or face.number in numbers], float)
    box = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])
    return clipped(padded(box, 0.4 * (boxes[:, 2:] - boxes[:, :2]).max()), report.size)


def still(clip: Clip, faces: Sequence[ClipFace], visitor: Visitor) -> Path:
    """A small picture of a clip: that which shows best who is shown most of those that are protected."""
    protected = [face for face in faces if face.best and not face.left][:1]
    for _, shown in best_sightings(clip, protected):
        box = clipped(padded(shown.face.box, 0.4 * shown.face.side), clip.size)
        return small_copy(shown.frame, box, visitor.path_for("face.jpg"))
    return small_copy(
        Photo(next(clip.frames())[1], clip.name), (0, 0, *clip.size), visitor.path_for("face.jpg")
    )


def _plain_copy(photo: Photo, visitor: Visitor, name: str) -> Path:
    """A photo, upright and in a format that every browser shows."""
    path = visitor.path_for(name)
    Image.fromarray(photo.pixels).save(path, "JPEG", quality=95, subsampling=0)
    return path
