"""What the command line says, where, and how: words and tables, or JSON; progress; errors."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ..core.errors import MadeOtherwise, VeilError
from ..core.files import printable

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ..core.types import Step, Steps
    from ..eval.report import Report
    from .clip_records import ClipRecord, ClipReport
    from .records import Record

T = TypeVar("T")
R = TypeVar("R")

FAILED, FELL_SHORT = 2, 3  # the exit codes where something could not be done, and where not all is protected
A_LINE_EACH = 60.0  # seconds, of work whose progress goes to a file
ERROR, OTHERWISE = "error", "other settings"  # why something could not be done, in JSON

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line; words go to stderr.")]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Say nothing but what went wrong, and why the exit code is not 0."),
]
QuietOnFaces = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Say nothing but what went wrong, which faces stayed as they were, what is protected once more, "
        "which links to folders are not followed, which --me shows nobody who is protected, and why the exit "
        "code is not 0.",
    ),
]


@dataclass(frozen=True)
class Terminal:
    """How a command speaks.

    json: objects on standard output, instead of words and tables.
    quiet: no words, tables or progress; errors are told.
    to_stderr: words and tables go there, since standard output holds a picture.
    failed, left: what `each` complained of, by name; apart, those whose result was made with other settings.
    complaints: what it said, so that what concerns several files is said once.
    waits: whether objects are kept until `release`, in `waiting`.
    legends: how to read the tables that were printed, for `end`.
    """

    json: bool = False
    quiet: bool = False
    to_stderr: bool = False
    waits: bool = False
    failed: list[str] = field(default_factory=list[str])
    left: list[str] = field(default_factory=list[str])
    complaints: set[str] = field(default_factory=set[str])
    waiting: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    legends: list[str] = field(default_factory=list[str])

    @property
    def failures(self) -> tuple[str, ...]:
        """Why files could not be protected, as `exit_words` takes it."""
        return (ERROR,) * bool(self.failed) + (OTHERWISE,) * bool(self.left)

    def say(self, text: str) -> None:
        """Print text, broken between words."""
        self._print(text)

    def path(self, *paths: object) -> None:
        """Print paths, a line each and never broken."""
        if not (self.json or self.quiet):
            typer.echo("\n".join(map(str, paths)), err=self.to_stderr)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table."""
        from rich.box import SIMPLE
        from rich.table import Table

        table = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
        for number, column in enumerate(columns):
            table.add_column(column, no_wrap=number == 0, overflow="fold")  # names are not cut
        for row in rows:
            table.add_row(*row)
        self._print(table)

    def report(self, report: Report, made: Record | None = None) -> None:
        """Print what recognisers and eyes make of a protected photo: the answer first.

        Args:
            made: the record that the report is of, where it is of one.
        """
        from . import wording

        remarks = wording.remarks(report, made.settings if made else None)
        table = wording.MATCH_COLUMNS, wording.match_rows(report)
        self._verdict(wording.headline(report), table, remarks, wording.legend(report), made)

    def clip(self, report: ClipReport, made: ClipRecord | None = None) -> None:
        """Print what recognisers make of a protected clip, and what is still expressed in it, as `report`."""
        from . import clip_words

        table = clip_words.TRACK_COLUMNS, clip_words.match_rows(report)
        said = clip_words.remarks(report), clip_words.legend(report)
        self._verdict(clip_words.headline(report), table, *said, made)

    def _verdict(
        self,
        answer: str,
        table: tuple[Sequence[str], Iterable[Sequence[str]]],
        remarks: Iterable[str],
        legend: Iterable[str],
        made: Record | ClipRecord | None,
    ) -> None:
        from . import wording

        self.say(answer)
        self.table(*table)
        how = wording.made(made.strength, made.effort) if made else ""
        for sentence in filter(None, (*remarks, how)):
            self.say(sentence)
        self.legends.extend(text for text in legend if text not in self.legends)

    def end(self, limits: str) -> None:
        """Print how to read the tables, and what is not promised."""
        for text in filter(None, ("\n".join(self.legends), limits)):
            self.say(f"\n{text}")

    def _print(self, what: Any) -> None:
        from rich.console import Console

        if not (self.json or self.quiet):
            Console(markup=False, emoji=False, highlight=False, stderr=self.to_stderr).print(what)

    def note(self, text: str, always: bool = False) -> None:
        """Say on standard error what is good to know; `always`, and `wording.EVEN_QUIET`: even when quiet."""
        from .wording import EVEN_QUIET

        if always or not self.quiet or text.endswith(EVEN_QUIET):
            typer.echo(f"Note: {text}", err=True)

    def warn(self, text: str) -> None:
        """Say first, and even when quiet, what is not as people would wish."""
        typer.echo(text, err=self.json or self.quiet or self.to_stderr)

    def object(self, model: BaseModel | None = None, /, **values: Any) -> None:
        """Print an object as a line of JSON, where that was asked for; `values` before those of a model."""
        if self.json:
            said = (model.model_dump(mode="json") if model else {}) | values
            if self.waits:
                self.waiting.append(said)
            else:
                typer.echo(json.dumps(said))

    def release(self) -> None:
        """Print the objects that were kept."""
        while self.waiting:
            typer.echo(json.dumps(self.waiting.pop(0)))

    def each(self, items: Iterable[T], do: Callable[[T], R], name: Callable[[T], str]) -> list[R]:
        """What `do` returns for each item; an item that fails is complained of and left out."""
        results: list[R] = []
        for item in items:
            try:
                results.append(do(item))
            except BrokenPipeError:  # nobody reads on
                raise
            except Exception as error:
                problem = in_its_folder(known(error, name(item)), name(item))
                if problem.message not in self.complaints:
                    complain(problem)
                self.complaints.add(problem.message)
                (self.left if isinstance(problem, MadeOtherwise) else self.failed).append(name(item))
                source: Any = getattr(item, "source", item)
                self.object(**named(name(item), source), **failure(problem))
        return results

    def follow(self, work: Steps[R], title: str, in_lines: bool = False) -> R:
        """Drain work under a progress bar that shows its stage, step and remaining time; `in_lines`: where
        there is no terminal, by a line each minute."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from ..core.progress import finish
        from .wording import stage

        label = TextColumn("{task.description}", markup=False)  # file names may hold brackets
        console = Console(stderr=True)
        bar = Progress(
            label,
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=self.quiet or not console.is_interactive,  # where it would leave a blank line
        )
        task, words, told = bar.add_task(title, total=None), "", monotonic()
        in_lines = in_lines and not (self.quiet or console.is_interactive)

        def show(step: Step) -> None:
            nonlocal words, told
            if in_lines and monotonic() >= told + A_LINE_EACH:
                typer.echo(f"{title}: {stage(step)}, {step.done} of {step.total}", err=True)
                told = monotonic()
            if (now := stage(step)) != words:
                words = now
                bar.reset(task, total=step.total, description=f"{title}: {words}")
            bar.update(task, completed=step.done)

        with bar:
            return finish(work, show)


def named(name: str, source: Path) -> dict[str, str]:
    """What a file is called in JSON, and its path as it was given."""
    from .pipes import is_clip

    return {"clip" if is_clip(Path(name)) else "photo": name, "source": printable(source)}


def exit_words(short: Sequence[str] = (), failed: Sequence[str] = ()) -> dict[str, Any]:
    """The exit code of a file and, where it is not 0, why, for JSON: what could not be done, and what falls
    short."""
    return {"exit": FAILED if failed else FELL_SHORT if short else 0, "exit_because": (*failed, *short)}


def failure(error: VeilError) -> dict[str, Any]:
    """The exit code of what could not be done, why, and what to do, for JSON."""
    because = OTHERWISE if isinstance(error, MadeOtherwise) else ERROR
    return {**exit_words(failed=(because,)), "error": error.message, "hint": error.hint}


def known(error: Exception, name: str) -> VeilError:
    """An error as people meet it: also one that was not foreseen, of which no traceback helps them."""
    if isinstance(error, VeilError):
        return error
    return VeilError(
        f"Something went wrong inside veil with {name} ({type(error).__name__}: {error}).",
        "Other files are not touched by it. Please report it.",
    )


def in_its_folder(error: VeilError, name: str) -> VeilError:
    """An error that calls a file as it is called elsewhere, where that tells its folder, too."""
    if name in error.message:
        return error
    alone = rf"(?<![\w./-]){re.escape(Path(name).name)}(?!\.?[\w/-])"  # and no part of another name or word
    return type(error)(re.sub(alone, lambda _: name, error.message, count=1), error.hint)


def complain(error: VeilError) -> None:
    """Tell an error on standard error, in two lines."""
    with suppress(OSError):  # where it goes to a file on a full disk, say, the exit code tells still
        typer.echo(f"Error: {error.message}\n{error.hint}".rstrip(), err=True)


def print_any_name() -> None:
    """Let standard output take file names that are not UTF-8, byte by byte; standard error escapes them."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    with suppress(AttributeError, ValueError):
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")  # pyright: ignore
