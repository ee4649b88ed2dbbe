"""The change of colourfulness (Hasler and Suesstrunk 2003)."""

from __future__ import annotations

from torch import Tensor


def colourfulness(before: Tensor, after: Tensor) -> Tensor:
    """How much images (B, 3, H, W) in [0, 1] gained or lost in colourfulness -> (B,), in 1/255."""
    return (colourfulness_of(after) - colourfulness_of(before)).abs()


def colourfulness_of(image: Tensor) -> Tensor:
    """The colourfulness of images (B, 3, H, W) in [0, 1] -> (B,), in 1/255."""
    red, green, blue = (255 * image).unbind(1)
    axes = red - green, (red + green) / 2 - blue
    spread = sum(axis.var((1, 2), correction=0) for axis in axes)
    offset = sum(axis.mean((1, 2)).square() for axis in axes)
    return spread**0.5 + 0.3 * offset**0.5
