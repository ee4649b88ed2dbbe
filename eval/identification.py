"""Identification: who is it, of all the people in a gallery?"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..core.types import Array
from .benchmark import ROWS, result_file, unpack
from .bootstrap import rate
from .summary import Frame, frame

COLUMNS = ["method", "recognizer", "direction", "measure", "rate", "low", "high", "n"]
UNDISTURBED = ("none", "photo", "probe")  # the first part of the names of embeddings
Embeddings: TypeAlias = Callable[[Path], dict[str, Array]]
DIRECTIONS = ("clean gallery, protected probe", "protected gallery, clean probe")


def identification(folder: Path, rows: Frame) -> Frame:
    """Closed-set rank 1 and 5 in both directions, and the open-set rate of misses at 1 % false alarms.

    The other photo of everybody is the clean side. The gallery holds the people of the benchmark, one each.
    """
    rows = rows[
        (rows["disturbance"] == "none") & (rows["seed"] == rows["seed"].min()) & rows["probe"].notna()
    ]
    table: list[list[Any]] = []
    embeddings = kept_embeddings()
    for (method, recognizer), part in rows.groupby(["method", "recognizer"], sort=False):
        seen = part.drop_duplicates("identity")
        files = [result_file(folder, row, ROWS) for row in seen.to_dict("records")]
        people = seen["identity"].tolist()
        if len(people) < 2:
            continue
        vectors = [embeddings(file) for file in files]
        protected, clean, photo = (
            stacked([one[f"{kind}/{recognizer}"] for one in vectors]) for kind in ("none", "probe", "photo")
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


def kept_embeddings() -> Embeddings:
    """What gives the embeddings of undisturbed photos in the file of a result, and reads each file once."""

    def read(file: Path) -> dict[str, Array]:
        return {name: one for name, one in unpack(file)[1].items() if name.split("/")[0] in UNDISTURBED}

    return cache(read)


def ranks(gallery: Array, probes: Array) -> Array:
    """The rank (N,), from 1, of the right person for each probe (N, D) in a gallery (M, D).

    Both hold unit vectors; the first N of the gallery are the same people, in the same order.
    """
    cosines = probes @ gallery.T
    own = np.diag(cosines)
    return 1 + (cosines > own[:, None]).sum(1).astype(float)


def missed(gallery: Array, probes: Array, strangers: Array, rate: float = 0.01) -> Array:
    """Open-set search: which probes (N, D) of enrolled people are not found -> (N,), 1 or 0.

    The threshold is where a share `rate` of the searches for strangers (N, D), people taken out of the
    gallery (N, D) in turn, would find somebody (false positives; ISO/IEC 19795-1).
    """
    others = strangers @ gallery.T
    np.fill_diagonal(others, -np.inf)
    threshold = float(np.quantile(others.max(1), 1 - rate))
    return ((probes * gallery).sum(1) <= threshold).astype(float)


def stacked(vectors: list[Array]) -> Array:
    """Unit vectors (N, D); they were kept in half precision."""
    stacked = np.stack(vectors)
    return stacked / np.linalg.norm(stacked, axis=1, keepdims=True)
