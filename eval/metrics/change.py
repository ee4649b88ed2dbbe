"""How much has changed inside of the face, and how much outside."""

from __future__ import annotations

import torch
from torch import Tensor

from ...attacks.faces.boxes import clipped
from ...core.types import Face


def inside(before: Tensor, after: Tensor, face: Face) -> Tensor:
    """The root mean square change in a face's box in images (B, 3, H, W) in [0, 1] -> (B,), in 1/255."""
    return _rms(before, after, _box(before, face))


def outside(before: Tensor, after: Tensor, face: Face) -> Tensor:
    """The same out of the box -> (B,), in 1/255; NaN where the box fills the image."""
    return _rms(before, after, ~_box(before, face))


def _box(image: Tensor, face: Face) -> Tensor:
    """Which pixels (H, W) belong to a face's box."""
    high, wide = image.shape[-2:]
    left, top, right, bottom = clipped(face.box, (wide, high))
    mask = torch.zeros(high, wide, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


def _rms(before: Tensor, after: Tensor, mask: Tensor) -> Tensor:
    return 255 * (after - before)[..., mask].square().mean((1, 2)).sqrt()
