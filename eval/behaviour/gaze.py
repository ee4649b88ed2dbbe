"""Where the eyes look: the irises between the corners of the eyes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...attacks.networks.blendshapes import NAMES
from ...core.types import Array
from .curves import correlation, error
from .figures import Measured, measure
from .reading import Reading

EYES = ((468, 33, 133), (473, 362, 263))  # the middle of the iris, and the corners of the eye, left to right
BLINKS = tuple(NAMES.index(f"eyeBlink{side}") for side in ("Left", "Right"))
SHUT = 0.5  # the blendshape above which an eye shows no iris
STILL = 0.02  # eye widths: the standard deviation below which the eyes do not move


@measure("gaze", "where the eyes look")
def gaze(before: Reading, after: Reading) -> Sequence[Measured]:
    """The correlation and the error of both directions, where the eyes were open before."""
    shut = before.blendshapes[:, BLINKS].max(1) > SHUT
    old, new = (directions(one) for one in (before, after))
    old[shut] = np.nan
    figures: list[Measured] = []
    for axis, name in enumerate(("sideways", "up and down")):
        curves = old[:, axis], new[:, axis]
        figures.append(Measured(f"correlation, {name}", correlation(*curves, STILL), "", "higher"))
        figures.append(Measured(f"error, {name}", 100 * error(*curves), "% of an eye's width", "lower"))
    return figures


def directions(reading: Reading) -> Array:
    """How far the irises lie from the middle between the corners (N, 2), in eye widths: right and down."""
    found: list[Array] = []
    for iris, left, right in EYES:
        middle, across = _parts(reading.mesh, left, right)
        width = np.linalg.norm(across, axis=1, keepdims=True)
        axis = across / width
        offset = (reading.mesh[:, iris, :2] - middle) / width
        down = np.stack([-axis[:, 1], axis[:, 0]], 1)
        found.append(np.stack([(offset * axis).sum(1), (offset * down).sum(1)], 1))
    return np.mean(found, axis=0)


def _parts(mesh: Array, left: int, right: int) -> tuple[Array, Array]:
    """The middle between two points of meshes (N, 478, 3), and the way from the left to the right: (N, 2)."""
    one, other = mesh[:, left, :2], mesh[:, right, :2]
    return (one + other) / 2, other - one
