"""The shift in colour, apart from brightness."""

from __future__ import annotations

from kornia.color import rgb_to_ycbcr
from torch import Tensor


def chroma(before: Tensor, after: Tensor) -> Tensor:
    """The RMS shift of chroma (YCbCr) between images (B, 3, H, W) in [0, 1] -> (B,), in 1/255."""
    shift = (rgb_to_ycbcr(after) - rgb_to_ycbcr(before))[:, 1:]
    return 255 * shift.square().mean((1, 2, 3)).sqrt()
