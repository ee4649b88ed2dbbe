"""The command line: `veil protect`, `assess`, `faces`, `models`, `fetch`, `calibrate`, `benchmark`, `ui`.

Whatever needs torch is imported inside of the commands, so that help comes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer
from typer.core import TyperGroup

from ..core.errors import BadSettings, VeilError
from ..core.threads import settle

if TYPE_CHECKING:
    from ..core.types import Step, Work
    from ..eval.report import Report

Item = TypeVar("Item")
Result = TypeVar("Result")


class Commands(TyperGroup):
    """The commands, whose errors are told in two lines instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except VeilError as error:
            _complain(error)
            raise typer.Exit(2) from error
        except KeyboardInterrupt as stop:
            typer.echo("Stopped. Nothing was left half-written.", err=True)
            raise typer.Exit(130) from stop


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def configure(
    weights: Annotated[
        Path | None, typer.Option(envvar="VEIL_WEIGHTS", help="Folder of the models that are not packaged.")
    ] = None,
) -> None:
    """Hide who you are from face-recognition machines; compare by eye whether people still recognise you."""
    if weights:
        from ..weights import store

        store.use_cache(weights)


@app.command()
def protect(
    photos: Annotated[list[Path], typer.Argument(help="The photos.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder, or for one photo NAME.png, .jpg or .webp; otherwise beside it."
        ),
    ] = None,
    strength: Annotated[str, typer.Option(help="subtle, balanced or strong.")] = "balanced",
    effort: Annotated[
        str,
        typer.Option(
            help="quick, normal or thorough: how long to search, about 5, 20 or 60 s a face on two cores."
        ),
    ] = "normal",
    goal: Annotated[
        Literal["dodge", "impersonate"], typer.Option(help="Look like nobody known, or like the target.")
    ] = "dodge",
    target: Annotated[Path | None, typer.Option(help="A photo of whom to impersonate.")] = None,
    faces: Annotated[
        str | None, typer.Option(help="Numbers as `veil faces` shows them: 1,3. Otherwise all.")
    ] = None,
    largest: Annotated[bool, typer.Option("--largest", help="Only the largest face.")] = False,
    seed: Annotated[
        int, typer.Option(min=0, help="The same seed gives the same result, on the same machine.")
    ] = 0,
    prior: Annotated[
        str, typer.Option(help="The generative model: portrait, stable-diffusion[:FOLDER or HUB/ID].")
    ] = "portrait",
    size: Annotated[
        int | None, typer.Option(help="Side of the prior's crop in pixels.", show_default="the prior's own")
    ] = None,
    device: Annotated[str, typer.Option(envvar="VEIL_DEVICE", help="cpu, cuda, cuda:1, mps.")] = "cpu",
    surrogates: Annotated[
        str | None, typer.Option(help="The recognisers to defeat: dlib,faceres.", show_default=False)
    ] = None,
    all_surrogates: Annotated[
        bool, typer.Option("--all-surrogates", help="Defeat every one, and keep no honest judge.")
    ] = False,
    leave_out: Annotated[
        str | None,
        typer.Option(help="The recogniser kept as honest judge.", show_default="faceplugin"),
    ] = None,
    format: Annotated[
        Literal["png", "keep", "jpeg", "webp"],
        typer.Option(help="Format of the result, where -o does not tell."),
    ] = "png",
    keep_metadata: Annotated[
        bool, typer.Option("--keep-metadata", help="Keep EXIF, place and comments, which also tell.")
    ] = False,
    probe: Annotated[
        Path | None, typer.Option(help="Another photo of the person, to judge the result with.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace results that exist.")] = False,
) -> None:
    """Protect the faces of photos; write NAME.veiled.png and the report NAME.veiled.json."""
    from ..core.images import check_writable, names_picture
    from ..privacy.settings import settings
    from . import jobs
    from .present import LIMITS

    used = jobs.surrogates(surrogates, all_surrogates, leave_out)
    chosen = settings(
        strength, effort, surrogates=used, goal=goal, seed=seed, prior=prior, size=size, device=device
    )
    jobs.check_models(chosen)
    if (goal == "impersonate") != (target is not None):
        raise BadSettings("--goal impersonate and --target belong together.", "Give both or neither.")
    aim, other = jobs.place(target), jobs.place(probe)
    if output:
        one = names_picture(output)
        if one and len(photos) > 1:
            raise BadSettings(f"-o {output} names one picture for {len(photos)} photos.", "Name a folder.")
        check_writable(output.parent if one else output)
    numbers = _numbers(faces, largest)
    taken = {path.resolve() for path in (*photos, target, probe) if path}

    ready = _each(photos, lambda path: jobs.prepare(path, output, format, numbers, force, taken))

    def run(job: jobs.Job) -> None:
        work = jobs.run(job, chosen, aim, other[0] if other else None, keep_metadata)
        photo, report = _follow(work, job.source.name)
        for warning in photo.warnings:
            typer.echo(f"Note: {warning}", err=True)
        typer.echo(f"{job.picture}\n{job.record}")
        _show(report)

    done = _each(ready, run)
    if done:
        _say(f"\n{LIMITS}")
    if len(done) < len(photos):
        raise typer.Exit(2)


