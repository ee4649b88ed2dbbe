"""The mouth: how far it opens, and whether it still opens with the sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.types import Array
from .curves import FEWEST, correlation, error
from .figures import Measured, measure
from .reading import Reading

LIPS = (13, 14)  # the middle of the inner lips, above and below
STILL = 0.01  # distances of the eyes: the standard deviation below which the mouth does not move
SILENT = 1e-4  # of full scale: the same for the sound
LATEST = 0.2  # seconds by which the mouth may be late or early


@measure("mouth", "how the mouth moves")
def mouth(before: Reading, after: Reading) -> Sequence[Measured]:
    """The correlation and the error of the opening; with sound, how much less it goes with that."""
    old, new = (opening(one) for one in (before, after))
    figures = [
        Measured("correlation", correlation(old, new, STILL), "", "higher"),
        Measured("error", 100 * error(old, new), "% of the eyes' distance", "lower"),
    ]
    if before.loudness is None:
        return figures
    (was, lag), (now, moved) = (in_step(curve, before.loudness, before.times) for curve in (old, new))
    return [
        *figures,
        Measured("correlation with the sound", now, "", "higher"),
        Measured("correlation with the sound, lost", was - now, "", "lower"),
        Measured("out of step", 1000 * abs(moved - lag), "ms", "lower"),
    ]


def opening(reading: Reading) -> Array:
    """The gap between the lips (N,), in distances of the eyes' outer corners."""
    above, below = (reading.mesh[:, index, :2] for index in LIPS)
    return np.linalg.norm(below - above, axis=1) / reading.eyes


def in_step(curve: Array, loudness: Array, times: Array) -> tuple[float, float]:
    """The best correlation of a curve with the sound within `LATEST`, and the lag in seconds that has it."""
    if len(times) < FEWEST or np.nanstd(loudness) < SILENT:
        return float("nan"), float("nan")
    spacing = float(np.median(np.diff(times)))
    best = (float("nan"), float("nan"))
    for lag in range(-round(LATEST / spacing), round(LATEST / spacing) + 1):
        late, early = curve[max(lag, 0) : len(curve) + min(lag, 0)], loudness[max(-lag, 0) :]
        found = correlation(late, early[: len(late)], STILL)
        if np.isnan(best[0]) or found > best[0]:
            best = (found, lag * spacing)
    return best
