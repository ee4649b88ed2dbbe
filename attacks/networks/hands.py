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
STEADY = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)  # of a hand's points: those of the palm, and near it
MIDDLE = 9  # of a hand's points: where the middle finger begins
REACH_NEXT, AHEAD_NEXT = 2.0, 0.1  # the same as REACH and AHEAD, by these points
LIKELIEST = 20  # anchors, at most, of which the likeliest palms are taken


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
    high, wide = image.shape[-2:]
    found = [hand_in(image, crop) for crop in palms(image, np.array([0.0, 0.0, wide, high]))]
    return [points for points, score in found if score > MIN_SCORE]


@torch.no_grad()
def hand_in(image: Tensor, to_photo: Array) -> tuple[Array, float]:
    """The points (21, 2) of the hand in a crop of an image (1, 3, H, W), in its pixels, and whether there is
    one: a score in [0, 1].

    to_photo: (2, 3), from pixels of the crop to those of the image, as `palms` and `next_crop` give it.
    """
    points, score, _ = graph("hand")(warp(image, to_photo, HAND_SIZE))
    return from_crop(points.reshape(21, 3)[:, :2].double().numpy(), to_photo), float(score)


def next_crop(hand: Array) -> Array:
    """Where a hand (21, 2) is looked for in the next frame, as MediaPipe does: the transform (2, 3)."""
    inner = hand[[*STEADY]]
    down = hand[0] - hand[MIDDLE]
    y = down / max(float(np.linalg.norm(down)), 1e-6)
    axes = np.array([[y[1], -y[0]], y])
    low, high = (inner @ axes.T).min(0), (inner @ axes.T).max(0)
    centre = (low + high) / 2 - (0, AHEAD_NEXT * (high - low)[1])
    return square_transform(centre @ axes, REACH_NEXT * float((high - low).max()), down, HAND_SIZE)


@torch.no_grad()
def palms(image: Tensor, box: Array, most: int | None = None) -> list[Array]:
    """Where hands lie in a box of an image (1, 3, H, W): transforms (2, 3) from the pixels of their crops.

    most: so many, the likeliest, however unlikely they are; by default those that are likely.
    """
    to_photo = box_transform(box, 0.0, PALM_SIZE)
    logits, places = (each[0] for each in graph("palm")(warp(image, to_photo, PALM_SIZE)))
    scores = logits[:, 0].sigmoid()
    likely = (scores > MIN_SCORE).nonzero()[:, 0] if most is None else scores.topk(LIKELIEST).indices
    places, centres, scores = places[likely], anchors()[likely], scores[likely]
    middles, sides = places[:, :2] + centres, places[:, 2:4]
    kept = nms(torch.cat([middles - sides / 2, middles + sides / 2], 1), scores, MAX_IOU)[:most]
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
