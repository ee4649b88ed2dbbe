"""How the canonical crop of a face lies in a frame of a video: by all points of the face mesh."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from kornia.filters import box_blur
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

from ..attacks.faces.sampling import sampled
from ..attacks.faces.transforms import umeyama
from ..attacks.networks.facemesh import OVAL
from ..core.types import Array
from .placement import Placement

FINEST = 256  # pixels: the longer side in which a face is drawn; larger ones are scaled up from that
SOFT = 0.01  # of the longer side of a face: over how much of it borders are softened, to each side
RING = 1.3  # how far beyond the mesh the change fades out, in distances from the middle of the face
# Points of the face mesh: the borders of what moves on its own and is left out.
OPENINGS = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),  # an eye
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),  # the other
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191),  # the mouth
)
FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))  # of a hand
PALM = (0, 1, 5, 9, 13, 17)  # the border of its palm, but for the fingers' flesh around it
THICK = 0.34  # of the palm's length: how thick a finger is, and how far flesh lies around points
NO_HANDS = np.zeros((0, 21, 2))
TIP = 0.3  # of a finger's last bone: how far it goes on beyond its last point
BEYOND = 0.5  # of a triangle: how far a pixel that is drawn as part of it may lie beside it
SLIVER = 0.5  # pixels: triangles that are thinner are left out, since what lies beside them covers them


def with_ring(mesh: NDArray[np.floating]) -> Array:
    """The points of a mesh (468, 2), and around them a ring where the change has faded out: (504, 2)."""
    border = mesh[list(OVAL)]
    middle = border.mean(0)
    return np.concatenate([mesh, middle + RING * (border - middle)]).astype(float)


def left_out(points: Array, hands: Array, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Where a picture (H, W), of (width, height) `size`, does not show a face's skin: between lids, between
    lips, and where there are hands (K, 21, 2)."""
    image = Image.new("1", size)
    draw = ImageDraw.Draw(image)
    for border in OPENINGS:
        draw.polygon(points[list(border)].ravel().tolist(), fill=1, outline=1)
    for hand in hands:
        _draw_hand(draw, hand)
    return np.asarray(image)


def _draw_hand(draw: ImageDraw.ImageDraw, hand: Array) -> None:
    """Draw a hand by its points (21, 2): the palm, and around it and along the fingers thick lines."""
    wide = THICK * float(np.linalg.norm(hand[9] - hand[0]))
    palm = hand[[*PALM, PALM[0]]]
    draw.polygon(palm.ravel().tolist(), fill=1)
    tips = hand + TIP * (hand - np.roll(hand, 1, 0))
    for line in (palm, *(np.vstack([hand[[*finger]], tips[finger[-1:]]]) for finger in FINGERS)):
        draw.line(line.ravel().tolist(), fill=1, width=max(1, round(wide)))
        for x, y in line.tolist():
            draw.circle((x, y), wide / 2, fill=1)


def triangulated(points: Array) -> NDArray[np.int32]:
    """Delaunay triangles (T, 3) of points (N, 2), all of one orientation."""
    from matplotlib.tri import Triangulation

    return np.asarray(Triangulation(points[:, 0], points[:, 1]).triangles, np.int32)


@dataclass(frozen=True, eq=False)
class MeshPlacement(Placement):
    """A square crop of `size` pixels in an image, by triangles between points of a face.

    matrix: (2, 3), the similarity that is nearest to it, from pixels of the crop to pixels of the image.
    source, points: (N, 2), where each point lies in the crop, and in the image.
    triangles: (T, 3), between these points.
    hands: (K, 21, 2), what lies before the face in the image.
    """

    source: Array
    points: Array
    triangles: NDArray[np.int32]
    hands: Array = field(default_factory=lambda: NO_HANDS)

    @classmethod
    def of(
        cls, source: Array, points: Array, triangles: NDArray[np.int32], size: int, hands: Array = NO_HANDS
    ) -> MeshPlacement:
        """The placement by points (N, 2) of the crop, and of the image."""
        return cls(umeyama(source, points), size, source, points, triangles, hands)

    def window(self, width: int, height: int, margin: float = 0.0) -> tuple[int, int, int, int]:
        left, top, right, bottom = super().window(width, height, margin)
        low = np.clip(np.floor(self.points.min(0)).astype(int), 0, (left, top))
        high = np.clip(np.ceil(self.points.max(0)).astype(int) + 1, (right, bottom), (width, height))
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def within(self, left: float, top: float, scale: float = 1.0) -> MeshPlacement:
        plain = super().within(left, top, scale)
        points, hands = ((some - (left, top)) * scale + (scale - 1) / 2 for some in (self.points, self.hands))
        return replace(self, matrix=plain.matrix, points=points, hands=hands)

    def warp_into(self, change: Tensor, width: int, height: int) -> Tensor:
        """A crop's change (B, C, S, S) as the face shows it in an image: (B, C, H, W); 0 where it is not."""
        drawn = self._drawn.get((width, height))
        if drawn is None:
            drawn = self._drawn[width, height] = _draw(self, width, height)
        left, top, right, bottom = drawn.window
        part = sampled(change, drawn.grid.to(change), "bicubic", "zeros") * drawn.shown.to(change)
        if part.shape[-2:] != (bottom - top, right - left):
            part = functional.interpolate(part, (bottom - top, right - left), mode="bilinear")
        return functional.pad(part, (left, width - right, top, height - bottom))

    @cached_property
    def opacity(self) -> Tensor:
        """How much of a change is shown in each pixel of the crop (1, 1, S, S), hands or not."""
        there = replace(self, points=self.source, hands=NO_HANDS)
        return there.warp_into(torch.ones(1, 1, self.size, self.size), self.size, self.size)

    @cached_property
    def _drawn(self) -> dict[tuple[int, int], _Drawn]:
        """What was drawn before, by (width, height) of the image."""
        return {}


