"""MediaPipe's hands: palms, and 21 points of each (Zhang et al. 2020, arXiv:2006.10214)."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

from ...core.types import Array
from ..faces.sampling import warp
from ..faces.transforms import box_transform, from_crop, square_transform
from .graph import graph

PALM_SIZE, HAND_SIZE = 192, 224
GRIDS = ((8, 2), (16, 6))  # pixels between the anchors of a grid, and how many there are in one place
MIN_SCORE = 0.5  # of a palm, and of a hand in its crop
MAX_IOU = 0.3  # of two palms; above it the one of the lower score is dropped
WRIST, KNUCKLE = 0, 2  # of a palm's seven points: the wrist, and where the middle finger begins
REACH, AHEAD = 2.6, 0.5  # the crop of a hand: its side, and how far towards the fingers, in sides of the palm


@cache
def anchors() -> Tensor:
    """The anchors (2016, 2): centres of grid cells in pixels."""
    centres: list[Tensor] = []
    for stride, each in GRIDS:
        line = (torch.arange(PALM_SIZE // stride) + 0.5) * stride
        rows, columns = torch.meshgrid(line, line, indexing="ij")
        centres.append(torch.stack([columns, rows], -1).reshape(-1, 2).repeat_interleave(each, 0))
    return torch.cat(centres)


@torch.no_grad()
def find_hands(image: Tensor) -> list[Array]:
    """The hands in an image (1, 3, H, W) in [0, 1], the surest first: 21 points each (21, 2) in its pixels.

    Point 0 is the wrist, then come four of each finger from the thumb on. The whole image is scaled to 192
    pixels to find palms: small ones are missed, and often a fist.
    """
    hands: list[Array] = []
    for to_photo in _crops(image):
        points, score, _ = graph("hand")(warp(image, to_photo, HAND_SIZE))
        if float(score) > MIN_SCORE:
            hands.append(from_crop(points.reshape(21, 3)[:, :2].double().numpy(), to_photo))
    return hands


def _crops(image: Tensor) -> list[Array]:
    """Where hands lie in an image (1, 3, H, W): the transforms (2, 3) from the pixels of their crops."""
    high, wide = image.shape[-2:]
    to_photo = box_transform(np.array([0.0, 0.0, wide, high]), 0.0, PALM_SIZE)
    logits, places = (each[0] for each in graph("palm")(warp(image, to_photo, PALM_SIZE)))
    scores = logits[:, 0].sigmoid()
    likely = (scores > MIN_SCORE).nonzero()[:, 0]
    places, centres, scores = places[likely], anchors()[likely], scores[likely]
    middles, sides = places[:, :2] + centres, places[:, 2:4]
    kept = nms(torch.cat([middles - sides / 2, middles + sides / 2], 1), scores, MAX_IOU)
    crops: list[Array] = []
    scale = float(np.sqrt(np.linalg.det(to_photo[:, :2])))
    for index in kept.tolist():
        points = (places[index, 4:].reshape(7, 2) + centres[index]).double().numpy()
        middle, side = middles[index].double().numpy(), float(sides[index].max())
        down = points[WRIST] - points[KNUCKLE]
        ahead = middle - AHEAD * side * down / np.linalg.norm(down)
        centre = from_crop(ahead[None], to_photo)[0]
        crops.append(square_transform(centre, REACH * side * scale, down, HAND_SIZE))
    return crops
