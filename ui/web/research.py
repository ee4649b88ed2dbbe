"""A finished benchmark, read again: a choice of its rows, their tables and plots, and the archive of both."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow import ArrowException, parquet

from ...core.errors import BadSettings
from ...eval import CLEAN, html_report, summary
from ...eval.bootstrap import HEADLINE_RATES
from ...eval.pairings import PAIRINGS, unpaired
from ...eval.summary import Frame
from ...eval.table_text import Table, tables

UNDISTURBED = "none"
MAX_ROWS = 300_000  # the most that a file may hold, as its header says
MAX_BYTES = 500_000_000  # of them, uncompressed
# The most different entries of each: more cannot be drawn, and intervals draw people, again and again.
MAX_KINDS = {"method": 60, "recognizer": 60, "disturbance": 60, "identity": 10_000}
HINT = "Run `veil benchmark` on fewer photos, or read its report.html."
NOT_MEASURES = {
    *(*summary.TEXTS, *summary.NUMBERS, *summary.OUTCOMES),
    *("seed", "found", "clean_aim", *(f"threshold_{rate}" for rate in HEADLINE_RATES)),
    *(*PAIRINGS.values(), "probe_likeness"),
}


@dataclass(frozen=True)
class Query:
    """What of a benchmark is looked at: which question, which rows, and whom methods are compared with."""

    outcome: str
    methods: Sequence[str]
    recognizers: Sequence[str]
    disturbances: Sequence[str]
    other: str


@dataclass(frozen=True)
class Contents:
    """What there is to choose from, the main outcome first; `first` is whom methods are compared with."""

    outcomes: list[str]
    methods: list[str]
    recognizers: list[str]
    disturbances: list[str]
    first: str


@dataclass(frozen=True)
class Findings:
    """Plots as PNG with their headings, and tables by name; what was not scored, as warnings."""

    about: str
    warnings: list[str]
    plots: list[tuple[str, bytes]]
    frames: dict[str, Frame]

    @property
    def tables(self) -> list[Table]:
        """The tables as text, each with its heading and what it says."""
        return tables(self.frames)


def rows_file(place: str) -> Path:
    """The rows of a run: a file, or that of a folder.

    Raises:
        BadSettings: there are none.
    """
    path = Path(place.strip()).expanduser()
    if not path.is_dir():
        if not path.is_file():
            raise BadSettings(f"There is no {path}.", summary.HINT)
        return path
    tables = [path / name for name in ("rows.parquet", "rows.csv")]
    found = next((table for table in tables if table.is_file()), None)
    if not found:
        raise BadSettings(f"The folder {path} holds neither rows.parquet nor rows.csv.", summary.HINT)
    return found


def read(file: Path) -> Frame:
    """The scored rows of a benchmark.

    Raises:
        BadSettings: the file is none, holds too much to be drawn, or nothing that could be scored.
    """
    _bounded(file)
    try:
        rows = summary.read(file)
        counts = {name: rows[name].nunique() for name in MAX_KINDS}
    except (TypeError, ValueError) as error:  # a column that holds something else
        raise BadSettings(f"{file.name} does not hold the rows of a benchmark.", summary.HINT) from error
    if not (rows["disturbance"] == UNDISTURBED).any():
        raise BadSettings(f"{file.name} holds no scored photo without disturbance.", "Choose another run.")
    for name, most in MAX_KINDS.items():
        if counts[name] > most:
            raise BadSettings(f"{file.name} has more than {most} different entries as {name}.", HINT)
    return rows


def _bounded(file: Path) -> None:
    """Refuse a file that says itself that it is large, before it is unpacked; others are left to `read`."""
    try:
        header = parquet.read_metadata(file)
    except (ArrowException, OSError):
        return
    size = sum(header.row_group(number).total_byte_size for number in range(header.num_row_groups))
    if header.num_rows > MAX_ROWS or size > MAX_BYTES:
        raise BadSettings(f"{file.name} holds {header.num_rows} rows, more than a page can show.", HINT)


def everything(file: Path) -> Contents:
    """What a benchmark holds.

    Raises:
        BadSettings: as `read` does.
    """
    rows = read(file)
    main = summary.main_outcome(rows)
    rest = [name for name in summary.OUTCOMES if name != main and rows[name].notna().any()]
    methods, recognizers, disturbances = (
        [str(name) for name in rows[column].unique()] for column in ("method", "recognizer", "disturbance")
    )
    first = next((name for name in methods if name != CLEAN), methods[0])
    return Contents([main, *rest], methods, recognizers, disturbances, first)


def find(file: Path, query: Query) -> Findings:
    """The tables and plots of a choice; photos without disturbance are always among them.

    Raises:
        BadSettings: as `read` does, or nothing is left by the choice.
    """
    rows = read(file)
    alone = unpaired(rows[rows["method"].isin(query.methods)])
    kept = (
        rows["method"].isin(query.methods)
        & rows["recognizer"].isin(query.recognizers)
        & rows["disturbance"].isin([UNDISTURBED, *query.disturbances])
        & rows[query.outcome].notna()
    )
    rows = rows[kept]
    if not (rows["disturbance"] == UNDISTURBED).any():
        raise BadSettings("Nothing is left to show.", "Choose at least one method and one recogniser.")
    other = query.other if query.other in query.methods else str(rows["method"].iloc[0])
    frames = html_report.from_rows(rows, query.outcome, other, _measures(rows))
    drawn = html_report.drawn(rows, frames, query.outcome)
    warnings = [*html_report.failed(file), *alone]
    return Findings(html_report.about(rows, query.outcome), warnings, drawn, frames)


def _measures(rows: Frame) -> list[str]:
    """What was measured of the photos: every other column of numbers."""
    return [
        str(name)
        for name in rows.columns
        if name not in NOT_MEASURES and pd.api.types.is_numeric_dtype(rows[name]) and rows[name].notna().any()
    ]


def archive(findings: Findings, path: Path) -> Path:
    """Write plots as PNG, tables as CSV, and all tables as Markdown into one zip; returns its path."""
    content: dict[str, Any] = {
        "title": "A benchmark of veil",
        "about": findings.about,
        "warnings": findings.warnings,
        "figures": [(heading, f"{html_report.file_name(heading)}.png") for heading, _ in findings.plots],
        "tables": findings.tables,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archived:
        archived.writestr("report.md", html_report.markdown(content))
        for name, frame in findings.frames.items():
            archived.writestr(f"{name}.csv", frame.round(4).to_csv(index=False))
        for heading, data in findings.plots:
            archived.writestr(f"{html_report.file_name(heading)}.png", data)
    return path
