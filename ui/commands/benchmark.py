"""`veil benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..terminal import Json, Quiet, Terminal


def benchmark(
    file: Annotated[Path, typer.Argument(help="What to run, such as benchmarks/methods.toml.")],
    faces: Annotated[Path, typer.Option(help="Folder that holds the datasets.")] = Path("."),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the run; otherwise runs/ and the name.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes, each with one thread.")] = 1,
    photos: Annotated[int | None, typer.Option(min=1, help="Take only so many people (a group).")] = None,
    turns: Annotated[
        bool, typer.Option("--turns", help="Leave one recogniser out for each person, in turn.")
    ] = False,
    ray: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster, or local.", show_default=False)
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure methods on a dataset; a run that was stopped goes on where it was."""
    from ...eval import benchmark as judge
    from ...eval import html_report
    from ..engine_hooks import ENGINE_HOOKS

    spec = judge.read(file)
    if photos:
        spec = spec.model_copy(update={"per_group" if spec.per_group else "photos": photos})
    if turns:
        spec = spec.model_copy(update={"leave_out": "turns"})
    folder = output or Path("runs") / file.stem
    terminal = Terminal(json, quiet)
    rows = terminal.follow(judge.run(spec, ENGINE_HOOKS, faces, folder, workers, ray), file.stem)
    written = [*html_report.write(folder), rows]
    terminal.object(files=[str(path) for path in written])
    terminal.path(*written)
