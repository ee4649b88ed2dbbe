"""What `veil protect` and `veil faces` do with a clip."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import NoFace
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
    job: clips.ClipJob,
    name: str,
    settings: Settings,
    whom: Whom,
    probe: Sighting | None,
    album: Album | None,
    workers: Workers | None = None,
) -> ClipRecord | clips.ClipPassedOver:
    """Protect a clip; returns its record, or why nothing is written for it."""
    from .. import clip_cluster, clips

    machines = clip_cluster.ClipWorkers(workers, job.clip) if workers else None
    work = clips.run(job, settings, whom, probe, album=album, machines=machines)
    return terminal.follow(work, name)


def tell_result(
    terminal: Terminal,
    job: workflow.Job | workflow.Done | clips.ClipJob | clips.ClipDone,
    name: str,
    first: Iterable[str],
    record: Record | ClipRecord,
    short: tuple[Shortfall, ...],
) -> None:
    """Say what became of a photo or clip, or had before.

    Args:
        first: what is not as people would wish, a sentence each.
    """
    from .. import clips, records, wording, workflow

    for sentence in first:
        terminal.warn(sentence)
    result = job.picture if isinstance(job, workflow.Job | workflow.Done) else job.result
    if not terminal.to_stderr:  # of a picture on standard output no file is left
        terminal.path(result, job.record)
    files = {"picture": printable(result), "record": printable(job.record)}
    more: dict[str, Any] = named(name, job.source) | files
    if isinstance(job, workflow.Done | clips.ClipDone):
        more["passed_over"] = job.why
    if isinstance(record, records.Record):
        terminal.report(record.report, record)
    else:
        terminal.clip(record, record)
    if "still recognised" in short and (words := wording.stronger(record.settings)):
        terminal.say(words)
    terminal.object(record, **more, **exit_words(short))


def passed_over(
    terminal: Terminal,
    one: workflow.PassedOver | clips.ClipPassedOver,
    name: str,
    first: Iterable[str],
    hint: str | None,
) -> tuple[Shortfall, ...]:
    """Say why nothing is written for a photo or clip; returns why it is not all protected.

    Args:
        first: what is not as people would wish, a sentence each.
        hint: the way out, where it is the one that was asked for.

    Raises:
        NoFace: it was.
    """
    from .. import clips

    if hint is None:
        terminal.note(f"{name} {one.why}: nothing is written for it.")
    for sentence in first:
        terminal.warn(sentence)
    if hint is not None:
        raise NoFace(f"{name} {one.why}: nothing was written.", hint)
    faces = one.faces if isinstance(one, clips.ClipPassedOver) else one.unprotected
    left = [face.model_dump(mode="json") for face in faces]
    terminal.object(
        **named(name, one.source), **exit_words(one.shortfalls), passed_over=one.why, unprotected=left
    )
    return one.shortfalls


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
