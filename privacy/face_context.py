"""What is cut out of a photo for one face: the crop that is changed, and the canvas that recognisers see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ..attacks.faces import template_transform, warp
from ..core.images import to_tensor
from ..core.types import Array, Crop, Face, Pixels
from .paste import feather, greyed, shifted, warp_into, window

MARGIN = 0.35  # of the crop's side: what recognisers may look at around it
DETAIL = 2.0  # pixels of the canvas for one of the crop, at most: finer than any recogniser looks


def align_crop(
    pixels: Pixels, face: Face, template: Array, size: int, device: torch.device | str = "cpu"
) -> Crop:
    """The crop of a face in which its five points lie as in the template, `size` pixels a side.

    Whatever is made of it is made on its device.
    """
    to_photo = template_transform(face, template, size)
    left, top, right, bottom = window(to_photo, size, pixels.shape[1], pixels.shape[0], 0.05)
    part = to_tensor(pixels[top:bottom, left:right])
    image = warp(part, shifted(to_photo, left, top), size, "border")
    return Crop(image.to(device), face, to_photo)


def detail(crop_to_photo: Array) -> float:
    """How many pixels of the photo one of the crop covers along a side."""
    return float(np.linalg.det(crop_to_photo[:, :2])) ** 0.5


@dataclass(frozen=True)
class FaceContext:
    """The part of a photo around one face, no larger than recognisers need: what the objective looks at."""

    image: Tensor  # (1, 3, H, W)
    face: Face
    to_context: Array  # (2, 3), from the crop
    grey: bool = False  # whether the photo is, so that of a change only the mean of its colours is written

    def with_change(self, change: Tensor) -> Tensor:
        """The image with a crop's change (1, 3, S, S) blended in as it will be in the photo."""
        high, wide = self.image.shape[-2:]
        masked = feather(change.shape[-1]).to(change) * (greyed(change) if self.grey else change)
        return (self.image + warp_into(masked, self.to_context, wide, high)).clamp(0, 1)


def side_by_side(images: Sequence[Tensor]) -> Tensor:
    """Images (1, 3, H, W) beside each other, all as high as the first."""
    high = images[0].shape[-2]
    scaled = [
        functional.interpolate(one, (high, round(one.shape[-1] * high / one.shape[-2])), mode="bilinear")
        for one in images
    ]
    return torch.cat(scaled, -1)


def context_of(crop: Crop, pixels: Pixels, grey: bool = False) -> FaceContext:
    """The canvas of a crop's face, cut out of the pixels of its photo, which may be grey."""
    size = crop.pixels.shape[-1]
    left, top, right, bottom = window(crop.to_photo, size, pixels.shape[1], pixels.shape[0], MARGIN)
    part = Image.fromarray(pixels[top:bottom, left:right])
    wide = max(1, round(part.width * min(1.0, DETAIL / detail(crop.to_photo))))
    scale = wide / part.width
    part = part.resize((wide, max(1, round(part.height * scale))), Image.Resampling.BOX)
    rest = (scale - 1) / 2
    face = crop.face.transformed(scale, rest - left * scale, rest - top * scale)
    image = to_tensor(np.asarray(part)).to(crop.pixels)
    return FaceContext(image, face, shifted(crop.to_photo, left, top, scale), grey)
