"""What `veil protect` does with photos and clips, one after the other, and says of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import typer

from ...core.errors import NoFace
from ...core.files import printable
from ...core.types import Steps
from ...privacy.settings import Settings
from .. import clip_cluster, clips, face_words, pipes, records, references, unreached, wording, workflow
from ..beside import Beside
from ..clip_records import ClipRecord
from ..cluster import Workers
from ..endings import failed, fell_short
from ..limits import CLIP_LIMITS, LIMITS
from ..outputs import Output, names_file, reserved
from ..records import Record, Shortfall
from ..selection import Whom
from ..terminal import FAILED, FELL_SHORT, Terminal, exit_words, named
from .people import known, left_as_it_is, linked, reopened, way_out, with_earlier


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be done with every photo and clip.

    instead: the option by which faces are chosen, where it is another than --faces.
    people: the photos of the person whom `whom` names; references: other photos of people.
    album: whether results are kept apart; strict: whether any recogniser that knows a face counts.
    """

    settings: Settings
    output: Output
    whom: Whom
    instead: str = ""
    people: Sequence[Path] = ()
    references: Sequence[Path] = ()
    target: Path | None = None
    probe: Path | None = None
    album: bool = False
    strict: bool = False


class Batch:
    """The photos and clips of one command, and what became of them.

    Args:
        given: what was named, folders too; files: the photos and clips of these.
        workers: who protects, where it is not done here.

    Raises:
        BadPhoto, NoFace: a target, probe or reference cannot be used.
    """

    def __init__(
        self,
        terminal: Terminal,
        given: Sequence[Path],
        files: Sequence[Path],
        asked: Asked,
        workers: Workers | None = None,
    ) -> None:
        self.terminal, self.given, self.files, self.asked = terminal, given, files, asked
        self.several, self.workers = len(files) > 1, workers
        target, self.probe = workflow.photo_and_face(asked.target), workflow.photo_and_face(asked.probe)
        self.taken = reserved(*files, asked.target, asked.probe, *asked.references, *asked.people)
        self.known = known(asked.references, asked.album)
        # what a photo is protected with, beside the settings: as `workflow.run` takes it
        self.beside_photos = target, self.probe.frame if self.probe else None, self.known
        place = asked.output.place
        one_result = terminal.to_stderr or (place and names_file(place)) or not any(map(os.path.isdir, given))
        self.origin = records.origin(asked.output, asked.target, asked.probe, asked.album, asked.references)
        self.beside = Beside()
        photos = [file for file in files if not pipes.is_clip(file)]
        self.find = workers.search(photos) if workers else None
        self.arriving: Callable[[workflow.Job], Steps[Record]] | None = None
        self.hint = way_out(asked.whom) if one_result and not self.several else None
        self.short: list[tuple[str, tuple[Shortfall, ...]]] = []  # why each is not all protected
        self.together: tuple[tuple[str, ...], ...] = ()  # what of an album hangs together
        self.missing: list[str] = []  # files of an album of which only results are there
        self.told: list[Any] = []  # what there are results of
        self.ignored: list[tuple[str, str, str]] = []

    def name(self, one: Any) -> str:
        """What to call a file, or the one that something is of."""
        return pipes.name(getattr(one, "source", one), self.given)

    def run(self) -> None:
        """Protect all that can be, and say what became of each.

        Raises:
            KeyboardInterrupt: with a word where the same command goes on.
        """
        ready = self.terminal.each(self.files, self._prepare, self.name)
        if self.known and self.asked.album:
            where = self.asked.output, self.files, self.taken
            self.missing = with_earlier(self.terminal, self.known, *where)
            ready = self.terminal.each(ready, partial(reopened, self.known), self.name)
        if self.workers:
            jobs = [job for job in ready if isinstance(job, workflow.Job)]
            self.arriving = self.workers.protect(jobs, self.asked.settings, *self.beside_photos)
        try:
            self.short = self.terminal.each(
                ready, lambda job: (self.name(job), self._protect(job)), self.name
            )
        except KeyboardInterrupt as stop:
            goes_on = any(map(pipes.is_clip, self.files)) or (self.several and not self.asked.output.force)
            stop.args = (wording.GOES_ON,) * goes_on
            raise
        if self.known and self.asked.album:
            used = self.asked.settings.surrogates
            how = used, self.asked.strict, self.name, self.missing
            self.together = linked(self.terminal, self.known, *how)
            for file in dict.fromkeys(chain(*self.together)):
                self.short.append((file, ("linked",)))

    def end(self, count: int) -> None:
        """Say what holds for all, and end with an exit code that is not 0 where not all is protected.

        Args:
            count: how many files there were, those that could not be opened among them.
        """
        terminal, kind = self.terminal, pipes.kind_of(self.files)
        for sentence in references.summed_up(self.ignored, kind):
            terminal.warn(sentence)
        if self.told:
            anew = not all(isinstance(job, workflow.Done | clips.ClipDone) for job in self.told)
            filmed = any(pipes.is_clip(job.source) for job in self.told)
            limits = CLIP_LIMITS if filmed else LIMITS
            terminal.end(limits if anew else wording.ON_LIMITS)
        if terminal.failed or terminal.left:
            if count > 1:
                terminal.note(failed(terminal.failed, count, terminal.left), always=True)
            raise typer.Exit(FAILED)
        if any(short for _, short in self.short):
            terminal.note(fell_short(self.short, self.asked.strict, kind, self.together), always=True)
            raise typer.Exit(FELL_SHORT)

    def _prepare(self, path: Path) -> Any:
        """What is to be done with a photo or clip, as `workflow.prepare` and `clips.prepare` say."""
        asked, alone = self.asked, not self.several and self.files == self.given
        how = path, asked.output, asked.whom, self.taken, alone, asked.settings
        if pipes.is_clip(path):
            return clips.prepare(*how, asked.people, asked.probe, asked.album, asked.references)
        return workflow.prepare(*how, self.origin, self.beside, self.find)

    def _protect(self, job: Any) -> tuple[Shortfall, ...]:
        """Protect a photo or clip, and say what became of it; returns why not all of it is protected."""
        notes, said = getattr(job, "notes", ()), job
        for note in notes:
            self._note(job, note)
        if isinstance(job, workflow.Done | clips.ClipDone):
            self.terminal.note(f"{self.name(job)} {job.why}: its result is left as it is.")
            said = job.said
        elif isinstance(job, workflow.Job | clips.ClipJob):
            said = self.terminal.follow(self._work(job), self.name(job))
        if isinstance(said, workflow.PassedOver | clips.ClipPassedOver):
            return self._pass_over(said)
        for note in said.notes[len(notes) :]:
            self._note(job, note)
        short = said.shortfalls(self.asked.strict, by_choice=bool(self.asked.whom.numbers))
        self._tell(job, said, short)
        if self.terminal.to_stderr and isinstance(job, workflow.Job):  # which holds the picture
            pipes.write(job.picture)
        return short

    def _note(self, job: Any, note: str) -> None:
        """Say what is good to know of a photo or clip, with its name where that is not said."""
        name = self.name(job)
        self.terminal.note(f"{name}: {note}" if self.several and Path(name).name not in note else note)

    def _work(self, job: workflow.Job | clips.ClipJob) -> Steps[Any]:
        """The work on a photo or clip, which returns its record, or of a clip why there is none."""
        if isinstance(job, clips.ClipJob):
            machines = clip_cluster.ClipWorkers(self.workers, job.clip) if self.workers else None
            asked = self.asked.settings, self.asked.whom
            return (yield from clips.run(job, *asked, self.probe, album=self.known, machines=machines))
        if self.arriving:
            return (yield from self.arriving(job))
        _, record = yield from workflow.run(job, self.asked.settings, *self.beside_photos)
        return record

    def _pass_over(self, one: workflow.PassedOver | clips.ClipPassedOver) -> tuple[Shortfall, ...]:
        """Say why nothing is written for a photo or clip; returns why it is not all protected.

        Raises:
            NoFace: it is the one that was asked for.
        """
        name, terminal = self.name(one), self.terminal
        if self.hint is None:
            terminal.note(f"{name} {one.why}: nothing is written for it.")
        for sentence in left_as_it_is(one, name, face_words.by_number(self.asked.instead, self.several)):
            terminal.warn(sentence)
        if self.hint is not None:
            raise NoFace(f"{name} {one.why}: nothing was written.", self.hint)
        faces = one.faces if isinstance(one, clips.ClipPassedOver) else one.unprotected
        left = [face.model_dump(mode="json") for face in faces]
        said = {**named(name, one.source), **exit_words(one.shortfalls)}
        terminal.object(**said, passed_over=one.why, unprotected=left)
        return one.shortfalls

    def _tell(self, job: Any, record: Record | ClipRecord, short: tuple[Shortfall, ...]) -> None:
        """Say what became of a photo or clip, or had before: first what is not as people would wish."""
        name, terminal = self.name(job), self.terminal
        way = face_words.by_number(self.asked.instead, self.several, written=not terminal.to_stderr)
        first = left_as_it_is(record, name if terminal.quiet or self.several else "", way)
        if self.several:
            of = record.clip if isinstance(record, ClipRecord) else record.photo
            self.ignored += [(sentence, of, name) for sentence in record.ignored]
        else:
            first += record.ignored
        for sentence in first:
            terminal.warn(sentence)
        result = job.picture if isinstance(job, workflow.Job | workflow.Done) else job.result
        if not terminal.to_stderr:  # of a picture on standard output no file is left
            terminal.path(result, job.record)
        if isinstance(record, ClipRecord):
            terminal.clip(record, record)
        else:
            terminal.report(record.report, record)
        if "still recognised" in short and (words := unreached.stronger(record.settings)):
            terminal.say(words)
        files = {"picture": printable(result), "record": printable(job.record)}
        more: dict[str, Any] = named(name, job.source) | files
        if isinstance(job, workflow.Done | clips.ClipDone):
            more["passed_over"] = job.why
        terminal.object(record, **more, **exit_words(short))
        self.told.append(job)
