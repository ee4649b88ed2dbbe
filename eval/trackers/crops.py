"""What trained adversaries see of a face and change: as fine as recognisers see it, a little wider."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn import functional

from ...attacks.faces.sampling import warp
from ...attacks.faces.transforms import ARCFACE, inverse, template_transform
from ...core.images import to_tensor
from ...core.types import Array, Face, Pixels, Sighting

SIZE = 128
BORDER = 8  # pixels around the ArcFace crop of 112, in which a change fades in
TEMPLATE = (ARCFACE * (SIZE - 2 * BORDER) + BORDER) / SIZE


def transform(face: Face) -> Array:
    """The transform (2, 3) from pixels of a face's crop to those of its picture."""
    return template_transform(face, TEMPLATE, SIZE)


def cut(sighting: Sighting) -> Tensor:
    """The crop (1, 3, SIZE, SIZE) in [0, 1] of a face."""
    return warp(to_tensor(sighting.frame.pixels), transform(sighting.face), SIZE, "border")


def pasted(sighting: Sighting, change: Tensor) -> Pixels:
    """The picture (H, W, 3) with a change (1, 3, SIZE, SIZE) of its crop, in units of [0, 1], added."""
    inner = change.new_ones(1, 1, SIZE - 2 * BORDER, SIZE - 2 * BORDER)
    mask = functional.avg_pool2d(functional.pad(inner, [2 * BORDER] * 4), 2 * BORDER + 1, 1)
    pixels = sighting.frame.pixels
    high, wide = pixels.shape[:2]
    layer = warp(change * mask, inverse(transform(sighting.face)), max(high, wide))[0, :, :high, :wide]
    result = pixels + 255 * layer.permute(1, 2, 0).numpy()
    return np.rint(result.clip(0, 255)).astype(np.uint8)
