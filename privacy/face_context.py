"""What is cut out of a frame for one face: the crop that is changed, and the context that recognisers see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ..attacks.faces.sampling import warp
from ..attacks.faces.transforms import template_transform
from ..core.images import onto, to_tensor
from ..core.types import Array, Face, Pixels
from .paste import feather, greyed
from .placement import Placement

MARGIN = 0.35  # of the crop's side: how much around it a context holds
MAX_SCALE = 2.0  # pixels of a context for one of the crop: no recogniser reads finer ones


@dataclass(frozen=True, eq=False)
class Crop:
    """A face, upright and scaled: pixels (1, 3, S, S) in [0, 1], and how they lie in its frame."""

    pixels: Tensor
    face: Face
    placement: Placement

    @property
    def mask(self) -> Tensor:
        """How much of a change of the crop is shown in each of its pixels (1, 1, S, S)."""
        shown = onto(self.placement.opacity, self.pixels)
        return feather(self.placement.size, self.pixels.device) * shown


def align_crop(
    pixels: Pixels, face: Face, template: Array, size: int, device: torch.device | str = "cpu"
) -> Crop:
    """Cut the canonical crop of a face out of a frame.

    Args:
        pixels: (H, W, 3) of the frame.
        template: (5, 2), where the face's five points lie in the crop, in fractions of its side.
        size: the side of the crop in pixels.
        device: where the crop is put, and with it whatever is made of it.
    """
    placement = Placement(template_transform(face, template, size), size)
    left, top, right, bottom = placement.window(pixels.shape[1], pixels.shape[0], 0.05)
    part = to_tensor(pixels[top:bottom, left:right])
    image = warp(part, placement.within(left, top).matrix, size, "border")
    return Crop(image.to(device), face, placement)


@dataclass(frozen=True, eq=False)
class FaceContext:
    """The part of a frame around one face, no larger than recognisers need: what the objective sees.

    image: (1, 3, H, W) in [0, 1].
    face: as it lies in the image.
    placement: of the crop in the image.
    grey: whether the frame is, so that of a change only the mean of its colours is written.
    """

    image: Tensor
    face: Face
    placement: Placement
    grey: bool = False

    def with_change(self, change: Tensor) -> Tensor:
        """The image with a crop's change (1, 3, S, S) blended in as it will be in the frame."""
        high, wide = self.image.shape[-2:]
        masked = feather(change.shape[-1], change.device) * (greyed(change) if self.grey else change)
        return (self.image + self.placement.warp_into(masked, wide, high)).clamp(0, 1)


def side_by_side(images: Sequence[Tensor]) -> Tensor:
    """Images (1, 3, H, W) beside each other, all as high as the first."""
    high = images[0].shape[-2]
    scaled = [
        functional.interpolate(one, (high, round(one.shape[-1] * high / one.shape[-2])), mode="bilinear")
        for one in images
    ]
    return torch.cat(scaled, -1)


def context_of(crop: Crop, pixels: Pixels, grey: bool = False) -> FaceContext:
    """The context of a crop's face, cut out of the pixels (H, W, 3) of its frame, which may be grey."""
    left, top, right, bottom = crop.placement.window(pixels.shape[1], pixels.shape[0], MARGIN)
    part = Image.fromarray(pixels[top:bottom, left:right])
    wide = max(1, round(part.width * min(1.0, MAX_SCALE / crop.placement.scale)))
    scale = wide / part.width
    part = part.resize((wide, max(1, round(part.height * scale))), Image.Resampling.BOX)
    rest = (scale - 1) / 2
    face = crop.face.transformed(scale, rest - left * scale, rest - top * scale)
    image = to_tensor(np.asarray(part)).to(crop.pixels)
    return FaceContext(image, face, crop.placement.within(left, top, scale), grey)
