"""The change of brightness."""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601


def brightness(before: Tensor, after: Tensor) -> Tensor:
    """How much the mean luma of images (B, 3, H, W) in [0, 1] has moved, up or down -> (B,), in 1/255."""
    moved = torch.einsum("bchw,c->bhw", after - before, LUMA.to(before))
    return 255 * moved.mean((1, 2)).abs()
