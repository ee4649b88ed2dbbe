"""The command line: `veil protect`, `assess`, `faces`, `models`, `fetch`, `calibrate`, `benchmark`, `ui`.

Whatever needs torch is imported inside of the commands, so that help comes at once.
"""

from __future__ import annotations

import signal
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from ..core.errors import BadSettings, NoFace, VeilError
from ..core.files import printable
from ..core.threads import configure_threads
from .terminal import Json, Quiet, Terminal, complain, print_any_name

if TYPE_CHECKING:
    from . import workflow
    from .selection import Whom

FELL_SHORT = 3  # the exit code where a face was left, or is still known


class Commands(TyperGroup):
    """The commands, whose errors are told in two lines instead of a traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As always, but that a photo may be called -d.jpg."""
        return super().parse_args(ctx, [f"./{one}" if _is_dashed_file(one) else one for one in args])

    def invoke(self, ctx: Any) -> Any:
        print_any_name()
        try:
            return super().invoke(ctx)
        except VeilError as error:
            complain(error)
            raise typer.Exit(2) from error
        except BrokenPipeError:  # nobody reads on, which typer bears in silence
            raise
        except OSError as error:  # where results are written, or a file is read that is no photo
            place = printable(error.filename or "A file")
            complain(
                VeilError(f"{place} cannot be used ({error.strerror}).", "Is the disk full, or read-only?")
            )
            raise typer.Exit(2) from error
        except KeyboardInterrupt as stop:
            typer.echo("Stopped. Nothing was left half-written.", err=True)
            raise typer.Exit(130) from stop


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"veil {installed('veil')}")
        raise typer.Exit


@app.callback()
def configure(
    weights: Annotated[
        Path | None, typer.Option(envvar="VEIL_WEIGHTS", help="Folder of the models that are not packaged.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which veil this is.")
    ] = False,
) -> None:
    """Hide who you are from face-recognition machines; compare by eye whether people still recognise you."""
    if weights:
        from ..weights import store

        store.use_cache(weights)


