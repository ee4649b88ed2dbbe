"""What a run keeps: of each photo a picture, rows and embeddings; in the end all rows as Parquet and CSV.

The former lie in `RUN/photos/`, under names that `ResultKey` makes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ...core.files import atomic_write
from ...core.types import Array
from .. import FACE_MEASURES, MEASURES, METRICS, resumable
from ..bootstrap import HEADLINE_RATES

ROWS = ".npz"  # a finished photo: its rows, and the embeddings that they come from
PICTURE = ".png"
PHOTOS = "photos"  # the folder of a run that holds both

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


@dataclass(frozen=True)
class ResultKey:
    """Which result: of whom, by which method, without which recogniser, towards which target, by which seed.

    Its text is where the result lies: a path without ending, in the folder `PHOTOS` of a run.
    """

    identity: str
    method: str
    left_out: str
    target: str
    seed: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> ResultKey:
        """The key of the result that a row belongs to."""
        return cls(row["identity"], row["method"], row["left_out"], row["target"], row["seed"])

    def __str__(self) -> str:
        parts = [self.identity, self.left_out, *([self.target] if self.target else []), str(self.seed)]
        return f"{self.method}/{'-'.join(parts)}"


def open_store(run: Path) -> resumable.Store:
    """The results of a run's folder."""
    return resumable.Store(run / PHOTOS, ROWS)


def result_file(run: Path, row: Mapping[str, Any], ending: str) -> Path:
    """The file, `PICTURE` or `ROWS`, in the folder of a run of the photo that a row is about."""
    return open_store(run).path(str(ResultKey.of(row)), ending)


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


def write_tables(curves: Mapping[ResultKey, str], store: resumable.Store, folder: Path) -> Path:
    """Gather rows into rows.parquet and rows.csv of a folder, a few at a time.

    Args:
        curves: which results, in this order, and the curve in plots to which each belongs.

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
    schema = arrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    file = folder / "rows.parquet"
    with (
        atomic_write(file, folder / "rows.csv", replace=True) as parts,
        parquet.ParquetWriter(parts[0], schema) as columns,
        csv.CSVWriter(parts[1], schema) as lines,
    ):
        for key, curve in curves.items():
            rows = [{**row, "curve": curve} for row in unpack(store.path(str(key), ROWS))[0]]
            table = arrow.Table.from_pylist(rows, schema)
            columns.write_table(table)
            lines.write_table(table)
    return file
