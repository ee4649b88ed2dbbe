"""How the body is held: 33 points, those that can be seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...attacks.networks.pose import SHOULDERS
from .figures import Measured, measure
from .reading import Reading

FACE = 11  # points of the head come first; they are judged by the mesh


@measure("body", "the body")
def body(before: Reading, after: Reading) -> Sequence[Measured]:
    """The drift of the points below the head that are visible before; none where none is."""
    seen = before.visible[:, FACE:] & ~np.isnan(before.body[:, FACE:, 0])
    if not seen.any():
        return []
    left, right = (before.body[:, index] for index in SHOULDERS)
    width = np.linalg.norm(left - right, axis=1)[:, None]
    drift = np.linalg.norm(after.body[:, FACE:] - before.body[:, FACE:], axis=2) / np.maximum(width, 1.0)
    drift = drift[seen]
    known = drift[~np.isnan(drift)]
    return [
        Measured("found again", 100 * len(known) / len(drift), "%", "higher"),
        Measured(
            "drift", 100 * float(known.mean()) if len(known) else float("nan"), "% of the shoulders", "lower"
        ),
    ]
