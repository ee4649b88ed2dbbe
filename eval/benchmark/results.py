"""What a run keeps: of each photo a picture, rows and embeddings; in the end all rows as Parquet and CSV.

The former lie in `RUN/photos/`, under names that `ResultKey` makes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ...core.errors import DeviceFull, WeightsCorrupt, WeightsMissing
from ...core.files import atomic_write
from ...core.types import Array
from .. import FACE_MEASURES, MEASURES, METRICS, resumable
from ..bootstrap import HEADLINE_RATES

ROWS = ".npz"  # a finished photo: its rows, and the embeddings that they come from
PICTURE = ".png"
PHOTOS = "photos"  # the folder of a run that holds both
TRANSIENT = (DeviceFull, WeightsCorrupt, WeightsMissing)  # what may go better the next time

Row: TypeAlias = dict[str, Any]
COLUMNS: dict[str, type] = {
    **dict.fromkeys(
        ("identity", "photo", "target", "gender", "race", "age", "method", "curve", "left_out"), str
    ),
    **{"seed": int, "error": str, "recognizer": str, "disturbance": str, "found": bool, "threshold": float},
    **dict.fromkeys((f"threshold_{rate}" for rate in HEADLINE_RATES), float),
    **dict.fromkeys(("same", "probe", "aim", "clean_probe", "clean_aim"), float),
    **dict.fromkeys((*METRICS, *MEASURES, *FACE_MEASURES), float),
    **dict.fromkeys((*(f"face_{name}" for name in METRICS), "seconds"), float),
}
# Of pairings: cosines between the other photo, cloaked, and this one as it was and cloaked; how the other
# photo looks then; or why it could not be protected.
PAIR_COLUMNS: dict[str, type] = {
    **dict.fromkeys(("clean_cloaked", "cloaked_cloaked", "probe_likeness"), float),
    "probe_error": str,
}


@dataclass(frozen=True)
class ResultKey:
    """Which result: of whom, by which method, without which recogniser, towards which target, by which seed.

    of_probe: whether it is the other photo of the person that was protected.

    Its text is where the result lies: a path without ending, in the folder `PHOTOS` of a run.
    """

    identity: str
    method: str
    left_out: str
    target: str
    seed: int
    of_probe: bool = False

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> ResultKey:
        """The key of the result that a row of the tables belongs to."""
        return cls(row["identity"], row["method"], row["left_out"], row["target"], row["seed"])

    def __str__(self) -> str:
        target, probe = [self.target] if self.target else [], ["probe"] if self.of_probe else []
        parts = [self.identity, self.left_out, *target, str(self.seed), *probe]
        return f"{self.method}/{'-'.join(parts)}"


def open_store(run: Path) -> resumable.Store:
    """The results of a run's folder."""
    return resumable.Store(run / PHOTOS, ROWS)


def result_file(run: Path, row: Mapping[str, Any], ending: str) -> Path:
    """The file, `PICTURE` or `ROWS`, in the folder of a run of the photo that a row is about."""
    return open_store(run).path(str(ResultKey.of(row)), ending)


def probe_file(run: Path, row: Mapping[str, Any], ending: str) -> Path:
    """As `result_file`, of the other photo of the person, which pairings protect."""
    return open_store(run).path(str(replace(ResultKey.of(row), of_probe=True)), ending)


def pack(rows: list[Row], embeddings: Mapping[str, Array]) -> bytes:
    """Rows, and embeddings (D,) by name in half precision, in one NPZ file."""
    file = BytesIO()
    arrays: dict[str, Any] = {name: vector.astype(np.float16) for name, vector in embeddings.items()}
    np.savez(file, rows=np.frombuffer(json.dumps(rows).encode(), np.uint8), **arrays)
    return file.getvalue()


def unpack(path: Path) -> tuple[list[Row], dict[str, Array]]:
    """The rows and embeddings that `pack` put together."""
    with np.load(path) as file:
        rows = json.loads(file["rows"].tobytes())
        return rows, {name: file[name].astype(float) for name in file.files if name != "rows"}


def forget_transient_failures(store: resumable.Store, keys: Iterable[str]) -> None:
    """Forget the results that failed by what may go better the next time."""
    for key in filter(store.has, keys):
        if any(row.get("passing") for row in unpack(store.path(key, ROWS))[0]):
            store.path(key, ROWS).unlink()


def paired(rows: list[Row], vectors: Mapping[str, Array], other: Path) -> list[Row]:
    """Rows of a photo with `PAIR_COLUMNS`.

    Args:
        vectors: the embeddings that the rows come from.
        other: the file of the other photo's rows, which is not there where there is no such photo.
    """
    if not other.exists():
        return rows
    theirs, their_vectors = unpack(other)
    if theirs[0]["error"]:
        return [{**row, "probe_error": theirs[0]["error"]} for row in rows]
    seen = {_condition(row): row for row in theirs}
    return [
        {
            **row,
            "clean_cloaked": seen[name]["probe"],
            "cloaked_cloaked": cosine(vectors[name], their_vectors[name]),
            "probe_likeness": seen[name].get("likeness"),
        }
        if not row["error"] and (name := _condition(row)) in seen
        else row
        for row in rows
    ]


def _condition(row: Row) -> str:
    """Under what name the embedding is kept that a row comes from."""
    return f"{row.get('disturbance')}/{row.get('recognizer')}"


def cosine(one: Array, other: Array) -> float:
    """Of two embeddings (D,), which were kept in half precision."""
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def write_tables(
    curves: Mapping[ResultKey, str], store: resumable.Store, folder: Path, pairings: bool = False
) -> Path:
    """Gather rows into rows.parquet and rows.csv of a folder, a few at a time.

    Args:
        curves: which results, in this order, and the curve in plots to which each belongs.
        pairings: whether to put beside each what the other photo of the person, cloaked, gives.

    Returns:
        The Parquet file.
    """
    import pyarrow as arrow
    from pyarrow import csv, parquet

    kinds: dict[type, Any] = {
        str: arrow.string(),
        int: arrow.int64(),
        float: arrow.float64(),
        bool: arrow.bool_(),
    }
    wanted = COLUMNS | (PAIR_COLUMNS if pairings else {})
    schema = arrow.schema([(name, kinds[kind]) for name, kind in wanted.items()])
    file = folder / "rows.parquet"
    with (
        atomic_write(file, folder / "rows.csv", replace=True) as parts,
        parquet.ParquetWriter(parts[0], schema) as columns,
        csv.CSVWriter(parts[1], schema) as lines,
    ):
        for key, curve in curves.items():
            rows, vectors = unpack(store.path(str(key), ROWS))
            if pairings:
                rows = paired(rows, vectors, store.path(str(replace(key, of_probe=True)), ROWS))
            table = arrow.Table.from_pylist([{**row, "curve": curve} for row in rows], schema)
            columns.write_table(table)
            lines.write_table(table)
    return file
