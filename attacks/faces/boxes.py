"""Boxes (4,): x0, y0, x1, y1 in pixels."""

from __future__ import annotations

import numpy as np

from ...core.types import Array


def iou(a: Array, b: Array) -> float:
    """Intersection over union of two boxes."""
    wide, high = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(wide, 0.0) * max(high, 0.0)
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


def clipped(box: Array, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) in whole pixels, cut to a picture of (width, height)."""
    left, top, right, bottom = np.clip(box.round().astype(int), 0, size * 2).tolist()
    return left, top, right, bottom


def padded(box: Array, margin: float) -> Array:
    """The box with a margin in pixels on each side."""
    return box + margin * np.array([-1, -1, 1, 1])


def reaching(box: Array, reach: float) -> Array:
    """The box with so many of its longer side more on each side."""
    return padded(box, reach * float((box[2:] - box[:2]).max()))
