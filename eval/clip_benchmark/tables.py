"""From the rows of a benchmark of clips to its tables and its report.

Rates are shares in [0, 1]; `low` and `high` end a 95 % interval from drawing clips (`bootstrap`). Only
recognisers count that the attack did not use, and whose kin it did not use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..bootstrap import Interval, mean, rate
from ..disturbances.clip_codec import NONE
from ..html_report import markdown
from ..resumable import replace
from ..summary import Frame, frame, interval, judges
from .spec import ClipSpec

SAME = "the other half"  # of the same part: with what recognisers compare where nothing else is said
TABLES = ("clips", "matches", "behaviour")  # of rows
# Of each task, what the table of methods gives the mean of.
MEANS = (
    *("likeness", "naturalness", "psnr", "ssim", "face_psnr", "fsim", "t_acc"),
    *("flicker_own", "flicker_after", "flicker_change", "flicker_ratio", "movement"),
    *("worst_margin", "follow_seconds_a_frame", "solve_seconds", "render_seconds_a_frame", "memory_gb"),
)
SHARES = (
    "rejected",
    "matched",
    "rejected by the mean",
    "worst rejected",
    "before",
    "cost",
    "kept",
)  # in percent
WORDS = {
    "headline": (
        "At a glance",
        "In percent, of recognisers that were left out, beside clean pictures of the other half of the part. "
        "Rejected: not even the most like of the pictures is taken for the person; by the mean: the mean of "
        "all is not. Matched: the share of pictures that are taken for the person; before: the same without "
        "protection; cost: percentage points more than without encoding. Worst: the recogniser that is "
        "escaped the least often, so the lowest of few draws.",
    ),
    "rates": ("By recogniser", "The same for each recogniser, encoding, and what it compares with."),
    "quality": (
        "Looks, flicker and cost",
        "Means over clips. Flicker: root mean square of what the clean clip's movement does not explain, of "
        "255, of the clip before (own), after, and of the change alone; ratio: after to own. Movement: how "
        "far the optical flow lies from that of the clean clip, in pixels (tOF). F-Sim: the mean cosine of "
        "recognisers that were left out, so it falls with protection. T-ACC: the share of lines of text that "
        "read the same. Seconds are of one processor; margin: of the worst surrogate in the worst picture.",
    ),
    "kept": (
        "What is expressed",
        "Means over clips, after protection and CRF 28, beside the clip that was only encoded so; kept: in "
        "how many clips, in percent, that alone does as much (an error at most 1.3 times that, a correlation "
        "at most .02 or a share at most 2 % lower).",
    ),
}


def write(folder: Path, spec: ClipSpec, tasks: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Write the tables as CSV and the report of a run.

    Args:
        tasks: the rows of each task, by table.

    Returns:
        The report and the table of matches.
    """
    rows = {name: pd.DataFrame([row for task in tasks for row in task.get(name, ())]) for name in TABLES}
    found = summarised(rows)
    for name, table in {**rows, **found}.items():
        shown = table.drop(columns="passing", errors="ignore")
        replace(folder / f"{name}.csv", shown.round(4).to_csv(index=False).encode())
    clips = rows["clips"]
    failed = clips[clips["error"] != ""].groupby("error")["clip"].unique()
    content: dict[str, Any] = {
        "title": spec.title,
        "figures": [],
        "about": about(spec, rows),
        "warnings": [f"{error} ({', '.join(names)})" for error, names in failed.items()],
        "tables": [(*WORDS[name], as_text(table)) for name, table in found.items()],
        "spec": spec.model_dump_json(indent=1),
    }
    replace(folder / "report.md", markdown(content).encode())
    return [folder / "report.md", folder / "matches.csv"]


def about(spec: ClipSpec, rows: Mapping[str, Frame]) -> str:
    """What the tables count, in words."""
    clips = rows["clips"]
    count = clips.loc[clips["error"] == "", "clip"].nunique()
    others = "" if spec.others else " No clip has another one of the same person beside it."
    length = f"up to {spec.seconds:g} s of each" if spec.seconds else "all of each"
    judges = ", ".join(spec.judges)
    turns = "in turn" if spec.leave_out == "turns" else "for each clip"
    asked = f"Each of {judges} is left out of the attack {turns}, with its kin, and then asked"
    if spec.surrogates:
        asked = f"{', '.join(spec.surrogates)} are attacked, and {judges} are asked"
    return (
        f"{count} clips, {length}, of which one person is protected; {spec.pictures} pictures of each are "
        f"shown to recognisers. {asked}, at thresholds of FAR 1 %. In square brackets: 95 % intervals from "
        f"drawing clips.{others} `matches.csv` has a row for each recogniser and encoding, `clips.csv` one "
        "for each clip, `behaviour.csv` one for each figure."
    )


