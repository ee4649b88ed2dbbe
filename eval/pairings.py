"""Two photos of one person, each as it was or cloaked: do machines still take them for one person?

The first photo is the one that is looked for, the second one is known: with identification, in the gallery.
Where photos are disturbed, those that are cloaked are; the others stay as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from . import CLEAN
from .benchmark import ROWS, probe_file, result_file
from .bootstrap import HEADLINE_RATES, mean, rate
from .identification import Embeddings, kept_embeddings, ranks, stacked
from .summary import Frame, frame, interval, judges

# The columns of rows that hold the cosines of each.
PAIRINGS = {
    "clean-clean": "clean_probe",
    "cloaked-clean": "probe",
    "clean-cloaked": "clean_cloaked",
    "cloaked-cloaked": "cloaked_cloaked",
}
RANKS = (1, 5)
SHARES = (*HEADLINE_RATES, *(f"rank-{rank}" for rank in RANKS))  # the columns of `pairings` that are rates
Side: TypeAlias = dict[str, list[Any]]  # embeddings of photos "clean", as they were, and "cloaked"
SIDES = {"likeness": "cloaked-", "probe_likeness": "-cloaked"}  # of the first photo, and of the second


def pairings(rows: Frame) -> Frame:
    """For each method, recogniser, disturbance and pairing: the share of pairs that are rejected at each of
    `HEADLINE_RATES`, and, where `ranked` has added ranks, of people who are among the first found; the
    likeness of what is cloaked. Only people both of whose photos were cloaked count, in all four."""
    if "cloaked_cloaked" not in rows:
        return frame([], [])
    rows = rows[rows["cloaked_cloaked"].notna()]
    table: list[dict[str, Any]] = []
    for method in rows["method"].unique():
        for disturbance in rows["disturbance"].unique():
            some = rows[(rows["method"] == method) & (rows["disturbance"] == disturbance)]
            for recognizer, part in judges(some):
                about = {"method": method, "recognizer": recognizer, "disturbance": disturbance}
                table += [{**about, **_paired(part, pairing)} for pairing in PAIRINGS]
    found = frame([list(row.values()) for row in table], list(table[0]) if table else [])
    return found.dropna(axis="columns", how="all")


def _paired(part: Frame, pairing: str) -> dict[str, Any]:
    """The columns of one pairing."""
    row = dict[str, Any](pairing=pairing)
    for limit in HEADLINE_RATES:
        known = part[part[f"threshold_{limit}"].notna()]
        rejected = ~(known[PAIRINGS[pairing]] > known[f"threshold_{limit}"])
        row |= interval(limit, rate(rejected, known["identity"].tolist()))
    if _rank(pairing) in part:
        known = part[part[_rank(pairing)].notna()]
        for place in RANKS:
            row |= interval(f"rank-{place}", rate(known[_rank(pairing)] <= place, known["identity"].tolist()))
    row["n"] = len(part)
    photos = part.drop_duplicates(["identity", "left_out", "seed"])
    for column, side in SIDES.items():
        if column in photos:
            seen = photos[photos[column].notna() & (side in pairing)]
            row |= interval(column, mean(seen[column], seen["identity"].tolist()))
    return row


def _rank(pairing: str) -> str:
    return f"rank {pairing}"


def ranked(folder: Path, rows: Frame) -> Frame:
    """Rows with the rank, from 1, at which each person is found in each pairing, without disturbance.

    The gallery holds everybody of the benchmark who has another photo. Those whom a recogniser judges are in
    it as the pairing says, and all others as they were.

    Args:
        folder: of the run, which holds embeddings.
    """
    if "cloaked_cloaked" not in rows:
        return rows
    rows = rows.assign(**{_rank(pairing): np.nan for pairing in PAIRINGS})
    undisturbed = rows[(rows["disturbance"] == "none") & rows["probe"].notna()]
    embeddings = kept_embeddings()
    for part, first, second in both_photos(folder, rows, embeddings):
        name, seed = part.iloc[0][["recognizer", "seed"]]
        others = undisturbed[
            (undisturbed["method"] == CLEAN)
            & (undisturbed["recognizer"] == name)
            & (undisturbed["seed"] == seed)
            & ~undisturbed["identity"].isin(part["identity"])
        ]
        rest = [embeddings(result_file(folder, row, ROWS))[f"probe/{name}"] for row in _each(others)]
        for pairing in PAIRINGS:
            probe, known = pairing.split("-")
            gallery = stacked([*second[known], *rest])
            if len(gallery) > 1:
                rows.loc[part.index, _rank(pairing)] = ranks(gallery, stacked(first[probe]))
    return rows


def both_photos(folder: Path, rows: Frame, embeddings: Embeddings) -> Iterator[tuple[Frame, Side, Side]]:
    """For each method, recogniser and seed, without disturbance: the rows of people both of whose photos were
    cloaked, one each, and how the recogniser sees their first photos and their second."""
    both = rows[(rows["disturbance"] == "none") & rows["probe"].notna() & rows["cloaked_cloaked"].notna()]
    for (_, name, _), part in both.groupby(["method", "recognizer", "seed"], sort=False):
        part = part.drop_duplicates("identity")
        yield part, *_sides(folder, part, str(name), embeddings)


def _sides(folder: Path, part: Frame, name: str, embeddings: Embeddings) -> tuple[Side, Side]:
    """How a recogniser sees the first photos of people and their second."""
    ours, theirs = (
        [embeddings(file(folder, row, ROWS)) for row in _each(part)] for file in (result_file, probe_file)
    )
    first = {
        "clean": [one[f"photo/{name}"] for one in ours],
        "cloaked": [one[f"none/{name}"] for one in ours],
    }
    second = {
        "clean": [one[f"probe/{name}"] for one in ours],
        "cloaked": [one[f"none/{name}"] for one in theirs],
    }
    return first, second


def _each(rows: Frame) -> list[dict[str, Any]]:
    return rows.to_dict("records")


def unpaired(rows: Frame) -> list[str]:
    """Who is not among the pairings, and why, in words.

    Args:
        rows: that could be scored.
    """
    if "cloaked_cloaked" not in rows:
        return []
    some = rows[rows["method"] != CLEAN]
    alone = some.loc[some["probe"].isna(), "identity"].nunique()
    words = [f"{alone} people have no other photo: pairings are without them."] if alone else []
    failed = some[some["probe_error"] != ""]
    for (method, error), part in failed.groupby(["method", "probe_error"]):
        words.append(f"{method}: {part['identity'].nunique()} other photos are not in pairings: {error}")
    return words
