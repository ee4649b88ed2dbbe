"""`veil models`, `fetch` and `calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...core.errors import BadSettings
from ..terminal import Json, Quiet, Terminal


def models(
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Methods, metrics, disturbances, detectors, trackers and aspects of behaviour, too.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """List recognisers and priors: licence, size, and whether they are here."""
    from ..model_words import MODEL_COLUMNS, PART_COLUMNS, model_rows, part_rows

    terminal = Terminal(json)
    for row in model_rows():
        terminal.object(**dict(zip(map(str.lower, MODEL_COLUMNS), row, strict=True)))
    terminal.table(MODEL_COLUMNS, model_rows())
    if everything:
        for row in part_rows():
            terminal.object(**dict(zip(("name", "kind", "about"), row, strict=True)))
        terminal.table(PART_COLUMNS, part_rows())
    terminal.say("`veil fetch NAME` says more about a model that is not here, and downloads it.")
    if not everything:
        terminal.say("`veil models --all` lists methods, metrics, disturbances, trackers and more, too.")


def fetch(
    name: Annotated[
        str, typer.Argument(help="As `veil models` lists it, or NAME:MODEL.", show_default=False)
    ],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You have read the licence and accept it.")
    ] = False,
    json: Json = False,
) -> None:
    """Show a model's licence and, once it is accepted, download the model."""
    from ...weights.fetch import fetch as download
    from ..model_words import facts

    terminal = Terminal(json)
    for line in facts(name):
        terminal.say(line)
    file = download(name, accept_licence)
    terminal.object(model=name, file=str(file))
    terminal.path(file)


def calibrate(
    folder: Annotated[Path, typer.Argument(help="Photos: a folder a person.", show_default=False)],
    recognizers: Annotated[
        str | None, typer.Option(help="Which: dlib,faceres. Otherwise all.", show_default=False)
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it as JSON, too.")] = None,
    save: Annotated[
        bool,
        typer.Option("--save", help="From now on use these thresholds of recognisers that were fetched."),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure recognisers on photos of known people: error rates, and thresholds at FAR 10, 1 and 0.1 %."""
    from ...attacks import packaged
    from ...core.files import atomic_write, check_writable
    from ...eval import calibration
    from ...weights.registry import card
    from .. import workflow
    from ..recognizers import judges

    terminal, names = Terminal(json, quiet), judges(recognizers, "--recognizers") or packaged()
    if save and all(card(name).packaged for name in names):
        raise BadSettings(
            "Packaged recognisers keep the thresholds of their cards.", "Name others with --recognizers."
        )
    if output:
        check_writable(output.parent)
    measured = terminal.follow(calibration.calibrate(folder, names), folder.name, in_lines=True)
    if save:
        workflow.keep_thresholds(measured)
    if output:
        with atomic_write(output, replace=True) as (part,):
            part.write_text(measured.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if few := calibration.too_few(measured):
        terminal.note(few, always=True)
    terminal.object(measured)
    terminal.table(calibration.COLUMNS, calibration.rows(measured))
    terminal.say(
        f"{len(measured.people)} people, {len(measured.photos)} photos ({measured.without_face} show no "
        "face). In brackets: 95 % intervals, from drawing people."
    )
