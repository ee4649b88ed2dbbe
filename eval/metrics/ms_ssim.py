"""Structural similarity at five scales (Wang et al. 2003)."""

from __future__ import annotations

import piq
import torch
from torch import Tensor

SMALLEST = 161  # pixels: five scales under a window of 11 take as many


def ms_ssim(before: Tensor, after: Tensor) -> Tensor:
    """How alike images (B, 3, H, W) in [0, 1] are -> (B,), 1 where equal; NaN below 161 pixels."""
    if min(before.shape[-2:]) < SMALLEST:
        return torch.full((len(before),), torch.nan)
    return piq.multi_scale_ssim(before, after, reduction="none")
