"""Whether a changed face still looks like an untouched photo: MDSI (Nafchi et al. 2016, arXiv:1608.07433)."""

from __future__ import annotations

import piq
import torch
from torch import Tensor

from ...attacks.faces.boxes import clipped
from ...core.types import Face

SMALLEST = 16  # pixels


def naturalness(before: Tensor, after: Tensor, face: Face) -> Tensor:
    """One less MDSI in a face's box of images (B, 3, H, W) in [0, 1] -> (B,): 1 where nothing has changed.

    NaN where less than 16 pixels of the box lie in the image. Nothing that the engine pays for: what it pays
    for (roughness, early features) tells what viewers see as well, but only until it is paid for. How well
    each does: `scripts/validate_likeness.py`.
    """
    left, top, right, bottom = clipped(face.box, (before.shape[-1], before.shape[-2]))
    if min(right - left, bottom - top) < SMALLEST:
        return torch.full((len(before),), torch.nan)
    old, new = (image[..., top:bottom, left:right].clamp(0, 1) for image in (before, after))
    return 1 - piq.mdsi(old, new, reduction="none")
