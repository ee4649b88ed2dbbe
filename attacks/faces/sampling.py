"""Differentiable, aligned crops out of images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...core.images import to_tensor
from ...core.types import Array, Face, Pixels
from .boxes import clipped, reaching

REACH = 1.5  # of a face's longer side: how far around its box recognisers may look


def part_around(pixels: Pixels, face: Face, reach: float = REACH) -> tuple[Pixels, Face]:
    """The part of a picture (H, W, 3) around a face, so many of its longer sides beyond its box, and the face
    as it lies there."""
    around = reaching(face.box, reach)
    left, top, right, bottom = clipped(around, (pixels.shape[1], pixels.shape[0]))
    return pixels[top:bottom, left:right], face.transformed(1.0, -left, -top)


def cut_around(
    pictures: Sequence[Pixels], faces: Sequence[Face]
) -> tuple[tuple[Tensor, ...], tuple[Face, ...]]:
    """What recognisers may look at around the places of a face in pictures (H, W, 3) of one size: that part
    of each (1, 3, h, w) in [0, 1], and the faces in it.

    A large photo as a whole would take twelve bytes a pixel.
    """
    boxes = np.array([face.box for face in faces])
    box = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])
    high, wide = pictures[0].shape[:2]
    left, top, right, bottom = clipped(reaching(box, REACH), (wide, high))
    images = tuple(to_tensor(pixels[top:bottom, left:right]) for pixels in pictures)
    return images, tuple(face.transformed(1.0, -left, -top) for face in faces)


def warp(image: Tensor, to_image: Array, size: int, padding: str = "zeros") -> Tensor:
    """Cut square crops (B, C, S, S) out of image (B, C, H, W), differentiably.

    `to_image` (2, 3) maps crop pixels to image pixels. Only the part of the image under the crop is read,
    and it is reduced with antialiasing first where the crop is coarser than the image. `padding` is what
    lies outside of the image: "zeros" or "border".
    """
    high, wide = image.shape[-2:]
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]]) - 0.5
    reach = corners @ to_image[:, :2].T + to_image[:, 2]
    scale = float(np.sqrt(abs(np.linalg.det(to_image[:, :2]))))
    low = np.clip(np.floor(reach.min(0) - 2 * scale - 1), 0, (wide - 1, high - 1)).astype(int)
    top = np.clip(np.ceil(reach.max(0) + 2 * scale + 2), low + 1, (wide, high)).astype(int)
    part = image[..., low[1] : top[1], low[0] : top[0]]
    linear, shift = to_image[:, :2], to_image[:, 2] - low
    if scale > 1:
        old = np.array([part.shape[-1], part.shape[-2]])
        new = np.maximum(1, np.round(old / scale)).astype(int)
        part = functional.interpolate(
            part, size=(int(new[1]), int(new[0])), mode="bilinear", antialias=True, align_corners=False
        )
        ratio = new / old
        linear, shift = linear * ratio[:, None], (shift + 0.5) * ratio - 0.5
    steps = torch.arange(size, dtype=image.dtype, device=image.device)
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    extent = part.shape[-1], part.shape[-2]
    grid = torch.stack(
        [
            ((linear[i, 0] * columns + linear[i, 1] * rows + shift[i]) * 2 + 1) / extent[i] - 1
            for i in range(2)
        ],
        dim=-1,
    )
    return sampled(part, grid, "bilinear", padding)


def sampled(image: Tensor, grid: Tensor, mode: str, padding: str) -> Tensor:
    """Read images (B, C, h, w) at the places of a grid (H, W, 2) as `grid_sample` counts them: (B, C, H, W).

    torch shares this work among threads by the images of a batch, hence the upper and the lower half as two.
    """
    high = len(grid)
    halves = functional.pad(grid, (0, 0, 0, 0, 0, high % 2)).unflatten(0, (2, -1))
    twice = image.expand(2, *image.shape).flatten(0, 1)
    places = halves[:, None].expand(-1, len(image), -1, -1, -1).flatten(0, 1)
    read = functional.grid_sample(twice, places, mode, padding, align_corners=False)
    return read.unflatten(0, (2, -1)).permute(1, 2, 0, 3, 4).flatten(2, 3)[..., :high, :]