@app.command()
def assess(
    before: Annotated[Path, typer.Argument(help="The photo as it was.", show_default=False)],
    after: Annotated[Path, typer.Argument(help="The protected photo.", show_default=False)],
    probe: Annotated[Path | None, typer.Option(help="Another photo of the person.")] = None,
    seen: Annotated[
        str | None,
        typer.Option(
            help="The recognisers that were used to protect it.", show_default="from the report beside"
        ),
    ] = None,
    judges: Annotated[
        str | None, typer.Option(help="Who judges: dlib,facenet.", show_default="all that are packaged")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Judge a protected photo against the photo before."""
    from ..core.images import open_photo
    from ..eval.report import assess as judge
    from . import jobs
    from .present import LIMITS

    known = jobs.known_surrogates(after) if seen is None else frozenset(jobs.surrogates(seen, False, None))
    other = jobs.place(probe)
    report = judge(
        open_photo(before),
        open_photo(after),
        seen=known or frozenset(),
        recognizers=jobs.names(judges),
        probe=other[0] if other else None,
    )
    if known is None:
        typer.echo("Note: no report lies beside it; so no recogniser counts as used.", err=True)
    if json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        _show(report)
        _say(f"\n{LIMITS}")


@app.command()
def faces(photo: Annotated[Path, typer.Argument(help="The photo.", show_default=False)]) -> None:
    """List the faces of a photo with their numbers, the largest first."""
    from ..attacks.faces import search
    from ..core.images import open_photo
    from .present import FACE_COLUMNS, face_rows

    _table(FACE_COLUMNS, face_rows(search(open_photo(photo).pixels)))


@app.command()
def models() -> None:
    """List recognisers and priors: licence, size, and whether they are here."""
    from .present import MODEL_COLUMNS, model_rows

    _table(MODEL_COLUMNS, model_rows())
    _say("`veil fetch NAME` says more about a model that is not here, and downloads it.")


@app.command()
def fetch(
    name: Annotated[
        str, typer.Argument(help="As `veil models` lists it, or NAME:MODEL.", show_default=False)
    ],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You have read the licence and accept it.")
    ] = False,
) -> None:
    """Show a model's licence and, once it is accepted, download the model."""
    from ..weights.fetch import fetch as download
    from .present import facts

    for line in facts(name):
        _say(line)
    typer.echo(download(name, accept_licence))


@app.command()
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
) -> None:
    """Measure recognisers on photos of known people: error rates, and thresholds at FAR 10, 1 and 0.1 %."""
    from ..attacks import packaged
    from ..eval import calibration
    from ..weights.registry import card
    from . import jobs

    names = jobs.names(recognizers) or packaged()
    if save and all(card(name).packaged for name in names):
        raise BadSettings(
            "Packaged recognisers keep the thresholds of their cards.", "Name others with --recognizers."
        )
    measured = _follow(calibration.calibrate(folder, names), folder.name)
    if save:
        jobs.keep_thresholds(measured)
    if output:
        output.write_text(measured.model_dump_json(indent=2) + "\n", encoding="utf-8")
    _table(calibration.COLUMNS, calibration.rows(measured))
    _say(
        f"{len(measured.people)} people, {len(measured.photos)} photos ({measured.without_face} show no "
        "face). In brackets: 95 % intervals, from drawing people."
    )


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Otherwise the first free one from 7860.", show_default=False)
    ] = None,
    auth: Annotated[Path | None, typer.Option(help="Who may enter: lines of name:password.")] = None,
    max_side: Annotated[
        int | None, typer.Option(min=64, help="Refuse photos with a longer side, in pixels.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Photos that are protected at a time.")] = 1,
) -> None:
    """Open the page in the browser; with VEIL_HOSTED=1 under the rules for strangers."""
    import os

    from . import hosting
    from .app import passwords, serve

    entrants = passwords(auth) if auth else None
    serve(hosting.rules(os.environ, concurrency, max_side), host, port, entrants)


