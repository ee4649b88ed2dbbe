"""Identification: who is it, of all the people in a gallery?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..core.types import Array
from .benchmark import ROWS, load
from .bootstrap import rate
from .summary import Frame, frame, missed, ranks

COLUMNS = ["method", "recognizer", "direction", "measure", "rate", "low", "high", "n"]
DIRECTIONS = ("clean gallery, protected probe", "protected gallery, clean probe")


def identification(folder: Path, rows: Frame) -> Frame:
    """Closed-set rank 1 and 5 in both directions, and the open-set rate of misses at 1 % false alarms.

    The other photo of everybody is the clean side. The gallery holds the people of the benchmark, one each.
    """
    rows = rows[
        (rows["disturbance"] == "none") & (rows["seed"] == rows["seed"].min()) & rows["probe"].notna()
    ]
    table: list[list[Any]] = []
    for (method, recognizer), part in rows.groupby(["method", "recognizer"], sort=False):
        seen = part.drop_duplicates("identity")
        files = [stored(folder, row, ROWS) for row in seen.to_dict("records")]
        people = seen["identity"].tolist()
        if len(people) < 2:
            continue
        vectors = [load(file)[1] for file in files]
        protected, clean, photo = (
            _stacked([one[f"{kind}/{recognizer}"] for one in vectors]) for kind in ("none", "probe", "photo")
        )
        for direction, (gallery, probes) in zip(
            DIRECTIONS, ((clean, protected), (protected, clean)), strict=True
        ):
            found = ranks(gallery, probes)
            for rank in (1, 5):
                table.append([method, recognizer, direction, f"rank-{rank}", *rate(found <= rank, people)])
        open_set = rate(missed(clean, protected, photo), people)
        table.append([method, recognizer, DIRECTIONS[0], "FNIR at FPIR 1 %", *open_set])
    return frame(table, COLUMNS)


def stored(folder: Path, row: dict[str, Any], ending: str) -> Path:
    """The file of the photo that a row is about."""
    parts = [row["identity"], row["left_out"], *([row["target"]] if row["target"] else []), str(row["seed"])]
    return folder / "photos" / row["method"] / f"{'-'.join(parts)}{ending}"


def _stacked(vectors: list[Array]) -> Array:
    """Unit vectors (N, D); they were kept in half precision."""
    stacked = np.stack(vectors)
    return stacked / np.linalg.norm(stacked, axis=1, keepdims=True)
