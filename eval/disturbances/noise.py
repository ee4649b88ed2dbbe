"""Sensor-like noise, the same for photos of the same size."""

from __future__ import annotations

import numpy as np

from ...core.types import Pixels

SPREAD = 5.0  # of 255


def apply(pixels: Pixels) -> Pixels:
    """With Gaussian noise of 5/255."""
    noise = np.random.default_rng(0).normal(0, SPREAD, pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