@dataclass(frozen=True, eq=False)
class _Drawn:
    """The part of an image that a mesh covers, or a smaller copy of it of (h, w) pixels.

    grid: (h, w, 2), where each of its pixels lies in the crop, as `grid_sample` counts.
    shown: (h, w), how much of a change is shown there.
    window: the part (left, top, right, bottom).
    """

    grid: Tensor
    shown: Tensor
    window: tuple[int, int, int, int]


def _draw(placement: MeshPlacement, width: int, height: int) -> _Drawn:
    """Draw a mesh into an image of so many pixels."""
    points, source = placement.points, placement.source
    left, top = np.clip(np.floor(points.min(0)), 0, (width - 1, height - 1)).astype(int).tolist()
    right, bottom = (
        np.clip(np.ceil(points.max(0)) + 1, (left + 1, top + 1), (width, height)).astype(int).tolist()
    )
    extent = np.array([right - left, bottom - top])
    sides = np.maximum(1, np.round(extent * min(1.0, FINEST / extent.max()))).astype(int)
    places, hands = ((some - (left, top) + 0.5) * sides / extent - 0.5 for some in (points, placement.hands))
    size = int(sides[0]), int(sides[1])
    solid = (np.arange(len(points)) < len(points) - len(OVAL)).astype(float)  # the ring is not
    values = np.column_stack([(source * 2 + 1) / placement.size - 1, solid])
    drawn = drawn_by_triangles(places, values, placement.triangles, size)
    shown = np.where(left_out(places, hands, size), 0, drawn[..., 2].clip(0, 1))
    whole = torch.from_numpy(shown)
    softer = box_blur(whole[None, None], 2 * round(SOFT * max(size)) + 1)[0, 0].minimum(whole)
    return _Drawn(torch.from_numpy(drawn[..., :2]), softer, (left, top, right, bottom))


def drawn_by_triangles(
    points: Array, values: Array, triangles: NDArray[np.int32], size: tuple[int, int]
) -> NDArray[np.float32]:
    """A picture (H, W, V), of (width, height) `size`, of values (N, V) at points (N, 2): linear in each
    triangle (T, 3), 0 outside. Triangles that are seen from behind are left out."""
    corners = points[triangles]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    longest = np.sqrt(np.square([a, b, a - b]).sum(2).max(0))
    shown = np.flatnonzero(area > SLIVER * longest)
    order = shown[np.argsort(area[shown])]  # what lies beside the smallest is drawn over their borders
    image = Image.new("I", size)
    draw = ImageDraw.Draw(image)
    for number, place in enumerate(corners[order].reshape(-1, 6).tolist(), 1):
        draw.polygon(place, fill=number)
    label = np.asarray(image)
    rows, columns = np.nonzero(label)
    which = order[label[rows, columns] - 1]
    offset = np.stack([columns, rows], 1) - corners[which, 0]
    along = (offset[:, 0] * b[which, 1] - offset[:, 1] * b[which, 0]) / area[which]
    down = (offset[:, 1] * a[which, 0] - offset[:, 0] * a[which, 1]) / area[which]
    along, down = along.clip(-BEYOND, 1 + BEYOND), down.clip(-BEYOND, 1 + BEYOND)
    shares = np.stack([1 - along - down, along, down], 1)
    result = np.zeros((*label.shape, values.shape[1]), np.float32)
    result[rows, columns] = np.einsum("pc,pcv->pv", shares, values[triangles[which]])
    return result
