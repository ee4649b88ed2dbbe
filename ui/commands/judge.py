"""`veil assess`, of a photo, a clip or an album, and `veil faces`."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ...core.errors import BadSettings
from ...core.files import printable
from ..terminal import FELL_SHORT, Json, Quiet, Terminal, complain, exit_words, named

TWO = (
    "`veil assess photo.jpg photo.veiled.jpg`, two clips as well, or `veil assess --album FOLDER`. Another "
    "photo of the person goes with --probe."
)


def assess(
    before: Annotated[
        Path | None, typer.Argument(help="The photo or clip as it was.", show_default=False)
    ] = None,
    after: Annotated[Path | None, typer.Argument(help="As it is protected.", show_default=False)] = None,
    album: Annotated[
        Path | None,
        typer.Option(
            help="Instead of two a folder: could a machine link the photos and clips that are in it?"
        ),
    ] = None,
    probe: Annotated[
        Path | None, typer.Option(help="Another photo of the person, with which to compare, also of a clip.")
    ] = None,
    seen: Annotated[
        str | None,
        typer.Option(
            help='The recognisers that were used to protect it; "" for none.',
            show_default="from the report beside",
        ),
    ] = None,
    judges: Annotated[
        str | None, typer.Option(help="Who judges: dlib,facenet.", show_default="all that are packaged")
    ] = None,
    fail_if_recognised: Annotated[
        bool,
        typer.Option(
            "--fail-if-recognised",
            help="Exit with 3 where a recogniser still knows a face, or links two photos or clips.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Judge a protected photo or clip against what it was before; or, with --album, whether photos and clips
    can be linked.

    Exit code: 0; 3 where --fail-if-recognised asks for it; 2 where something could not be judged.
    """
    from ...attacks import RECOGNIZERS
    from .. import pipes
    from ..recognizers import judges as judging
    from ..recognizers import names

    used = None if seen is None else frozenset(RECOGNIZERS.check(name) for name in names(seen))
    terminal, asked = Terminal(json), judging(judges, "--judges")
    if album and not (before or probe):
        short = _link(terminal, album, asked, used)
    elif before and after and not album:
        for path in (before, after):
            if path.is_dir():
                raise BadSettings(f"{printable(path)} is a folder.", TWO)
        if pipes.is_clip(before) != pipes.is_clip(after):
            clip, photo = sorted((before, after), key=pipes.is_clip, reverse=True)
            raise BadSettings(
                f"{printable(clip)} is a clip by its name, and {printable(photo)} is none.", TWO
            )
        judge = _assess_clip if pipes.is_clip(before) else _assess
        short = judge(terminal, _in_order(terminal, before, after), probe, asked, used)
    else:
        raise BadSettings(
            "veil assess takes two photos or two clips, before and after; or --album FOLDER alone.", TWO
        )
    if fail_if_recognised and short:
        raise typer.Exit(FELL_SHORT)


def _in_order(terminal: Terminal, before: Path, after: Path) -> tuple[Path, Path]:
    """Two photos or clips, the protected one last, also where it was given first."""
    from .. import originals

    if not originals.swapped(before, after):
        return before, after
    terminal.note(
        f"{printable(before)} is the protected one, made of {printable(after)}, as the report beside it "
        "says: the two are judged in that order."
    )
    return after, before


def _used(terminal: Terminal, before: Path, after: Path) -> frozenset[str]:
    """The recognisers that made a protected photo or clip, as the report beside it says."""
    from .. import beside

    known, report = beside.known_to_either(before, after), after.with_suffix(".json")
    if known is not None and not report.exists():
        terminal.note(
            f"{printable(before)} was protected already, as the report beside it says: what that used counts."
        )
    elif known is None and after.is_file():  # otherwise whoever opens it complains
        terminal.note(
            f"No report of veil, {printable(report.name)}, lies beside {printable(after)}, to name the "
            "recognisers that it was protected against: all count as if it had never met them, and the "
            "verdict may be better than it should be. --seen dlib,faceres names them."
        )
    return known or frozenset()


def _assess_clip(
    terminal: Terminal,
    clips: tuple[Path, Path],
    probe: Path | None,
    judges: tuple[str, ...],
    used: frozenset[str] | None,
) -> bool:
    """Judge a protected clip; returns whether a recogniser still knows a face."""
    from .. import clip_checks, clip_words, pipes, workflow
    from ..wording import CLIP_LIMITS

    before, after = clips
    surrogates = _used(terminal, before, after) if used is None else used
    other = workflow.photo_and_face(probe)
    work = clip_checks.assess(before, after, surrogates, judges, other)
    report = terminal.follow(work, pipes.name(after))
    for sentence in clip_words.unprotected(report.faces):
        terminal.warn(sentence)
    terminal.object(report)
    terminal.clip(report)
    terminal.end(CLIP_LIMITS)
    return "still recognised" in report.shortfalls(strict=True)


