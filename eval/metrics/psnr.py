"""Peak signal-to-noise ratio."""

from __future__ import annotations

import piq
from torch import Tensor


def psnr(before: Tensor, after: Tensor) -> Tensor:
    """How near images `after` are to `before`, both (B, 3, H, W) in [0, 1] -> (B,) in dB, 80 where equal."""
    return piq.psnr(before, after, reduction="none")
