"""The command line: `veil protect`, `assess`, `faces`, `models`, `fetch`, `calibrate`, `benchmark`, `ui`.

Whatever needs torch is imported inside of the commands, so that help comes at once.
"""

from __future__ import annotations

import inspect
import os
import signal
import warnings
from collections.abc import Sequence
from importlib.metadata import version as installed
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_args, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from ..core.errors import BadSettings, VeilError
from ..core.files import printable
from ..core.threads import configure_threads
from ..weights.store import ENVIRONMENT
from .commands.benchmark import benchmark
from .commands.judge import assess, faces
from .commands.models import calibrate, fetch, models
from .commands.page import ui
from .commands.protect import protect
from .terminal import FAILED, Terminal, complain, failure, print_any_name

JSON = "veil.json"  # of click's notes: whether --json was given
STOPPED = 130  # the exit code of what was stopped, as shells have it


class Command(TyperCommand):
    """A command that takes no empty path."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _check_paths(self, ctx, args)
        return super().parse_args(ctx, args)


class Commands(TyperGroup):
    """The commands, whose errors are told in two lines instead of a traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As always, but that a photo may be called -d.jpg."""
        ctx.meta[JSON] = "--json" in args
        try:
            _check_paths(self, ctx, args)
        except VeilError as error:
            _refuse(ctx, error)
        return super().parse_args(ctx, [f"./{one}" if _is_dashed_file(one) else one for one in args])

    def invoke(self, ctx: Any) -> Any:
        print_any_name()
        try:
            return super().invoke(ctx)
        except VeilError as error:
            _refuse(ctx, error)
        except BrokenPipeError:  # nobody reads on, which typer bears in silence
            raise
        except OSError as error:  # where results are written, or a file is read that is no photo
            _refuse(ctx, _of_file(error))
        except KeyboardInterrupt as stop:
            typer.echo(" ".join(("Stopped. Nothing was left half-written.", *stop.args)), err=True)
            raise typer.Exit(STOPPED) from stop


def _check_paths(command: Any, ctx: Any, args: Sequence[str]) -> None:
    """Check that no path is empty, as "$PHOTO" is where it is not set: it would be the current folder; and
    that none is a missing folder called as a photo or clip, since `Path` forgets the slash at its end.

    Raises:
        BadSettings: one is, or does.
    """
    hints = get_type_hints(inspect.unwrap(command.callback))
    given, _, _ = command.make_parser(ctx).parse_args(args=[*args])
    for parameter in command.params:
        value = given.get(parameter.name)
        values = value if isinstance(value, list | tuple) else [value]
        if "" in values and _takes_paths(hints.get(parameter.name)):
            raise BadSettings(
                f"An empty path was given for {parameter.get_error_hint()}.",
                "Is a variable not set? The current folder is called '.'.",
            )
        for folder in values if parameter.name == "output" else ():
            if folder and _is_lost_folder(folder):
                raise BadSettings(
                    f"There is no folder {printable(folder)}, and none is made that is called as a file is.",
                    "Make it first, or name another; without the slash at its end it names one result.",
                )


def _is_lost_folder(path: str) -> bool:
    if not path.endswith(("/", os.sep)) or os.path.isdir(path):
        return False
    from ..core import images, video

    return Path(path).suffix.lower() in images.ENDINGS | video.ENDINGS


def _takes_paths(hint: Any) -> bool:
    return hint is Path or any(map(_takes_paths, get_args(hint)))


def _of_file(error: OSError) -> VeilError:
    """What a file system refuses, as an error for people."""
    name: Any = None if isinstance(error.filename, int) else error.filename  # and no file descriptor
    place = printable(name) if name else "A file"
    if name and isinstance(error, FileNotFoundError):
        return VeilError(f"There is no file {place}.", "Check its name and folder.")
    hints: dict[type[OSError], str] = {
        FileNotFoundError: "Check its name and folder.",
        IsADirectoryError: "Name a file that is in it.",
        PermissionError: "Make it readable and writable, or name another.",
    }
    hint = hints.get(type(error), "Is the disk full, or read-only?")
    return VeilError(f"{place} cannot be used ({error.strerror}).", hint)


def _refuse(ctx: Any, error: VeilError) -> NoReturn:
    """End with an error that stands for all that was asked for."""
    complain(error)
    Terminal(json=ctx.meta[JSON]).object(**failure(error))
    raise typer.Exit(FAILED) from error


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
        os.environ[ENVIRONMENT] = str(weights.absolute())  # worker processes inherit it


for command in (protect, assess, faces, models, fetch, calibrate, ui, benchmark):
    app.command(cls=Command)(command)


def _is_dashed_file(argument: str) -> bool:
    """Whether an argument that looks like an option is a photo, such as -d.jpg."""
    return argument.startswith("-") and Path(argument).suffix != "" and Path(argument).is_file()


def main() -> None:
    """The console script; who ends it leaves nothing behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    configure_threads()
    # Pillow warns of odd metadata in photos, which is no concern of the user's
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.|pillow_")
    app(prog_name="veil")
