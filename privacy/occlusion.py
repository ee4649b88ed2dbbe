"""What is before a face in a frame, such as a hand: where it looks otherwise than elsewhere in its video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from kornia.filters import box_blur
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, from_numpy

from ..core.types import Pixels
from .mesh_placement import MeshPlacement, drawn_by_triangles

GRID = 48  # the side of the small crops that are compared
COPY = 96  # pixels: the copy of a face from which they are read
USUAL = (
    1.2  # how far a face may look otherwise, in its own median deviations, beside how it varies in the video
)
SPREAD = 3.0  # times that it varies
SOFT = 2  # pixels of the small crop: over how many to each side the border of what is hidden is softened


def crop_of(pixels: Pixels, placement: MeshPlacement) -> NDArray[np.float32]:
    """The face in a frame (H, W, 3) as it would lie in the canonical crop: (GRID, GRID, 3).

    Its colours are counted from their median, in median deviations, so that light does not matter; NaN beside
    the mesh.
    """
    left, top, right, bottom = placement.window(pixels.shape[1], pixels.shape[0])
    part = Image.fromarray(pixels[top:bottom, left:right]).resize((COPY, COPY), Image.Resampling.BOX)
    points = ((placement.points - (left, top) + 0.5) * COPY / (right - left, bottom - top) - 0.5).clip(
        0, COPY - 1
    )
    inner = (placement.triangles < 468).all(1)  # not the ring around the mesh
    values = np.column_stack([points, np.ones(len(points))])
    source = (placement.source + 0.5) * GRID / placement.size - 0.5
    x, y, there = drawn_by_triangles(source, values, placement.triangles[inner], (GRID, GRID)).transpose(
        2, 0, 1
    )
    colours = np.asarray(part, np.float32)[y.round().astype(int), x.round().astype(int)]
    colours[there == 0] = np.nan
    colours -= np.nanmedian(colours, (0, 1))
    return colours / np.nanmedian(np.abs(colours), (0, 1)).clip(4)


def unknown() -> NDArray[np.float32]:
    """A crop (GRID, GRID, 3) that says nothing."""
    return np.full((GRID, GRID, 3), np.nan, np.float32)


@dataclass(frozen=True, eq=False)
class Appearance:
    """How a face usually looks in a video: median and median deviation (GRID, GRID, 3) of its `crop_of`."""

    usual: NDArray[np.float32] = field(default_factory=unknown)
    spread: NDArray[np.float32] = field(default_factory=unknown)

    @classmethod
    def of(cls, crops: Sequence[NDArray[np.float32]]) -> Appearance:
        """What crops (GRID, GRID, 3) of several frames have in common."""
        every = np.stack(crops)
        usual = np.median(every, 0)
        return cls(usual, np.median(np.abs(every - usual), 0))

    def visible(self, pixels: Pixels, placement: MeshPlacement) -> Tensor:
        """How far each part of the face can be seen in a frame (H, W, 3): (1, 1, GRID, GRID) in [0, 1]."""
        strange = np.abs(crop_of(pixels, placement) - self.usual) / (USUAL + SPREAD * self.spread)
        hidden = from_numpy(np.nan_to_num(strange.mean(2)).clip(0, 2))[None, None]
        return (2 - box_blur(hidden, 2 * SOFT + 1)).clamp(0, 1)
