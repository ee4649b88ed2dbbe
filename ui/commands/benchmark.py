"""`veil benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..terminal import Json, Quiet, Terminal


def benchmark(
    file: Annotated[Path, typer.Argument(help="What to run, such as benchmarks/methods.toml.")],
    faces: Annotated[Path, typer.Option(help="Folder that holds the datasets, or the clips.")] = Path("."),
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder of the run, made where it is missing; otherwise runs/NAME."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes, each with one thread.")] = 1,
    photos: Annotated[
        int | None, typer.Option(min=1, help="Take only so many people (a group), or clips.")
    ] = None,
    turns: Annotated[
        bool, typer.Option("--turns", help="Leave one recogniser out for each person, in turn.")
    ] = False,
    ray: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster, or local.", show_default=False)
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure methods on a dataset, or on clips; a run that was stopped goes on where it was."""
    from ...eval import benchmark as judge
    from ...eval import clip_benchmark, html_report
    from ...eval.benchmark.manifest import people_in
    from ..engine_hooks import ENGINE_HOOKS

    changes = {"leave_out": "turns"} if turns else {}
    folder, terminal = output or Path("runs") / file.stem, Terminal(json, quiet)
    before = people_in(folder)
    if clip_benchmark.is_of_clips(file):
        if photos:
            changes |= {"photos": photos}
        clips = clip_benchmark.read(file).model_copy(update=changes)
        work = clip_benchmark.run(clips, ENGINE_HOOKS, faces, folder, workers, ray)
        written = terminal.follow(work, file.stem, in_lines=True)
    else:
        spec = judge.read(file)
        if photos:
            changes |= {"per_group" if spec.per_group else "photos": photos}
        spec = spec.model_copy(update=changes)
        work = judge.run(spec, ENGINE_HOOKS, faces, folder, workers, ray)
        rows = terminal.follow(work, file.stem, in_lines=True)
        written = [*html_report.write(folder), rows]
    now = people_in(folder)
    if before - now:
        terminal.note(
            f"The tables in {folder} were of {len(before)} people or clips, and are of {len(now)} now. What "
            "was done for the others is kept: run again for as many as before, and they are back."
        )
    terminal.object(files=[str(path) for path in written])
    terminal.path(*written)