def summarised(rows: Mapping[str, Frame]) -> dict[str, Frame]:
    """The tables of a benchmark by name; those that say nothing are left out."""
    found = {
        "headline": headline(rows["matches"]),
        "rates": rates(rows["matches"]),
        "quality": quality(rows["clips"]),
        "kept": expressed(rows["behaviour"]),
    }
    return {name: table for name, table in found.items() if len(table)}


def _unseen(matches: Frame) -> Frame:
    return matches[matches["used_by_attack"] == "no"] if len(matches) else matches


def headline(matches: Frame) -> Frame:
    """For each method and encoding: how many tracks are rejected, how many pictures are matched, what the
    encoding costs, and the worst recogniser."""
    table = list[dict[str, Any]]()
    every = _unseen(matches)
    for (method, encoding), part in _parts(every[every["against"] == SAME] if len(every) else every):
        whole = _rates(part)
        each = {name: _rates(seen)["rejected"] for name, seen in judges(part) if name != "all"}
        worst = min(each, key=lambda name: each[name].value)
        table.append(
            {
                "method": method,
                "encoding": encoding,
                **_cells(whole),
                "before": part["before"].mean(),
                "worst": worst,
                **interval("worst rejected", each[worst]),
                "clips": part["clip"].nunique(),
            }
        )
    shares = {row["method"]: row["matched"] for row in table if row["encoding"] == NONE}
    for row in table:
        row["cost"] = row["matched"] - shares.get(row["method"], np.nan)
    return pd.DataFrame(table)


def rates(matches: Frame) -> Frame:
    """For each method, encoding, recogniser and what it compares with, the same rates."""
    table = list[dict[str, Any]]()
    for (method, encoding), part in _parts(_unseen(matches)):
        for against in part["against"].unique():
            for name, seen in judges(part[part["against"] == against]):
                of = {"method": method, "encoding": encoding, "recognizer": name, "against": against}
                table.append({**of, **_cells(_rates(seen)), "n": len(seen)})
    return pd.DataFrame(table)


def _parts(matches: Frame) -> Iterable[tuple[tuple[str, str], Frame]]:
    return matches.groupby(["method", "encoding"], sort=False) if len(matches) else ()


def _rates(part: Frame) -> dict[str, Interval]:
    clips = part["clip"].tolist()
    return {
        "rejected": rate((~part["best_matched"].astype(bool)).astype(float), clips),
        "matched": rate(part["after"], clips),
        "rejected by the mean": rate((~part["mean_matched"].astype(bool)).astype(float), clips),
    }


def _cells(found: Mapping[str, Interval]) -> dict[str, float]:
    return {key: value for name, one in found.items() for key, value in interval(name, one).items()}


def quality(clips: Frame) -> Frame:
    """The mean of each of `MEANS` by method, with its interval."""
    done, table = clips[clips["error"] == ""], list[dict[str, Any]]()
    for method, part in done.groupby("method", sort=False):
        for name in (name for name in MEANS if name in part):
            known = part[part[name].notna()]
            found = mean(known[name].astype(float), known["clip"].tolist())
            table.append({"method": method, "measure": name, **interval("mean", found), "n": found.n})
    return pd.DataFrame(table)


def expressed(behaviour: Frame) -> Frame:
    """The mean of each figure of behaviour by method, beside the control, and how often it is kept."""
    table = list[list[Any]]()
    if len(behaviour):
        for (method, aspect, name), part in behaviour.groupby(["method", "aspect", "name"], sort=False):
            known = part[part["value"].notna()]
            told = known["kept"].dropna()
            values = [known[column].astype(float).mean() for column in ("value", "control")]
            share = float(told.astype(bool).mean()) if len(told) else np.nan
            table.append([method, aspect, name, part["unit"].iloc[0], *values, share, len(known)])
    return frame(table, ["method", "aspect", "figure", "unit", "value", "control", "kept", "n"])


def as_text(table: Frame) -> list[list[str]]:
    """A table as rows of cells, of which the first names the columns; intervals in brackets."""
    hidden = {f"{column} {end}" for column in table.columns for end in ("low", "high")}
    columns = [str(column) for column in table.columns if column not in hidden]
    lines = [columns]
    for row in table.to_dict("records"):
        lines.append([_cell(row, column, 100 if column in SHARES else 1) for column in columns])
    return lines


def _cell(row: Mapping[str, Any], column: str, times: int) -> str:
    value = row[column]
    if not isinstance(value, float):
        return str(value)
    if np.isnan(value):
        return "-"
    ends = [row[f"{column} {end}"] for end in ("low", "high") if f"{column} {end}" in row]
    digits = 1 if times > 1 else 3
    text = [f"{times * number:.{digits}f}" for number in (value, *ends)]
    return f"{text[0]} [{text[1]}, {text[2]}]" if ends else text[0]
