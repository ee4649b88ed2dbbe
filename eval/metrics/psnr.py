"""Peak signal-to-noise ratio."""

from __future__ import annotations

import torch
from torch import Tensor

from .strips import STRIP, numbers

LEAST = 1e-8  # the error that stands for none, as in piq


def psnr(before: Tensor, after: Tensor) -> Tensor:
    """How near images (B, 3, H, W) in [0, 1], or bytes, are to those before -> (B,) in dB, 80 where equal."""
    high, error = before.shape[-2], torch.zeros(len(before), dtype=torch.float64)
    for top in range(0, high, STRIP):
        strip = slice(top, top + STRIP)
        old, new = numbers(before[..., strip, :]), numbers(after[..., strip, :])
        error = error.to(old.device) + (old - new).square().mean((1, 2, 3)).double() * old.shape[-2] / high
    return (-10 * (error + LEAST).log10()).to(torch.float32)
