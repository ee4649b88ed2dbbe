"""Blinks: when both eyes are shut for a moment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.types import Array
from .curves import FEWEST
from .figures import Measured, measure
from .gaze import BLINKS, SHUT
from .reading import Reading

OPEN = 0.35  # the blendshape below which an eye that was shut is open again
LONGEST = 0.6  # seconds: eyes that are shut for longer do not blink
APART = 0.15  # seconds: how far two blinks may lie apart to be the same


@measure("blinks", "when the eyes blink")
def blinks(before: Reading, after: Reading) -> Sequence[Measured]:
    """How many blinks are gone, and how many came; none where there are too few frames."""
    if len(before.times) < FEWEST:
        return []
    old, new = (moments(one) for one in (before, after))
    lost = sum(not _near(moment, new) for moment in old)
    added = sum(not _near(moment, old) for moment in new)
    return [
        Measured("blinks before", len(old), "", ""),
        Measured("gone", lost, "", "lower"),
        Measured("added", added, "", "lower"),
    ]


def moments(reading: Reading) -> list[float]:
    """When the person blinks: the middle of each, in seconds.

    An eye is shut from 0.5 of the blendshape on, and open again below 0.35.
    """
    curve = reading.blendshapes[:, BLINKS].mean(1)
    found: list[float] = []
    start: float | None = None
    for time, value in zip(reading.times, curve, strict=True):
        if start is None and value > SHUT:
            start = float(time)
        elif start is not None and not value >= OPEN:
            if time - start <= LONGEST and not np.isnan(value):
                found.append((start + float(time)) / 2)
            start = None
    return found


def _near(moment: float, others: Sequence[float] | Array) -> bool:
    return any(abs(moment - other) <= APART for other in others)
