"""BlazeFace, MediaPipe's face detector (Bazarevsky et al. 2019, arXiv:1907.05047), for 256 pixels."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import nms

from ...core.images import to_tensor
from ...core.types import Array, Face, Pixels
from ..faces.sampling import warp
from ..faces.transforms import box_transform, template_transform
from ..recognizers.base import SameConv, load_network
from .blaze_block import BlazeBlock
from .facemesh import MESH_TEMPLATE, five_points, landmarks, landmarks_in_crop
from .facemesh import SIZE as MESH_SIZE

SIZE = 256
CLOSE = 192  # pixels: the side of a picture of one face, which needs fewer
MIN_SCORE = 0.5  # of a face; lower ones are dropped
MAX_IOU = 0.3  # of two boxes; above it the one of the lower score is dropped
# Where its eyes, nose and mouth (4, 2) lie in the crop of the face mesh, in fractions of the side.
FOUR_TEMPLATE = np.vstack([MESH_TEMPLATE[:3], MESH_TEMPLATE[3:].mean(0)])


def _block(in_channels: int, out_channels: int, stride: int = 1) -> BlazeBlock:
    return BlazeBlock(in_channels, out_channels, stride, nn.ReLU())


class BlazeFace(nn.Module):
    """(B, 3, S, S) in [-1, 1] -> logits (B, A) and regressions (B, A, 16) for the `anchors`, where S is a
    multiple of 32: 256, as it was trained, for 896 of them.

    A regression is the box's centre, width and height, and the eyes, nose, mouth and ears, in pixels
    relative to the anchor.
    """

    STAGES = (24, 24, 48, 96)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [SameConv(3, 24, 5, 2), nn.ReLU(), *(_block(24, 24) for _ in range(7))]
        for in_channels, out_channels in zip(self.STAGES, self.STAGES[1:], strict=False):
            layers += [
                _block(in_channels, out_channels, 2),
                *(_block(out_channels, out_channels) for _ in range(7)),
            ]
        self.fine = nn.Sequential(*layers)
        self.fine_scores, self.fine_places = nn.Conv2d(96, 2, 1), nn.Conv2d(96, 32, 1)
        self.coarse = nn.Sequential(
            SameConv(96, 96, 3, 2, groups=96, bias=False), nn.Conv2d(96, 96, 1), nn.ReLU()
        )
        self.coarse_scores, self.coarse_places = nn.Conv2d(96, 6, 1), nn.Conv2d(96, 96, 1)

    def forward(self, input: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine(input)
        coarse = self.coarse(fine)
        scores = _per_anchor(self.fine_scores(fine), 1), _per_anchor(self.coarse_scores(coarse), 1)
        places = _per_anchor(self.fine_places(fine), 16), _per_anchor(self.coarse_places(coarse), 16)
        return torch.cat(scores, 1)[..., 0], torch.cat(places, 1)


def _per_anchor(grid: Tensor, each: int) -> Tensor:
    """Outputs on a grid (B, C, h, w), `each` of them an anchor, as (B, anchors, each)."""
    return grid.permute(0, 2, 3, 1).reshape(len(grid), -1, each)


@cache
def anchors(size: int = SIZE) -> Tensor:
    """The anchors (A, 2): centres of grid cells in pixels; two a cell of 16 pixels, six a cell of 32."""
    centres: list[Tensor] = []
    for stride, each in ((16, 2), (32, 6)):
        line = (torch.arange(size // stride) + 0.5) * stride
        rows, columns = torch.meshgrid(line, line, indexing="ij")
        centres.append(torch.stack([columns, rows], -1).reshape(-1, 2).repeat_interleave(each, 0))
    return torch.cat(centres)


@cache
def network() -> BlazeFace:
    """The network, loaded once; it runs on the CPU. Its weights are packaged: one for all stores."""
    return load_network("blazeface", BlazeFace())


@torch.no_grad()
def most_likely(pixels: Pixels) -> tuple[float, Array]:
    """The face of the highest score in an image (192, 192, 3): its score in [0, 1], and its landmarks (4, 2).

    These are its eyes (from left to right), nose and mouth, in pixels.
    """
    scores, places = network()(2 * to_tensor(pixels) - 1)
    best = int(scores[0].argmax())
    four = places[0, best, 4:12].reshape(4, 2) + anchors(CLOSE)[best] - 0.5
    return float(scores[0, best].sigmoid()), four.double().numpy()


@torch.no_grad()
def find_faces(pixels: Pixels) -> list[Face]:
    """The faces in an upright photo (H, W, 3), the largest first, with five points from the face mesh.

    The whole photo is scaled to 256 pixels: small faces in it are missed.
    """
    image = to_tensor(pixels)
    high, wide = pixels.shape[:2]
    to_photo = box_transform(np.array([0.0, 0.0, wide, high]) - 0.5, 0.0, SIZE)
    found, places = network()(2 * warp(image, to_photo, SIZE) - 1)
    scores, places = found[0].sigmoid(), places[0]
    centres, sides = places[:, :2] + anchors(), places[:, 2:4]
    boxes = torch.cat([centres - sides / 2, centres + sides / 2], 1)
    likely = (scores > MIN_SCORE).nonzero()[:, 0]
    kept = likely[nms(boxes[likely], scores[likely], MAX_IOU)]
    faces: list[Face] = []
    for index in kept.tolist():
        four = (places[index, 4:12].reshape(4, 2) + anchors()[index]).double().numpy()
        box = boxes[index].reshape(2, 2).double().numpy()
        points = _to_photo_pixels(four, to_photo)
        face = Face(_to_photo_pixels(box, to_photo).reshape(4), points, float(scores[index]))
        mesh, _ = landmarks_in_crop(image, template_transform(face, FOUR_TEMPLATE, MESH_SIZE))
        rough = replace(face, points=five_points(mesh[0].double().numpy()))
        faces.append(replace(face, points=five_points(landmarks(image, rough)[0].double().numpy())))
    return sorted(faces, key=lambda face: -face.side)


def _to_photo_pixels(points: Array, to_photo: Array) -> Array:
    """Points (N, 2) in the network's pixels, whose origin is a corner, in pixels of the photo."""
    return (points - 0.5) @ to_photo[:, :2].T + to_photo[:, 2]
