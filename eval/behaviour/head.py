"""How the head is held: turned, nodding, tilted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...attacks.networks.irismesh import EYES
from ...core.types import Array
from .curves import correlation, error
from .figures import Measured, measure
from .reading import Reading

UPRIGHT = (10, 152)  # the top of the forehead, and the chin
STILL = 1.0  # degrees: the standard deviation below which the head does not move


@measure("head", "how the head turns")
def head(before: Reading, after: Reading) -> Sequence[Measured]:
    """The correlation and the error of the three angles."""
    old, new = (angles(one) for one in (before, after))
    figures: list[Measured] = []
    for axis, name in enumerate(("turned", "nodding", "tilted")):
        curves = old[:, axis], new[:, axis]
        figures.append(Measured(f"correlation, {name}", correlation(*curves, STILL), "", "higher"))
        figures.append(Measured(f"error, {name}", error(*curves), "degrees", "lower"))
    return figures


def angles(reading: Reading) -> Array:
    """How far the head is turned, nods and is tilted (N, 3), in degrees, by the depth of its points."""
    across = reading.mesh[:, EYES[1]] - reading.mesh[:, EYES[0]]
    down = reading.mesh[:, UPRIGHT[1]] - reading.mesh[:, UPRIGHT[0]]
    turned = np.arctan2(across[:, 2], np.linalg.norm(across[:, :2], axis=1))
    nodding = np.arctan2(down[:, 2], np.linalg.norm(down[:, :2], axis=1))
    tilted = np.arctan2(across[:, 1], across[:, 0])
    return np.degrees(np.stack([turned, nodding, tilted], 1))
