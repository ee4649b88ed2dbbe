"""The change of brightness."""

from __future__ import annotations

from kornia.color import rgb_to_grayscale
from torch import Tensor


def brightness(before: Tensor, after: Tensor) -> Tensor:
    """How much the mean luma of images (B, 3, H, W) in [0, 1] has moved, up or down -> (B,), in 1/255."""
    return 255 * rgb_to_grayscale(after - before).mean((1, 2, 3)).abs()