def _assess(
    terminal: Terminal,
    photos: tuple[Path, Path],
    probe: Path | None,
    judges: tuple[str, ...],
    used: frozenset[str] | None,
) -> bool:
    """Judge a protected photo; returns whether a recogniser still knows a face."""
    from ...core.images import open_photo
    from ...eval.report import assess as judge
    from .. import records, workflow
    from ..wording import LIMITS

    before, after = photos
    surrogates = _used(terminal, before, after) if used is None else used
    other = workflow.photo_and_face(probe)
    report = judge(
        open_photo(before),
        open_photo(after),
        surrogates=surrogates,
        recognizers=judges,
        probe=other.frame if other else None,
    )
    terminal.object(report)
    terminal.report(report)
    terminal.end(LIMITS)
    return records.still_known(report, strict=True)


def _link(terminal: Terminal, album: Path, judges: tuple[str, ...], used: frozenset[str] | None) -> bool:
    """Judge whether the photos and clips of a folder can be linked; returns whether a recogniser links any
    two.

    Raises:
        typer.Exit: with 2, in the end, where one could not be used.
    """
    from .. import linking, originals, pipes
    from ..clip_checks import ONE_PICTURE, album_view
    from ..wording import CLIP_LIMITS, LIMITS

    files = pipes.photos_in(album, False, terminal.note, results_too=True, clips=True)
    if any(map(pipes.is_clip, files)):
        terminal.note(ONE_PICTURE)
    left = originals.originals(files)
    judged = [file for file in files if file not in left]
    work = linking.link(judged, album_view, judges, used, [*map(pipes.name, left)])
    found = terminal.follow(work, pipes.name(album))
    for problem in linking.problems(found):
        complain(problem)
    terminal.object(found)
    terminal.table(linking.LINK_COLUMNS, linking.link_rows(found))
    for sentence in found.words:
        terminal.say(sentence)
    terminal.say(f"\n{CLIP_LIMITS if any(map(pipes.is_clip, judged)) else LIMITS}")
    if found.unusable:
        raise typer.Exit(2)
    return found.linked


def faces(
    photos: Annotated[
        list[Path],
        typer.Argument(help="The photos and clips, or folders of them; - reads a photo.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Of one clip: the picture of its faces, NAME.png, or a folder for it, made where it is "
            "missing. Otherwise beside it.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace that picture.")] = False,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Folders with all that are in them.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the faces of photos and the people of clips, numbered as `veil protect --faces` takes them.

    Of a photo the largest comes first; of a clip who is shown most, and a picture of all is written beside
    it, NAME.veil-faces.png, also with --quiet, which does not name it.
    """
    from ...attacks.faces.detection import search
    from ...core.images import open_photo
    from ...core.writing import names_picture
    from .. import outputs, pipes
    from ..beside import Beside
    from ..endings import failed
    from ..face_words import FACE_COLUMNS, face_rows
    from .clips import faces as faces_of_clip

    terminal, beside = Terminal(json, quiet), Beside()
    name = partial(pipes.name, asked=photos)

    def list_faces(path: Path) -> None:
        if pipes.is_clip(path):
            return faces_of_clip(terminal, path, name(path), output, force)
        found = search(open_photo(path).pixels)
        protected = beside.already_protected(path, found)
        if len(todo) > 1:
            terminal.path(name(path))
        terminal.object(
            **named(name(path), path),
            **exit_words(),
            faces=[
                {
                    "number": number,
                    "box": face.box.round().tolist(),
                    "protectable": number in found.protectable,
                    "protected": number in protected,
                }
                for number, face in found.numbered.items()
            ],
        )
        terminal.table(FACE_COLUMNS, face_rows(found, protected))

    with ExitStack() as stack:
        lists = terminal.each(
            photos, lambda path: pipes.expanded(path, recursive, stack, terminal.note), pipes.name
        )
        todo = [photo for photos in lists for photo in photos]
        if output and (len(todo) > 1 or not all(map(pipes.is_clip, todo))):
            raise BadSettings(
                "-o names the picture of one clip.", "Leave it away for several, and for photos."
            )
        if output and not names_picture(output):
            stack.enter_context(outputs.ready_folder(output))
        terminal.each(todo, list_faces, name)
    if terminal.failed:
        if (count := len(todo) + len(photos) - len(lists)) > 1:
            terminal.note(failed(terminal.failed, count, what="looked at"), always=True)
        raise typer.Exit(2)
