"""Clips, as Python protects and judges them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING
from weakref import finalize

from ..core.errors import BadPhoto
from ..core.files import atomic_write
from ..core.progress import finish
from ..core.types import Photo, Sighting, Step
from ..core.video import Clip, open_clip
from ..eval.references import in_words as references_in_words
from ..privacy.settings import Settings
from . import clip_words, clips, wording
from .albums import Album, people_in
from .clip_records import ClipRecord
from .outputs import Output, record_of
from .selection import Whom

if TYPE_CHECKING:
    from os import PathLike

    from .api import Result


@dataclass(frozen=True, eq=False)
class ClipResult:
    """A protected clip, and what recognisers make of it; its file is a temporary one until it is saved.

    before, clip: the clip before and after; `clip.frames()` yields the number of each picture, from 0, and
        its pixels, upright (H, W, 3) bytes; `clip.time(number)` is when it is shown, in seconds.
    report: what is known of each face, by number: times in seconds, cosines, shares of the pictures.
    """

    before: Clip
    clip: Clip
    report: ClipRecord

    @property
    def settings(self) -> Settings:
        """Everything that decided how it was protected."""
        return self.report.settings

    def save(self, path: str | PathLike[str], *, replace: bool = False) -> ClipRecord:
        """Write the clip, and beside it NAME.json, as `veil protect` does; both appear together.

        Args:
            path: with the ending of the clip.
            replace: whether files that are there may be replaced.

        Returns:
            The record, as it is written.

        Raises:
            BadPhoto: it cannot be written, is there already, or has another ending.
        """
        result = Path(path)
        record = record_of(result)
        if result.suffix.lower() != self.clip.path.suffix:
            raise BadPhoto(f"The clip is a {self.clip.path.suffix}.", "Give its name that ending.")
        for file in (result, record):
            if file.exists() and not replace:
                raise BadPhoto(f"{file} exists already.", "Give replace=True, or another name.")
        with atomic_write(result, record, replace=replace) as parts:
            shutil.copyfile(self.clip.path, parts[0])
            shutil.copyfile(self.clip.path.with_suffix(".json"), parts[1])
        return self.report

    def __str__(self) -> str:
        said, faces = self.report, self.report.faces
        beside = references_in_words((face.number, face.references) for face in faces)
        made = wording.made(said.strength, said.effort)
        return "\n".join(
            [
                *clip_words.unprotected(faces),
                *said.ignored,
                *said.notes,
                clip_words.headline(said),
                *beside,
                made,
            ]
        )


def protect_clip(
    path: Path,
    settings: Settings,
    faces: Collection[int] = (),
    probe: Sighting | None = None,
    crf: int | None = None,
    codec: str | None = None,
    progress: Callable[[Step], object] = lambda step: None,
    album: Album | None = None,
) -> ClipResult:
    """Protect a clip into a temporary folder; see `api.protect`.

    Raises:
        NoFace, BadSettings, BadClip: as `clips.prepare` and `clips.run`.
    """
    folder, whom = Path(mkdtemp(prefix="veil-")), Whom(frozenset(faces))
    try:
        output = Output(folder, crf=crf, codec=codec)
        job = clips.prepare(
            path, output, whom, set(), True, settings, album=album is not None and album.apart
        )
        assert isinstance(job, clips.ClipJob)  # nothing was done there before, and it is the only one
        record = finish(clips.run(job, settings, whom, probe, album=album), progress)
        assert isinstance(record, ClipRecord)  # everybody is meant, or those with numbers
        result = ClipResult(job.clip, open_clip(job.result), record)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finalize(result, shutil.rmtree, folder, ignore_errors=True)
    return result


def album_of(results: Iterable[Result | ClipResult], references: Iterable[Photo]) -> Album | None:
    """The album of results and references; None where there is none."""
    several, photos = list(results), list(references)
    album = Album.of_references(photos, bool(several))
    for one in several:
        if isinstance(one, ClipResult):
            album.reopen_clip(one.before, one.clip, one.report.faces)
        else:
            there = one.made.choice.faces.values()
            album.add(people_in(one.before, there), one.photo, there)
    return album if several or photos else None
