"""What `veil protect` is asked to protect, what else it knows, and what of an album is still linked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...core.errors import BadSettings
from ...core.files import printable, some
from ...core.images import open_photo
from ...core.video import open_clip
from .. import album_links, clip_words, clips, earlier, face_words, workflow
from ..albums import Album
from ..clip_records import ClipRecord
from ..outputs import Output
from ..records import Record
from ..selection import Whom, numbers
from ..terminal import FAILED, Terminal, exit_words

ALONE = "Album: one file that is protected, and no other to compare it with."


def whom(faces: str | None, largest: bool, only: list[Path] | None, spare: list[Path] | None) -> Whom:
    """Whom to protect: the faces of numbers "1,3", the largest, a person, all but a person, or everyone."""
    if sum(map(bool, (faces, largest, only, spare))) > 1:
        raise BadSettings("--faces, --largest, --only and --except exclude each other.", "Give one of them.")
    if photos := only or spare:
        return Whom(person=workflow.person_of(photos), spare=bool(spare))
    return Whom(numbers("1" if largest else faces))


def way_out(meant: Whom) -> str:
    """What to do where a photo or clip shows nobody who is meant."""
    if meant.spare:
        return "Leave --except away to protect the person, too."
    if meant.person:
        return "Give other photos of the person with --only, too; or --faces, numbered as by `veil faces`."
    return "Name another photo or clip."


def left_as_it_is(
    said: Record | workflow.PassedOver | ClipRecord | clips.ClipPassedOver, name: str, way: str
) -> list[str]:
    """What was found in a photo or clip, which may be named, and is not protected, a sentence each; `way` as
    `face_words.unprotected` has it."""
    if isinstance(said, clips.ClipRecord | clips.ClipPassedOver):
        return clip_words.unprotected(said.faces, name)
    if isinstance(said, workflow.PassedOver):
        return face_words.unprotected(said.unprotected, name, way)
    protected = [face.number for face in said.report.faces]
    return face_words.unprotected(said.report.unprotected, name, way, protected)


def known(me: Sequence[Path], album: bool) -> Album | None:
    """What is known beside each photo: other photos of the person, and what of an album is protected; or
    nothing."""
    return Album.of_references(map(open_photo, me), album) if me or album else None


def with_earlier(
    terminal: Terminal, album: Album, output: Output, sources: Sequence[Path], taken: set[str]
) -> list[str]:
    """Give an album what commands before have protected of it; say, and return, of which files that cannot be
    done.

    Args:
        taken: the real paths of what is read and written now.
    """
    found = earlier.results(map(output.folder, sources), sources, taken)
    if missing := terminal.follow(earlier.reopen_all(album, found), "Album"):
        terminal.note(
            "The folder holds results of the album whose files are neither named nor beside those that are: "
            f"{some(missing)}. Nothing is kept apart from these now, nor compared with them. Name those "
            "files, too, wherever they lie.",
            always=True,
        )
    return missing


def reopened(album: Album, job: Any) -> Any:
    """A job, of which an album is given what was protected before: a photo or a clip."""
    if isinstance(job, workflow.Done):
        album.reopen(job.source, job.picture, job.choice.faces.values())
    elif isinstance(job, clips.ClipDone):
        album.reopen_clip(open_clip(job.source), open_clip(job.result), job.said.faces)
    return job


def linked(
    terminal: Terminal,
    album: Album,
    surrogates: tuple[str, ...],
    strict: bool,
    name: Callable[[Path], str],
    missing: Sequence[str] = (),
) -> tuple[tuple[str, ...], ...]:
    """Say what of an album recognisers that judge still link, also of files that wait to be told as JSON;
    returns these files, by groups that hang together.

    Args:
        missing: of which files only results of before are there, with which nothing was compared.
    """
    if not album.members:  # whoever reads JSON waits for the line of the album
        ends = exit_words(failed=terminal.failures)
        terminal.object(album=[], missing=missing, **ends, links=[], nearly_same=[])
        return ()
    found = terminal.follow(album_links.links(album.members, surrogates, strict, name), "Album")
    sources = {printable(one.source) for one in album.members if name(one.source) in found.files}
    for told in terminal.waiting:
        if told.get("source") in sources and told["exit"] != FAILED:
            told |= exit_words((*told["exit_because"], "linked"))
    files = [*dict.fromkeys(name(member.source) for member in album.members)]
    terminal.say("\n" + "\n".join(found.words if len(files) > 1 else [ALONE]))
    said = found.model_dump(mode="json")
    terminal.object(
        album=files,
        missing=missing,
        **exit_words(("linked",) if found.files else (), terminal.failures),
        links=said["judges"],
        nearly_same=said["nearly_same"],
    )
    return found.linked
