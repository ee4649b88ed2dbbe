"""Another size, and back again."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ...core.types import Pixels


def resized(pixels: Pixels, wide: int, high: int) -> Pixels:
    """Pixels (H, W, 3) resampled by Lanczos, as most programs do."""
    size = max(1, wide), max(1, high)
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def to_side(pixels: Pixels, side: int) -> Pixels:
    """Resampled so that the longer side has `side` pixels."""
    high, wide = pixels.shape[:2]
    scale = side / max(high, wide)
    return resized(pixels, round(wide * scale), round(high * scale))


def half(pixels: Pixels) -> Pixels:
    """To half of the size and back."""
    high, wide = pixels.shape[:2]
    return resized(resized(pixels, wide // 2, high // 2), wide, high)


def to_1080(pixels: Pixels) -> Pixels:
    """To 1080 pixels on the longer side, as platforms store photos, and back."""
    high, wide = pixels.shape[:2]
    return resized(to_side(pixels, 1080), wide, high)
