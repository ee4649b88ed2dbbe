"""What `veil protect` and `veil faces` do with a clip."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.files import printable
from ..terminal import Terminal, exit_words, named

if TYPE_CHECKING:
    from ...core.types import Sighting
    from ...privacy.settings import Settings
    from .. import clips, workflow
    from ..albums import Album
    from ..clip_records import ClipRecord
    from ..cluster import Workers
    from ..records import Record, Shortfall
    from ..selection import Whom


def protect(
    terminal: Terminal,
    job: clips.ClipJob | clips.ClipPassedOver | clips.ClipDone,
    name: str,
    called: str,
    settings: Settings,
    whom: Whom,
    probe: Sighting | None,
    strict: bool,
    album: Album | None,
    workers: Workers | None = None,
) -> tuple[Shortfall, ...]:
    """Protect a clip, and say what became of it; returns why not all of it is protected.

    Args:
        called: its name, where what is not protected has to be told with it.
    """
    from .. import clip_cluster, clip_words, clips

    if isinstance(job, clips.ClipPassedOver):
        return _passed_over(terminal, job, name)
    if isinstance(job, clips.ClipDone):
        terminal.note(f"{name} {job.why}: its result is left as it is.")
        record, told = job.said, ()
    else:
        told = job.notes
        for note in told:
            terminal.note(note)
        machines = clip_cluster.ClipWorkers(workers, job.clip) if workers else None
        work = clips.run(job, settings, whom, probe, album=album, machines=machines)
        record = terminal.follow(work, name)
        if isinstance(record, clips.ClipPassedOver):
            return _passed_over(terminal, record, name)
    for note in record.notes[len(told) :]:
        terminal.note(note)
    short = record.shortfalls(strict, by_choice=bool(whom.numbers))
    left = clip_words.unprotected(record.faces, called)
    tell_result(terminal, job, name, job.result, left, record, short)
    return short


def tell_result(
    terminal: Terminal,
    job: workflow.Job | workflow.Done | clips.ClipJob | clips.ClipDone,
    name: str,
    result: Path,
    left: Iterable[str],
    record: Record | ClipRecord,
    short: tuple[Shortfall, ...],
) -> None:
    """Say what became of a photo or clip, or had before: first what is not protected, a sentence each."""
    from .. import clips, records, wording, workflow

    for sentence in (*left, *record.ignored):
        terminal.warn(sentence)
    if not terminal.to_stderr:  # of a picture on standard output no file is left
        terminal.path(result, job.record)
    files = {"picture": printable(result), "record": printable(job.record)}
    said: dict[str, Any] = named(name, job.source) | files
    if isinstance(job, workflow.Done | clips.ClipDone):
        said["passed_over"] = job.why
    if isinstance(record, records.Record):
        terminal.report(record.report, record)
    else:
        terminal.clip(record, record)
    if "still recognised" in short and (words := wording.stronger(record.settings)):
        terminal.say(words)
    terminal.object(record, **said, **exit_words(short))


def _passed_over(terminal: Terminal, clip: clips.ClipPassedOver, name: str) -> tuple[Shortfall, ...]:
    """Say why nothing is written for a clip; returns why it is not all protected."""
    from .. import clip_words

    terminal.note(f"{name} {clip.why}: nothing is written for it.")
    for sentence in clip_words.unprotected(clip.faces, name):
        terminal.warn(sentence)
    left = [face.model_dump(mode="json") for face in clip.faces]
    said = {**named(name, clip.source), **exit_words(clip.shortfalls)}
    terminal.object(**said, passed_over=clip.why, unprotected=left)
    return clip.shortfalls


def faces(terminal: Terminal, path: Path, name: str, output: Path | None, force: bool) -> None:
    """List the people of a clip, those first who are shown most, and write a picture of them.

    Raises:
        BadClip: the clip cannot be used, or the picture not be written.
    """
    from ...attacks.faces.tracking import follow
    from ...core.files import atomic_write, check_writable, fitting
    from ...core.video import open_clip
    from .. import clip_faces, clip_words, outputs

    sheet = output
    if not sheet or sheet.is_dir():
        folder = sheet or path.parent
        sheet = folder / fitting(folder, path.stem, ".veil-faces.png")
    check_writable(sheet.parent)
    replace = force or clip_faces.is_sheet(sheet)
    outputs.claimed((sheet,), outputs.reserved(path), replace)
    clip = open_clip(path)
    for note in clip.notes:
        terminal.note(note)
    tracks = terminal.follow(follow(clip.frames(), clip.count), name)
    found = clip_faces.described(clip, tracks)
    if found:
        with atomic_write(sheet, replace=replace) as (part,):
            clip_faces.save_sheet(clip_faces.sheet(clip, tracks), part)
    listed = [
        {
            **face.model_dump(mode="json", include={"number", "shown", "carried", "pixels"}),
            "protectable": not face.left,
        }
        for face in found
    ]
    said = {**named(name, path), **exit_words()}
    terminal.object(**said, faces=listed, sheet=printable(sheet) if found else None)
    if not found:
        terminal.note(f"No face was found in {name}.")
        return
    terminal.table(clip_words.PEOPLE_COLUMNS, clip_words.people_rows(found))
    for sentence in clip_words.unprotected(found):
        terminal.say(sentence)
    terminal.path(sheet)
