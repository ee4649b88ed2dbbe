"""`veil assess` and `veil faces`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ..terminal import Json, Terminal
from .protect import FELL_SHORT


def assess(
    before: Annotated[Path, typer.Argument(help="The photo as it was.", show_default=False)],
    after: Annotated[Path, typer.Argument(help="The protected photo.", show_default=False)],
    probe: Annotated[Path | None, typer.Option(help="Another photo of the person.")] = None,
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
        bool, typer.Option("--fail-if-recognised", help="Exit with 3 where a recogniser still knows a face.")
    ] = False,
    json: Json = False,
) -> None:
    """Judge a protected photo against the photo before."""
    from ...attacks import RECOGNIZERS
    from ...core.images import open_photo
    from ...eval.report import assess as judge
    from .. import records, workflow
    from ..wording import LIMITS

    if seen is None:
        known = records.known_surrogates(after)
    else:
        known = frozenset(RECOGNIZERS.check(name) for name in workflow.names(seen))
    terminal, other = Terminal(json), workflow.photo_and_face(probe)
    report = judge(
        open_photo(before),
        open_photo(after),
        surrogates=known or frozenset(),
        recognizers=workflow.names(judges),
        probe=other.frame if other else None,
    )
    if known is None:
        terminal.note("no report lies beside it; so no recogniser counts as used.")
    terminal.object(report)
    terminal.report(report)
    terminal.say(f"\n{LIMITS}")
    if fail_if_recognised and records.still_known(report, strict=True):
        raise typer.Exit(FELL_SHORT)


def faces(
    photo: Annotated[Path, typer.Argument(help="The photo; - reads it.", show_default=False)],
    json: Json = False,
) -> None:
    """List the faces of a photo, the largest first, numbered as `veil protect --faces` takes them."""
    from ...attacks.faces.detection import search
    from ...core.images import open_photo
    from .. import pipes, records
    from ..wording import FACE_COLUMNS, face_rows

    terminal = Terminal(json)
    with ExitStack() as stack:
        (path,) = pipes.expanded(photo, False, stack) if photo == pipes.PIPE else [photo]
        found = search(open_photo(path).pixels)
        protected = records.already_protected(path, found)
    terminal.object(
        photo=pipes.name(photo),
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
