"""What can only be measured on all photos of a method together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from ..core.images import to_tensor
from . import CLEAN, SET_MEASURES
from .benchmark import PICTURE, result_file
from .summary import Frame, frame


def measure_sets(folder: Path, rows: Frame, measures: Sequence[str]) -> Frame:
    """Each measure over the pictures of each method and the same photos before, and how many they are."""
    shown = rows.drop_duplicates(["method", "identity", "left_out", "target", "seed"])
    clean = {row["identity"]: result_file(folder, row, PICTURE) for row in _of(shown, CLEAN)}
    table: list[list[Any]] = []
    for method in shown["method"].unique():
        after = [result_file(folder, row, PICTURE) for row in _of(shown, method)]
        before = [clean[row["identity"]] for row in _of(shown, method)]
        values = [SET_MEASURES[name](_opened(before), _opened(after)) for name in measures]
        table.append([method, *values, len(after)])
    return frame(table, ["method", *measures, "n"])


def _of(rows: Frame, method: str) -> list[dict[str, Any]]:
    return rows[rows["method"] == method].to_dict("records")


def _opened(files: Sequence[Path]) -> Iterator[Tensor]:
    """Pictures (1, 3, H, W), one at a time."""
    for file in files:
        yield to_tensor(np.array(Image.open(file).convert("RGB")))
