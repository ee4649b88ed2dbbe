"""Large photos strip by strip, so that they are never numbers as a whole."""

from __future__ import annotations

import torch
from torch import Tensor

STRIP = 128  # rows that are compared at once


def numbers(strip: Tensor) -> Tensor:
    """A strip of an image, which may be bytes, in [0, 1]."""
    return strip.float() / 255 if strip.dtype == torch.uint8 else strip
