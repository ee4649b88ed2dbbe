"""Structural similarity (Wang et al. 2004)."""

from __future__ import annotations

from typing import cast

import piq
import torch
from torch import Tensor

from .strips import STRIP, numbers


def ssim(before: Tensor, after: Tensor) -> Tensor:
    """How alike the structure of images (B, 3, H, W) in [0, 1], or bytes, is -> (B,), 1 where they are equal.

    The mean over all windows of 11 pixels (less where the images are smaller), at full resolution.
    """
    high = before.shape[-2]
    kernel = min(11, *((side - 1) // 2 * 2 + 1 for side in before.shape[-2:]))
    windows = high - kernel + 1
    total = torch.zeros(len(before))
    for top in range(0, windows, STRIP):
        rows = min(STRIP, windows - top)
        strip = slice(top, top + rows + kernel - 1)
        old, new = before[..., strip, :], after[..., strip, :]
        if torch.equal(old, new):  # most of a large photo
            total += rows
        else:
            old, new = numbers(old), numbers(new)
            total += rows * cast(Tensor, piq.ssim(old, new, kernel, reduction="none", downsample=False))
    return total / windows
