"""From the rows of a benchmark to its tables: rates with intervals over people, compared pairwise.

Throughout, `rows` are those that `read` gives, `outcome` is one of `OUTCOMES`, rates are shares in [0, 1],
and `low` and `high` end a 95 % interval from drawing people (`bootstrap`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as arrow
from pyarrow import csv

from ..core.errors import BadSettings, VeilError
from ..weights.registry import card
from . import CLEAN, SEEN_BY_PEOPLE
from .benchmark import PAIR_COLUMNS
from .bootstrap import HEADLINE_RATES, Interval, mean, rate

Frame: TypeAlias = Any  # pandas.DataFrame, whose annotations are too loose for a strict checker
REBUILT = "reconstruction"  # the method that only rebuilds a photo through the prior
KEY = ["identity", "recognizer", "disturbance", "seed"]
OUTCOMES = {
    "dodged": "not recognised against another photo of the person",
    "dodged_same": "not recognised against the same photo, before",
    "impersonated": "taken for the target, against another photo of the target",
}
COSINES = {"dodged": "probe", "dodged_same": "same", "impersonated": "aim"}  # what decides
PHOTOS = {"other": "probe", "same": "same"}  # whose cosine decides: another of the person, or as it was
CASES = {
    f"{photo}_{rate}": (cosine, f"threshold_{rate}")
    for photo, cosine in PHOTOS.items()
    for rate in HEADLINE_RATES
}
COLUMNS = ["method", "recognizer", "disturbance", "rate", "low", "high", "n", "clean", "rebuilt"]


def frame(rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> Frame:
    """A table of rows of cells, in the order of its columns."""
    return pd.DataFrame(rows, columns=pd.Index(columns))


TEXTS = (
    *("identity", "photo", "target", "gender", "race", "age"),
    *("method", "left_out", "recognizer", "disturbance", "error"),
)
NUMBERS = ("threshold", "same", "probe", "aim", "psnr")


def table(file: Path) -> Frame:
    """All rows of a benchmark, those that could not be scored too; from Parquet, or from CSV.

    Raises:
        BadSettings: it is neither, or does not hold the rows of a benchmark.
    """
    try:
        if file.suffix.lower() == ".csv":
            kinds = {
                **dict.fromkeys((*TEXTS, "curve", "probe_error"), arrow.string()),
                **dict.fromkeys(NUMBERS, arrow.float64()),
            }
            rows: Frame = csv.read_csv(
                file, convert_options=csv.ConvertOptions(column_types=kinds)
            ).to_pandas()
        else:
            rows = pd.read_parquet(file)
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise BadSettings(f"{file.name} cannot be read as Parquet or CSV.", HINT) from error
    missing = [name for name in (*TEXTS, *NUMBERS, "seed", "found") if name not in rows]
    if missing:
        raise BadSettings(
            f"{file.name} does not hold the rows of a benchmark: it has no column {missing[0]!r}.", HINT
        )
    return rows


HINT = (
    "Choose the rows.parquet or rows.csv that `veil benchmark` wrote; tables that were made of them, and "
    "those of other measurements, are for spreadsheets."
)


def read(file: Path) -> Frame:
    """The rows of a benchmark that can be scored, with what came out: `OUTCOMES`, as 1, 0 or nothing.

    Raises:
        BadSettings: as `table` does.
    """
    rows = table(file)
    rows = rows[rows["error"] == ""].copy()
    for outcome, cosine in COSINES.items():
        passed = rows[cosine] > rows["threshold"]
        rows[outcome] = (passed if outcome == "impersonated" else ~passed).astype(float)
        rows.loc[rows[cosine].isna(), outcome] = np.nan
    return _completed(rows)


def _completed(rows: Frame) -> Frame:
    """Rows with what older files lack: the thresholds that cards tell, and a curve for each method."""
    for limit in HEADLINE_RATES:
        name = f"threshold_{limit}"
        told = {one: _threshold(str(one), limit) for one in rows["recognizer"].unique()}
        cards = rows["recognizer"].map(told).astype(float)
        known: Frame = pd.to_numeric(rows[name]) if name in rows else cards
        rows[name] = known.astype(float).fillna(cards)
    if "cloaked_cloaked" in rows:
        for name in ("clean_probe", *PAIR_COLUMNS):
            values: Frame = rows[name] if name in rows else pd.Series(np.nan, rows.index, object)
            rows[name] = values.fillna("").astype(str) if name == "probe_error" else pd.to_numeric(values)
    curves = rows["curve"] if "curve" in rows else rows["method"]
    rows["curve"] = curves.where(curves.notna() & (curves != ""), rows["method"]).astype(str)
    return rows


def _threshold(recognizer: str, rate: str) -> float:
    """A recogniser's threshold, where it is known here and was calibrated."""
    try:
        return card(recognizer).thresholds[rate]
    except VeilError:
        return np.nan


