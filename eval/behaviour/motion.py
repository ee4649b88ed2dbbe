"""Small motions of a face: the optical flow from onset to apex, by which micro-expressions are told.

Each reading's faces are aligned by its own eyes and nose, as whoever reads it would do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.extras import needs
from ...core.types import Array, Pixels
from .curves import FEWEST, median
from .figures import Measured, measure
from .reading import Mask, Reading

WINDOW = 0.5  # seconds: the longest micro-expression
MOST = 12  # windows, those in which the face does the most
INNER = slice(24, 104)  # rows and columns of the aligned faces: without hair and background


@measure("small motions", "small motions of the face")
def motion(before: Reading, after: Reading) -> Sequence[Measured]:
    """How far the flow after lies from that before; none where there are too few frames."""
    pairs = onsets(before, after.found)
    flows = [(flow(before.crops, *pair), flow(after.crops, *pair)) for pair in pairs]
    if not flows:
        return []
    gap = np.mean([np.linalg.norm(new - old, axis=-1).mean() for old, new in flows])
    size = np.mean([np.linalg.norm(old, axis=-1).mean() for old, _ in flows])
    angles = [cosine(old, new) for old, new in flows]
    return [
        Measured("error of the flow", float(100 * gap / before.crops.shape[1]), "% of the crop", "lower"),
        Measured("error of the flow, beside its length", float(100 * gap / max(size, 1e-6)), "%", "lower"),
        Measured("direction of the flow", median(angles), "cosine", "higher"),
    ]


def onsets(reading: Reading, also: Mask) -> list[tuple[int, int]]:
    """The frames of onset and apex of the windows in which the face does the most.

    The onset is a window's first frame, the apex that whose blendshapes lie farthest from it.

    Args:
        also: further frames in which a face has to be read (N,), boolean.
    """
    usable = reading.found & also
    if len(reading.times) < FEWEST:
        return []
    length = max(2, round(WINDOW / float(np.median(np.diff(reading.times)))))
    found: list[tuple[float, int, int]] = []
    for start in range(0, len(usable) - length + 1, length):
        if usable[start : start + length].all():
            part = reading.blendshapes[start : start + length, 1:]
            distances = np.linalg.norm(part - part[0], axis=1)
            found.append((float(distances.max()), start, start + int(distances.argmax())))
    return [(onset, apex) for _, onset, apex in sorted(found, reverse=True)[:MOST] if apex > onset]


def flow(crops: Pixels, onset: int, apex: int) -> Array:
    """The optical flow (h, w, 2) of the inner face from one aligned crop to another, in pixels (DIS)."""
    with needs("video"):
        from cv2 import DISOPTICAL_FLOW_PRESET_MEDIUM, DISOpticalFlow

    method = DISOpticalFlow.create(DISOPTICAL_FLOW_PRESET_MEDIUM)
    found = method.calc(crops[onset], crops[apex], np.zeros((*crops.shape[1:], 2), np.float32))
    return np.asarray(found, np.float64)[INNER, INNER]


def cosine(old: Array, new: Array) -> float:
    """The cosine of two flows (h, w, 2), as one vector each; not a number where one is 0."""
    lengths = float(np.linalg.norm(old) * np.linalg.norm(new))
    return float((old * new).sum()) / lengths if lengths else float("nan")