@app.command()
def protect(
    photos: Annotated[
        list[Path], typer.Argument(help="The photos, or folders of them; - reads one.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder, or for one photo its result: NAME.jpg, - and so on. Otherwise beside it.",
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Folders with all that are in them.")
    ] = False,
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
    only: Annotated[
        list[Path] | None,
        typer.Option(help="Only the person of this photo, which shows nobody else; may be repeated."),
    ] = None,
    spare: Annotated[
        list[Path] | None,
        typer.Option("--except", help="Everyone but the person of this photo; may be repeated."),
    ] = None,
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
        typer.Option(help="The recogniser kept as honest judge.", show_default="sface"),
    ] = None,
    format: Annotated[
        Literal["keep", "png", "jpeg", "webp", "avif", "heic"],
        typer.Option(help="Format of the result, where -o does not tell; keep: the photo's own."),
    ] = "keep",
    quality: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Of JPEG, WebP, AVIF, HEIC.", show_default="as the photo's file"),
    ] = None,
    keep_metadata: Annotated[
        bool, typer.Option("--keep-metadata", help="Keep EXIF, place and comments, which also tell.")
    ] = False,
    probe: Annotated[
        Path | None, typer.Option(help="Another photo of the person, to judge the result with.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace results that exist.")] = False,
    fail_if_recognised: Annotated[
        bool,
        typer.Option(
            "--fail-if-recognised", help="Exit with 3 where any recogniser, used or not, still knows a face."
        ),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Protect the faces of photos; write NAME.veiled.jpg (or as the photo) and the report NAME.veiled.json.

    A result that is there, made of the same photo in the same way and not changed since, was done before and
    is left as it is.

    Exit code: 0 where all is protected; 3 where not, for one of two reasons, which the last line and the
    exit_because of --json name: "face left" (it is too small) or "still recognised" (by a recogniser that was
    not used, as balanced mostly leaves it); 2 where a photo could not be protected at all.
    """
    from ..privacy.settings import settings
    from . import pipes, workflow
    from .outputs import Output, real, reserved
    from .wording import LIMITS, fell_short

    used = workflow.surrogates(surrogates, all_surrogates, leave_out)
    chosen = settings(
        strength, effort, surrogates=used, goal=goal, seed=seed, prior=prior, size=size, device=device
    )
    workflow.check_models(chosen)
    if (goal == "impersonate") != (target is not None):
        raise BadSettings("--goal impersonate and --target belong together.", "Give both or neither.")
    if quality and format == "png":
        raise BadSettings("A PNG has no quality: it is exact.", "Leave --quality away.")
    aim, other = workflow.photo_and_face(target), workflow.photo_and_face(probe)
    whom = _whom(faces, largest, only, spare)
    piped = output == pipes.PIPE or (output is None and pipes.PIPE in photos)
    terminal = Terminal(json, quiet, to_stderr=piped)
    with ExitStack() as stack:
        lists = terminal.each(
            photos, lambda path: pipes.expanded(path, recursive, stack, terminal.note), pipes.name
        )
        named = [photo for photos in lists for photo in photos]
        todo = list({real(photo): photo for photo in reversed(named)}.values())[::-1]
        if piped and (json or len(todo) > 1):
            raise BadSettings("A picture on standard output stands alone.", "Name one photo, without --json.")
        place = pipes.temporary(stack) if piped else output
        wanted = Output(place, format, quality, keep_metadata, force)
        wanted.check(len(todo))
        taken = reserved(*todo, target, probe, *(only or ()), *(spare or ()))
        alone = len(todo) == 1 and todo == photos
        ready = terminal.each(
            todo,
            lambda path: workflow.prepare(path, wanted, whom, taken, alone, chosen, target, probe),
            pipes.name,
        )
        judge = partial(workflow.Record.shortfalls, strict=fail_if_recognised, by_choice=bool(whom.numbers))

        def run(job: workflow.Job | workflow.PassedOver | workflow.Done) -> tuple[workflow.Shortfall, ...]:
            if isinstance(job, workflow.PassedOver):
                return _passed_over(terminal, job, piped)
            if isinstance(job, workflow.Done):
                terminal.note(f"{pipes.name(job.source)} {job.why}: its result is left as it is.")
                _told(terminal, job, job.said, judge(job.said))
                return judge(job.said)
            for note in job.notes:
                terminal.note(note)
            work = workflow.run(job, chosen, aim, other.frame if other else None)
            _, record = terminal.follow(work, pipes.name(job.source))
            _told(terminal, job, record, judge(record))
            if piped:
                pipes.write(job.picture)
            return judge(record)

        done = terminal.each(ready, run, lambda job: pipes.name(job.source))
    if done:
        terminal.say(f"\n{LIMITS}")
    if len(lists) < len(photos) or len(done) < len(todo):
        raise typer.Exit(2)
    if any(done):
        terminal.note(fell_short(done, fail_if_recognised))
        raise typer.Exit(FELL_SHORT)


def _told(
    terminal: Terminal,
    job: workflow.Job | workflow.Done,
    record: workflow.Record,
    short: tuple[workflow.Shortfall, ...],
) -> None:
    """Say what became of a photo, or had before: first what is not protected."""
    from . import workflow
    from .wording import unprotected

    for sentence in unprotected(record.report.unprotected):
        terminal.warn(sentence)
    if not terminal.to_stderr:  # of a picture on standard output no file is left
        terminal.path(job.picture, job.record)
    files = {"source": job.source, "picture": job.picture, "record": job.record}
    named: dict[str, Any] = {name: printable(path) for name, path in files.items()}
    if isinstance(job, workflow.Done):
        named["passed_over"] = job.why
    else:
        terminal.report(record.report)
    terminal.object(record, **named, **_exit(short))


def _exit(short: tuple[workflow.Shortfall, ...]) -> dict[str, Any]:
    """The exit code of a photo and, where not all of it is protected, why, for JSON."""
    return {"exit": FELL_SHORT if short else 0, "exit_because": short}


def _passed_over(
    terminal: Terminal, photo: workflow.PassedOver, piped: bool
) -> tuple[workflow.Shortfall, ...]:
    """Say why nothing is written for a photo; returns whether a face was left for being too small.

    Raises:
        NoFace: a picture was to go to standard output.
    """
    from . import pipes, workflow
    from .wording import unprotected

    name = pipes.name(photo.source)
    if piped:
        raise NoFace(f"{name} {photo.why}.", "Nothing was written.")
    short = workflow.left_behind(photo.unprotected)
    terminal.note(f"{name} {photo.why}: nothing is written for it.")
    for sentence in unprotected(photo.unprotected):
        terminal.warn(sentence)
    left = [face.model_dump(mode="json") for face in photo.unprotected]
    terminal.object(photo=name, **_exit(short), passed_over=photo.why, unprotected=left)
    return short


@app.command()
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
    from ..attacks import RECOGNIZERS
    from ..core.images import open_photo
    from ..eval.report import assess as judge
    from . import workflow
    from .wording import LIMITS

    if seen is None:
        known = workflow.known_surrogates(after)
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
    if fail_if_recognised and workflow.still_known(report, strict=True):
        raise typer.Exit(FELL_SHORT)


@app.command()
def faces(
    photo: Annotated[Path, typer.Argument(help="The photo; - reads it.", show_default=False)],
    json: Json = False,
) -> None:
    """List the faces of a photo, the largest first, numbered as `veil protect --faces` takes them."""
    from ..attacks.faces import search
    from ..core.images import open_photo
    from . import pipes, workflow
    from .wording import FACE_COLUMNS, face_rows

    terminal = Terminal(json)
    with ExitStack() as stack:
        (path,) = pipes.expanded(photo, False, stack) if photo == pipes.PIPE else [photo]
        found = search(open_photo(path).pixels)
        protected = workflow.already_protected(path, found)
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


@app.command()
def models(json: Json = False) -> None:
    """List recognisers and priors: licence, size, and whether they are here."""
    from .wording import MODEL_COLUMNS, model_rows

    terminal = Terminal(json)
    for row in model_rows():
        terminal.object(**dict(zip(map(str.lower, MODEL_COLUMNS), row, strict=True)))
    terminal.table(MODEL_COLUMNS, model_rows())
    terminal.say("`veil fetch NAME` says more about a model that is not here, and downloads it.")


@app.command()
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
    from ..weights.fetch import fetch as download
    from .wording import facts

    terminal = Terminal(json)
    for line in facts(name):
        terminal.say(line)
    file = download(name, accept_licence)
    terminal.object(model=name, file=str(file))
    terminal.path(file)


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
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure recognisers on photos of known people: error rates, and thresholds at FAR 10, 1 and 0.1 %."""
    from ..attacks import packaged
    from ..core.files import atomic_write, check_writable
    from ..eval import calibration
    from ..weights.registry import card
    from . import workflow

    terminal, names = Terminal(json, quiet), workflow.names(recognizers) or packaged()
    if save and all(card(name).packaged for name in names):
        raise BadSettings(
            "Packaged recognisers keep the thresholds of their cards.", "Name others with --recognizers."
        )
    if output:
        check_writable(output.parent)
    measured = terminal.follow(calibration.calibrate(folder, names), folder.name)
    if save:
        workflow.keep_thresholds(measured)
    if output:
        with atomic_write(output, replace=True) as (part,):
            part.write_text(measured.model_dump_json(indent=2) + "\n", encoding="utf-8")
    terminal.object(measured)
    terminal.table(calibration.COLUMNS, calibration.rows(measured))
    terminal.say(
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
    mcp: Annotated[
        bool, typer.Option("--mcp", help="Let agents on this machine use it, by the Model Context Protocol.")
    ] = False,
) -> None:
    """Open the page in the browser; with VEIL_HOSTED=1 under the rules for strangers."""
    import os

    from .web import policy
    from .web.server import passwords, serve

    entrants = passwords(auth) if auth else None
    serve(policy.rules(os.environ, concurrency, max_side), host, port, entrants, mcp)


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
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure methods on a dataset; a run that was stopped goes on where it was."""
    from ..eval import benchmark as judge
    from ..eval import html_report
    from .engine_hooks import ENGINE_HOOKS

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


def _whom(faces: str | None, largest: bool, only: list[Path] | None, spare: list[Path] | None) -> Whom:
    """Whom to protect: the faces of numbers "1,3", the largest, a person, all but a person, or everyone."""
    from . import workflow
    from .selection import Whom

    if sum(map(bool, (faces, largest, only, spare))) > 1:
        raise BadSettings("--faces, --largest, --only and --except exclude each other.", "Give one of them.")
    if photos := only or spare:
        return Whom(person=workflow.person_of(photos), spare=bool(spare))
    return Whom(_numbers("1" if largest else faces))


def _numbers(faces: str | None) -> frozenset[int]:
    """The numbers in "1,3"; none for all."""
    try:
        return frozenset(int(number) for number in faces.split(",")) if faces else frozenset()
    except ValueError as error:
        raise BadSettings(
            f"{faces!r} is no list of face numbers.", "Write them like 1,3; `veil faces` shows them."
        ) from error


def _is_dashed_file(argument: str) -> bool:
    """Whether an argument that looks like an option is a photo, such as -d.jpg."""
    return argument.startswith("-") and Path(argument).suffix != "" and Path(argument).is_file()


def main() -> None:
    """The console script; who ends it leaves nothing behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    configure_threads()
    app(prog_name="veil")