def failures(file: Path) -> Frame:
    """How many photos of each method could not be scored, and why: method, error, photos.

    Raises:
        BadSettings: as `table` does.
    """
    rows = table(file)
    rows = rows[rows["error"] != ""]
    return rows.groupby(["method", "error"], as_index=False).agg(photos=("identity", "nunique"))


def main_outcome(rows: Frame) -> str:
    """What a benchmark is about: impersonation, else another photo, else the same photo."""
    for outcome in ("impersonated", "dodged"):
        if rows[outcome].notna().any():
            return outcome
    return "dodged_same"


def judges(rows: Frame) -> Iterator[tuple[str, Frame]]:
    """Rows by recogniser, and, where there are several, all of them as "all"."""
    for name in rows["recognizer"].unique():
        yield str(name), rows[rows["recognizer"] == name]
    if rows["recognizer"].nunique() > 1:
        yield "all", rows


def headline(rows: Frame, metrics: Sequence[str] = ()) -> Frame:
    """For each method, without disturbance, how often it is not recognised, in each of `CASES`: in the mean
    over left-out recognisers, by the worst of them, and without protection; beside it PSNR and those of
    `SEEN_BY_PEOPLE` that are among the metrics."""
    rows = rows[rows["disturbance"] == "none"].copy()
    for case, (cosine, threshold) in CASES.items():
        known = rows[cosine].notna() & rows[threshold].notna()
        rows[case] = (~(rows[cosine] > rows[threshold])).astype(float).where(known)
    cases = [case for case in CASES if rows[case].notna().any()]
    table: list[dict[str, Any]] = []
    for method in rows["method"].unique() if cases else ():
        part = rows[rows["method"] == method]
        row: dict[str, Any] = {"method": method, "n": int(part[cases[0]].notna().sum())}
        for case in cases:
            clean = rows.loc[rows["method"] == CLEAN, case].mean()
            row |= _stated(case, part[part[case].notna()]) | {f"{case} clean": clean}
        one_each = part.drop_duplicates(["identity", "left_out", "seed"])
        for name in ("psnr", *(name for name in SEEN_BY_PEOPLE if name in metrics)):
            known = one_each[one_each[name].notna()]
            row |= interval(name, mean(known[name], known["identity"].tolist()))
        table.append(row)
    return frame([list(row.values()) for row in table], list(table[0]) if table else [])


def _stated(case: str, part: Frame) -> dict[str, Any]:
    """The columns of one case: the rate over all recognisers, and the worst one's name and rate."""
    found = {name: rate(seen[case], seen["identity"].tolist()) for name, seen in judges(part)}
    nothing = mean([], [])
    whole = found.pop("all") if "all" in found else next(iter(found.values()), nothing)
    worst = min(found, key=lambda name: found[name].value, default="")
    least = interval(f"{case} least", found.get(worst, nothing))
    return {**interval(case, whole), f"{case} worst": worst, **least}


def interval(name: str, found: Interval) -> dict[str, float]:
    """A value and its interval as three columns."""
    return {name: found.value, f"{name} low": found.low, f"{name} high": found.high}


