"""Put a change of a crop back into the photo, at the photo's own resolution."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..attacks.faces import inverse, sampled
from ..core.types import Array, Pixels

FEATHER = 0.1  # of the crop's side: how wide the change fades in


def feather(size: int) -> Tensor:
    """The blend mask (1, 1, S, S): 0 on the crop's border, 1 inside, a smooth step between."""
    depth = (torch.arange(size) + 0.5) / size
    ramp = (torch.minimum(depth, 1 - depth) / FEATHER - 0.25).clamp(0, 1)
    smooth = ramp * ramp * (3 - 2 * ramp)
    return (smooth[:, None] * smooth[None, :])[None, None]


def warp_into(change: Tensor, to_image: Array, width: int, height: int) -> Tensor:
    """A crop's change (B, C, S, S) as it lies in an image: (B, C, H, W), differentiably; 0 outside.

    `to_image` (2, 3) maps crop pixels to image pixels. Bicubic.
    """
    size = change.shape[-1]
    left, top, right, bottom = window(to_image, size, width, height)
    back, sides = inverse(shifted(to_image, left, top)), (bottom - top, right - left)
    rows, columns = torch.meshgrid(
        *(torch.arange(side, dtype=change.dtype, device=change.device) for side in sides),
        indexing="ij",
    )
    grid = torch.stack(
        [((back[i, 0] * columns + back[i, 1] * rows + back[i, 2]) * 2 + 1) / size - 1 for i in range(2)],
        dim=-1,
    )
    inside = sampled(change, grid, "bicubic", "zeros")
    return functional.pad(inside, (left, width - right, top, height - bottom))


def window(
    to_photo: Array, size: int, width: int, height: int, margin: float = 0.0
) -> tuple[int, int, int, int]:
    """The part of a photo (left, top, right, bottom) that a crop of `size` pixels covers, with a margin
    in fractions of the crop's side, cut to the photo."""
    reach = np.array([-margin * size, (1 + margin) * size])
    corners = np.array([[x, y] for x in reach for y in reach]) - 0.5
    spots = corners @ to_photo[:, :2].T + to_photo[:, 2]
    left, top = np.clip(np.floor(spots.min(0)), 0, (width - 1, height - 1)).astype(int)
    right, bottom = np.clip(np.ceil(spots.max(0)) + 1, (left + 1, top + 1), (width, height)).astype(int)
    return int(left), int(top), int(right), int(bottom)


def shifted(matrix: Array, left: float, top: float, scale: float = 1.0) -> Array:
    """The transform (2, 3) into a copy of the image that is cut at (left, top) and then scaled."""
    moved = matrix.copy()
    moved[:, 2] -= (left, top)
    moved *= scale
    moved[:, 2] += (scale - 1) / 2
    return moved


def greyed(change: Tensor) -> Tensor:
    """A change (B, 3, H, W) as it is written into a grey photo: the same in all three colours."""
    return change.mean(1, keepdim=True).expand_as(change)


def paste(pixels: Pixels, change: Tensor, to_photo: Array, grey: bool = False) -> Pixels:
    """Add a crop's change (1, 3, S, S), in units of [0, 1], to a photo (H, W, 3), blended at its border.

    Pixels outside of the blend mask stay identical to the bit. A grey photo stays grey.
    """
    high, wide = pixels.shape[:2]
    left, top, right, bottom = window(to_photo, change.shape[-1], wide, high)
    change = change.cpu()
    masked = change * feather(change.shape[-1]).to(change)
    if grey:
        masked = greyed(masked)
    layer = warp_into(masked, shifted(to_photo, left, top), right - left, bottom - top)
    part = pixels[top:bottom, left:right].astype(np.float32) + 255 * layer[0].permute(1, 2, 0).numpy()
    result = pixels.copy()
    result[top:bottom, left:right] = np.rint(np.clip(part, 0, 255)).astype(np.uint8)
    return result
