"""How the canonical crop of a face lies in an image, where a change that was made in the crop is shown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..attacks.faces.sampling import sampled
from ..attacks.faces.transforms import inverse
from ..core.types import Array


@dataclass(frozen=True, eq=False)
class Placement:
    """A square crop of `size` pixels in an image, by an affine transform.

    matrix: (2, 3), from pixels of the crop to pixels of the image.
    """

    matrix: Array
    size: int

    @property
    def scale(self) -> float:
        """How many pixels of the image one of the crop covers along a side."""
        return float(np.linalg.det(self.matrix[:, :2])) ** 0.5

    @cached_property
    def opacity(self) -> Tensor:
        """How much of a change is shown in each pixel of the crop: (1, 1, S, S) or a shape that fits."""
        return torch.ones(1, 1, 1, 1)

    def window(self, width: int, height: int, margin: float = 0.0) -> tuple[int, int, int, int]:
        """The part (left, top, right, bottom) of an image that the crop covers, cut to the image.

        Args:
            width, height: of the image, in pixels.
            margin: what is taken around it, in fractions of the crop's side.
        """
        reach = np.array([-margin * self.size, (1 + margin) * self.size])
        corners = np.array([[x, y] for x in reach for y in reach]) - 0.5
        spots = corners @ self.matrix[:, :2].T + self.matrix[:, 2]
        left, top = np.clip(np.floor(spots.min(0)), 0, (width - 1, height - 1)).astype(int)
        right, bottom = np.clip(np.ceil(spots.max(0)) + 1, (left + 1, top + 1), (width, height)).astype(int)
        return int(left), int(top), int(right), int(bottom)

    def within(self, left: float, top: float, scale: float = 1.0) -> Placement:
        """The placement in a copy of the image that is cut at (left, top) and then scaled."""
        matrix = self.matrix.copy()
        matrix[:, 2] -= (left, top)
        matrix *= scale
        matrix[:, 2] += (scale - 1) / 2
        return Placement(matrix, self.size)

    def warp_into(self, change: Tensor, width: int, height: int) -> Tensor:
        """A crop's change (B, C, S, S) as it lies in an image: (B, C, H, W); 0 outside of the crop.

        Bicubic, and differentiable in the change.

        Args:
            width, height: of the image, in pixels.
        """
        left, top, right, bottom = self.window(width, height)
        back, sides = inverse(self.within(left, top).matrix), (bottom - top, right - left)
        rows, columns = torch.meshgrid(
            *(torch.arange(side, dtype=change.dtype, device=change.device) for side in sides),
            indexing="ij",
        )
        grid = torch.stack(
            [
                ((back[i, 0] * columns + back[i, 1] * rows + back[i, 2]) * 2 + 1) / self.size - 1
                for i in range(2)
            ],
            dim=-1,
        )
        inside = sampled(change, grid, "bicubic", "zeros")
        return functional.pad(inside, (left, width - right, top, height - bottom))