def rates(rows: Frame, outcome: str) -> Frame:
    """For each method, recogniser and disturbance: the rate of an outcome, its interval over people, the
    number of cases, and the same rate of the photos as they were and as the prior alone rebuilds them."""
    rows = rows[rows[outcome].notna()]
    table: list[list[Any]] = []
    for disturbance in rows["disturbance"].unique():
        disturbed = rows[rows["disturbance"] == disturbance]
        for recognizer, seen in judges(disturbed):
            beside = [
                float(seen.loc[seen["method"] == name, outcome].mean())
                if (seen["method"] == name).any()
                else np.nan
                for name in (CLEAN, REBUILT)
            ]
            for method in rows["method"].unique():
                part = seen[seen["method"] == method]
                if len(part):
                    found = rate(part[outcome], part["identity"].tolist())
                    table.append([method, recognizer, disturbance, *found, *beside])
    return frame(table, COLUMNS)


def compared(rows: Frame, outcome: str, other: str) -> Frame:
    """How much more often than `other` each method reaches an outcome, on the same photos and recognisers.

    Beside it what tells more of few photos: how much higher the cosine is that decides, in standard
    deviations of strangers' cosines.
    """
    rows = rows[rows[outcome].notna() & (rows["disturbance"] == "none")].copy()
    spreads = {name: _spread(name) for name in rows["recognizer"].unique()}
    rows["deviations"] = rows[COSINES[outcome]] / rows["recognizer"].map(spreads)
    base = rows[rows["method"] == other].set_index(KEY)
    table: list[list[Any]] = []
    for method in rows["method"].unique():
        if method == other:
            continue
        part = rows[rows["method"] == method].set_index(KEY)
        found: list[Interval] = []
        for column in outcome, "deviations":
            more: Frame = (part[column] - base[column]).dropna()
            found.append(mean(more, more.index.get_level_values("identity").tolist()))
        if found[0].n:
            table.append([method, *found[0], *found[1][:3]])
    names = ["method", "difference", "low", "high", "n", "cosine", "cosine low", "cosine high"]
    return frame(table, names)


def _spread(recognizer: str) -> float:
    """The standard deviation of strangers' cosines, where a recogniser is known here and was calibrated."""
    try:
        return card(recognizer).strangers[1]
    except VeilError:
        return np.nan


def qualities(rows: Frame, metrics: list[str]) -> Frame:
    """The mean of each metric by method, PSNR with its interval, and how often the face is found after."""
    table: list[dict[str, Any]] = []
    for method in rows["method"].unique():
        part = rows[rows["method"] == method].drop_duplicates(["identity", "left_out", "seed"])
        psnr = mean(part["psnr"], part["identity"].tolist())
        found = {"found": rows.loc[rows["method"] == method, "found"].astype(float).mean()}
        rest = {name: part[name].mean() for name in metrics if name != "psnr"}
        table.append(
            {"method": method, "psnr": psnr.value, "low": psnr.low, "high": psnr.high, **rest, **found}
        )
    return frame([list(row.values()) for row in table], list(table[0]))


def groups(rows: Frame, outcome: str) -> Frame:
    """The rate of an outcome, PSNR and how often the face is found, for each gender, race and age."""
    rows = rows[rows[outcome].notna() & (rows["disturbance"] == "none")]
    table: list[list[Any]] = []
    for label in ("gender", "race", "age"):
        for group in sorted(set(rows[label]) - {""}):
            for method in rows["method"].unique():
                part = rows[(rows["method"] == method) & (rows[label] == group)]
                if len(part):
                    people = part["identity"].tolist()
                    psnr, found = mean(part["psnr"], people), float(part["found"].astype(float).mean())
                    table.append([label, group, method, *rate(part[outcome], people), *psnr[:3], found])
    names = ["label", "group", "method", "rate", "low", "high", "n", "psnr", "psnr low", "psnr high", "found"]
    return frame(table, names)


def as_percent(interval: Interval | tuple[float, ...]) -> str:
    """A rate and its interval in percent."""
    value, low, high = interval[:3]
    return "-" if np.isnan(value) else f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