@app.command()
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
) -> None:
    """Measure methods on a dataset; a run that was stopped goes on where it was."""
    from ..eval import benchmark as judge
    from ..eval import pages
    from .bench import TOOLS

    spec = judge.read(file)
    if photos:
        spec = spec.model_copy(update={"per_group" if spec.per_group else "photos": photos})
    if turns:
        spec = spec.model_copy(update={"leave_out": "turns"})
    folder = output or Path("runs") / file.stem
    rows = _follow(judge.run(spec, TOOLS, faces, folder, workers, ray), file.stem)
    for page in pages.write(folder):
        typer.echo(page)
    typer.echo(rows)


def _numbers(faces: str | None, largest: bool) -> set[int]:
    """The numbers in "1,3"; 1 for the largest; none for all."""
    if faces and largest:
        raise BadSettings("--faces and --largest exclude each other.", "Give one of them.")
    if largest:
        return {1}
    try:
        return {int(number) for number in faces.split(",")} if faces else set()
    except ValueError as error:
        raise BadSettings(
            f"{faces!r} is no list of face numbers.", "Write them like 1,3; `veil faces` shows them."
        ) from error


def _each(items: Iterable[Item], do: Callable[[Item], Result]) -> list[Result]:
    """What `do` returns for each item; an item that fails is complained of and left out."""
    results: list[Result] = []
    for item in items:
        try:
            results.append(do(item))
        except VeilError as error:
            _complain(error)
    return results


def _complain(error: VeilError) -> None:
    typer.echo(f"Error: {error.message}\n{error.hint}".rstrip(), err=True)


def _follow(work: Work[Result], title: str) -> Result:
    """Drain work under a progress bar that shows its stage, step and remaining time."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ..core.progress import finish

    label = TextColumn("{task.description}", markup=False)  # file names may hold brackets
    bar = Progress(
        label,
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task, stage = bar.add_task(title, total=None), ""

    def show(step: Step) -> None:
        nonlocal stage
        if step.stage != stage:
            stage = step.stage
            bar.reset(task, total=step.total, description=f"{title}: {stage}")
        bar.update(task, completed=step.done)

    with bar:
        return finish(work, show)


def _show(report: Report) -> None:
    from . import present

    for sentence in present.unprotected(report):
        _say(sentence)
    _table(present.MATCH_COLUMNS, present.match_rows(report))
    for sentence in (*present.remarks(report), present.headline(report)):
        _say(sentence)


def _say(text: str) -> None:
    """Print text, broken between words."""
    from rich.console import Console

    Console(markup=False, highlight=False).print(text)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)


def main() -> None:
    """The console script."""
    settle()
    app(prog_name="veil")
