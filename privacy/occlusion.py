"""What is before a face in a frame, such as a hand: where its lines are not the usual ones in its video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from kornia.filters import box_blur
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, from_numpy

from ..attacks.networks.facemesh import OVAL
from ..core.types import Pixels
from .mesh_placement import MeshPlacement, drawn_by_triangles

GRID = 48  # the side of the small crops that are compared
COPY = 96  # pixels: the copy of a face from which they are read
LINES = 7  # pixels of the small crop: what is wider than that is light, not lines
FREE = 0.4  # how far lines may lie from the usual ones, in median deviations of a face's luminance,
VARIED = 2.0  # and in median deviations of how they vary through the video
STRANGE = 1.5  # the factor of that: from 1 on a face is hidden in part, at 2 wholly
SOFT = 5  # pixels of the small crop: over what is averaged


def lines_of(pixels: Pixels, placement: MeshPlacement) -> NDArray[np.float32]:
    """The lines of the face in a frame (H, W, 3) as they would lie in the canonical crop: (GRID, GRID).

    They are luminance without what varies slowly, such as light, in its median deviations; 0 beside the mesh.
    """
    left, top, right, bottom = placement.window(pixels.shape[1], pixels.shape[0])
    part = Image.fromarray(pixels[top:bottom, left:right]).convert("L")
    copy = np.asarray(part.resize((COPY, COPY), Image.Resampling.BOX), np.float32)
    points = (placement.points - (left, top) + 0.5) * COPY / (right - left, bottom - top) - 0.5
    values = np.column_stack([points.clip(0, COPY - 1), np.ones(len(points))])
    source = (placement.source + 0.5) * GRID / placement.size - 0.5
    inner = placement.triangles[(placement.triangles < len(points) - len(OVAL)).all(1)]
    x, y, there = drawn_by_triangles(source, values, inner, (GRID, GRID)).transpose(2, 0, 1)
    luminance = copy[y.round().astype(int).clip(0, COPY - 1), x.round().astype(int).clip(0, COPY - 1)]
    inside = there > 0
    luminance = np.where(inside, luminance - np.median(luminance[inside]), 0)
    luminance /= max(float(np.median(np.abs(luminance[inside]))), 4.0)
    light = _blurred(luminance, LINES) / _blurred(there, LINES).clip(0.05)
    return _blurred(np.where(inside, luminance - light, 0).astype(np.float32), 3)


def _blurred(picture: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    return box_blur(from_numpy(np.ascontiguousarray(picture))[None, None], size)[0, 0].numpy()


@dataclass(frozen=True, eq=False)
class Appearance:
    """The lines that a face has in a video: median and median deviation (GRID, GRID) of its `lines_of`.

    As it is made without them, nothing is known and all of a face is visible.
    """

    usual: NDArray[np.float32] = field(default_factory=lambda: np.zeros((GRID, GRID), np.float32))
    spread: NDArray[np.float32] = field(default_factory=lambda: np.full((GRID, GRID), np.inf, np.float32))

    @classmethod
    def of(cls, lines: Sequence[NDArray[np.float32]]) -> Appearance:
        """What the lines (GRID, GRID) in several frames have in common."""
        every = np.stack(lines)
        usual = np.median(every, 0)
        return cls(usual, np.median(np.abs(every - usual), 0))

    def visible(self, pixels: Pixels, placement: MeshPlacement) -> Tensor:
        """How far each part of the face can be seen in a frame (H, W, 3): (1, 1, GRID, GRID) in [0, 1]."""
        strange = np.abs(lines_of(pixels, placement) - self.usual) / (FREE + VARIED * self.spread)
        return (2 - STRANGE * from_numpy(_blurred(strange.clip(0, 3), SOFT))[None, None]).clamp(0, 1)
