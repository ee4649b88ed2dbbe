"""LPIPS (Zhang et al. 2018), where the weights of its VGG are on this machine; they are not packaged."""

from __future__ import annotations

from functools import cache
from typing import Any

import piq
import torch
from torch import Tensor

from .backbone import require


@cache
def _network() -> Any:
    require("lpips", "vgg16-397923af.pth", "lpips_weights.pt")
    return piq.LPIPS(reduction="none")


def lpips(before: Tensor, after: Tensor) -> Tensor:
    """The perceptual distance of images (B, 3, H, W) in [0, 1] -> (B,), 0 where equal.

    Raises:
        WeightsMissing: its backbone is not on this machine; nothing is downloaded.
    """
    with torch.no_grad():
        return _network()(before, after)
