"""BlazeFace, MediaPipe's face detector (Bazarevsky et al. 2019, arXiv:1907.05047), in its 256 pixel form."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import nms

from ...core.images import to_tensor
from ...core.types import Array, Face, Pixels
from ..faces import box_transform, template_transform, warp
from ..recognizers.base import SameConv, loaded
from .blaze_block import Block
from .facemesh import LOOSER, five, landmarks, landmarks_in_crop
from .facemesh import SIZE as MESH

SIZE = 256
LIKELY = 0.5  # the score from which a face is believed
OVERLAP = 0.3  # of two boxes, from which both are around one face
# Where its eyes, nose and mouth lie in the crop of the face mesh.
FOUR = np.vstack([LOOSER[:3], LOOSER[3:].mean(0)])


def _block(inside: int, outside: int, stride: int = 1) -> Block:
    return Block(inside, outside, stride, nn.ReLU())


class BlazeFace(nn.Module):
    """(B, 3, 256, 256) in [-1, 1] -> the log-odds (B, 896) and places (B, 896, 16) of faces near `anchors`.

    A place is a middle, two sides, and the eyes, nose, mouth and ears, in pixels from the anchor.
    """

    LEVELS = (24, 24, 48, 96)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [SameConv(3, 24, 5, 2), nn.ReLU(), *(_block(24, 24) for _ in range(7))]
        for inside, outside in zip(self.LEVELS, self.LEVELS[1:], strict=False):
            layers += [_block(inside, outside, 2), *(_block(outside, outside) for _ in range(7))]
        self.fine = nn.Sequential(*layers)
        self.fine_scores, self.fine_places = nn.Conv2d(96, 2, 1), nn.Conv2d(96, 32, 1)
        self.coarse = nn.Sequential(
            SameConv(96, 96, 3, 2, groups=96, bias=False), nn.Conv2d(96, 96, 1), nn.ReLU()
        )
        self.coarse_scores, self.coarse_places = nn.Conv2d(96, 6, 1), nn.Conv2d(96, 96, 1)

    def forward(self, input: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine(input)
        coarse = self.coarse(fine)
        scores = _listed(self.fine_scores(fine), 1), _listed(self.coarse_scores(coarse), 1)
        places = _listed(self.fine_places(fine), 16), _listed(self.coarse_places(coarse), 16)
        return torch.cat(scores, 1)[..., 0], torch.cat(places, 1)


def _listed(grid: Tensor, each: int) -> Tensor:
    """Values on a grid (B, C, h, w), `each` an anchor, as (B, anchors, each)."""
    return grid.permute(0, 2, 3, 1).reshape(len(grid), -1, each)


@cache
def anchors() -> Tensor:
    """The middles (896, 2) of the cells to which places belong, in pixels: two a cell of 16, six of 32."""
    middles: list[Tensor] = []
    for stride, each in ((16, 2), (32, 6)):
        line = (torch.arange(SIZE // stride) + 0.5) * stride
        rows, columns = torch.meshgrid(line, line, indexing="ij")
        middles.append(torch.stack([columns, rows], -1).reshape(-1, 2).repeat_interleave(each, 0))
    return torch.cat(middles)


@cache
def network() -> BlazeFace:
    """The network, once."""
    return loaded("blazeface", BlazeFace())


@torch.no_grad()
def most_likely(pixels: Pixels) -> tuple[float, Array]:
    """The score of the likeliest face in a picture of `SIZE` pixels, and where its eyes (from left to right),
    nose and mouth lie (4, 2)."""
    scores, places = network()(2 * to_tensor(pixels) - 1)
    best = int(scores[0].argmax())
    four = places[0, best, 4:12].reshape(4, 2) + anchors()[best] - 0.5
    return float(scores[0, best].sigmoid()), four.double().numpy()


@torch.no_grad()
def find_faces(pixels: Pixels) -> list[Face]:
    """The faces in an upright photo (H, W, 3), the largest first, with five points from the face mesh.

    The whole photo is looked at in 256 pixels: small faces in it are missed.
    """
    image = to_tensor(pixels)
    high, wide = pixels.shape[:2]
    to_photo = box_transform(Face(np.array([0.0, 0.0, wide, high]) - 0.5, np.zeros((5, 2))), 0.0, SIZE)
    found, places = network()(2 * warp(image, to_photo, SIZE) - 1)
    scores, places = found[0].sigmoid(), places[0]
    middles, sides = places[:, :2] + anchors(), places[:, 2:4]
    boxes = torch.cat([middles - sides / 2, middles + sides / 2], 1)
    likely = (scores > LIKELY).nonzero()[:, 0]
    kept = likely[nms(boxes[likely], scores[likely], OVERLAP)]
    faces: list[Face] = []
    for index in kept.tolist():
        four = (places[index, 4:12].reshape(4, 2) + anchors()[index]).double().numpy()
        box = boxes[index].reshape(2, 2).double().numpy()
        seen = Face(_moved(box, to_photo).reshape(4), _moved(four, to_photo), float(scores[index]))
        first = replace(
            seen,
            points=five(
                landmarks_in_crop(image, template_transform(seen, FOUR, MESH))[0][0].double().numpy()
            ),
        )
        faces.append(replace(seen, points=five(landmarks(image, first)[0].double().numpy())))
    return sorted(faces, key=lambda face: -face.side)


def _moved(spots: Array, to_photo: Array) -> Array:
    """Points (N, 2) of the network's picture, whose corner is 0, in pixels of the photo."""
    return (spots - 0.5) @ to_photo[:, :2].T + to_photo[:, 2]
