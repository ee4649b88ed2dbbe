"""What the parts of a face do: 51 blendshapes over time, an offline stand-in for facial action units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...attacks.networks.blendshapes import NAMES
from .curves import correlation, error, median
from .figures import Measured, measure
from .reading import Reading

STILL = 0.03  # the standard deviation below which a curve does not move
WEAK = 0.9  # a correlation below which a curve is named


@measure("face", "what the face does")
def blendshapes(before: Reading, after: Reading) -> Sequence[Measured]:
    """The correlation of the curves that move, and the error of all, of `irismesh` and its blendshapes."""
    pairs = {name: (before.blendshapes[:, i], after.blendshapes[:, i]) for i, name in enumerate(NAMES) if i}
    found = {name: correlation(*pair, STILL) for name, pair in pairs.items()}
    errors = {name: error(*pair) for name, pair in pairs.items()}
    moving = {name: value for name, value in found.items() if not np.isnan(value)}
    weak = sorted((name for name, value in moving.items() if value < WEAK), key=lambda name: moving[name])
    worst = sorted(errors, key=lambda name: -errors[name])[:3]
    least, largest = min(moving.values(), default=float("nan")), errors[worst[0]]
    return [
        Measured("correlation, median of the curves that move", median([*moving.values()]), "", "higher"),
        Measured("correlation, the least", least, "", "higher", found, tuple(weak)),
        Measured("error, mean", float(np.mean([*errors.values()])), "of 1", "lower"),
        Measured("error, the largest", largest, "of 1", "lower", errors, tuple(worst)),
    ]
