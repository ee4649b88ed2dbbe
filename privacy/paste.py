"""Put a change of a crop back into its frame, at the frame's own resolution."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..core.types import Pixels
from .placement import Placement

CPU = torch.device("cpu")
FEATHER = 0.1  # of the crop's side: how wide the change fades in


@lru_cache(maxsize=8)  # since it is asked for at every step
def feather(size: int, device: torch.device = CPU) -> Tensor:
    """The blend mask (1, 1, S, S): 0 on the crop's border, 1 inside, a smooth step between."""
    depth = (torch.arange(size, device=device) + 0.5) / size
    ramp = (torch.minimum(depth, 1 - depth) / FEATHER - 0.25).clamp(0, 1)
    smooth = ramp * ramp * (3 - 2 * ramp)
    return (smooth[:, None] * smooth[None, :])[None, None]


def greyed(change: Tensor) -> Tensor:
    """A change (B, 3, H, W) as it is written into a grey photo: the same in all three colours."""
    return change.mean(1, keepdim=True).expand_as(change)


def paste(pixels: Pixels, change: Tensor, placement: Placement, grey: bool = False) -> Pixels:
    """Add a crop's change (1, 3, S, S), in units of [0, 1], to a frame's pixels (H, W, 3), feathered.

    Pixels outside of the blend mask stay identical to the bit. A grey frame stays grey.
    """
    high, wide = pixels.shape[:2]
    left, top, right, bottom = placement.window(wide, high)
    change = change.cpu()
    masked = change * feather(change.shape[-1])
    if grey:
        masked = greyed(masked)
    layer = placement.within(left, top).warp_into(masked, right - left, bottom - top)
    part = pixels[top:bottom, left:right].astype(np.float32) + 255 * layer[0].permute(1, 2, 0).numpy()
    result = pixels.copy()
    result[top:bottom, left:right] = np.rint(np.clip(part, 0, 255)).astype(np.uint8)
    return result
