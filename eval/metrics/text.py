"""T-ACC and T-NED of TokBench (arXiv 2505.18142): whether text in a photo can still be read.

TokBench reads words at known places, keeps those that its reader reads rightly in the original, and compares.
Our photos come without words: the lines that a reader finds in the original, as it reads them there, are the
truth, and the same places are read again afterwards. Extra "ocr"; RapidOCR's package holds its models.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.extras import needs
from ...core.images import to_pixels

SURE = 0.5  # the confidence from which a line is believed, as in RapidOCR


@cache
def _module(name: str) -> Any:
    with needs("ocr"):
        return import_module(name)


@cache
def _reader() -> Any:
    threads = {"EngineConfig.onnxruntime.intra_op_num_threads": torch.get_num_threads()}
    return _module("rapidocr").RapidOCR(params={"Global.log_level": "error", **threads})


@lru_cache(1)  # both measures ask for the same
def _read(before: bytes, after: bytes, shape: tuple[int, ...]) -> list[tuple[str, str]]:
    """Every line of text in pixels of a shape, as it is read before and after."""
    old, new = (np.frombuffer(data, np.uint8).reshape(shape)[..., ::-1].copy() for data in (before, after))
    places = _reader()(old, use_cls=False, use_rec=False).boxes
    if places is None:
        return []
    truth, again = (
        _reader().recognize_txt(_reader().crop_text_regions(image, places)) for image in (old, new)
    )
    lines = zip(truth.txts, truth.scores, again.txts, strict=True)
    return [(text, other) for text, score, other in lines if text and score >= SURE]


def _lines(before: Tensor, after: Tensor) -> Iterator[list[tuple[str, str]]]:
    for old, new in zip(before.split(1), after.split(1), strict=True):
        pixels = to_pixels(old), to_pixels(new)
        yield _read(pixels[0].tobytes(), pixels[1].tobytes(), pixels[0].shape)


def t_acc(before: Tensor, after: Tensor) -> Tensor:
    """The share of the lines of text in images (B, 3, H, W) that read the same -> (B,), NaN without text.

    Raises:
        BadSettings: the extra "ocr" is not installed.
    """
    found = [[float(old == new) for old, new in lines] for lines in _lines(before, after)]
    return torch.tensor([_mean(values) for values in found])


def t_ned(before: Tensor, after: Tensor) -> Tensor:
    """One less the edit distance of each line, as a share of the longer reading, on average -> (B,).

    NaN without text.

    Raises:
        BadSettings: the extra "ocr" is not installed.
    """
    alike = _module("rapidfuzz.distance").Levenshtein.normalized_similarity
    found = [[float(alike(old, new)) for old, new in lines] for lines in _lines(before, after)]
    return torch.tensor([_mean(values) for values in found])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
