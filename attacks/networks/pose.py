"""MediaPipe's pose: 33 points of a body (Bazarevsky et al. 2020, arXiv:2006.10204), found from a face."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...core.types import Array, Face
from ..faces.sampling import warp
from ..faces.transforms import from_crop, square_transform
from .graph import graph

SIZE = 256
POINTS = 33
# Where the crop of a body lies, in sides of its face's box: how far below the face its middle, and its side.
BELOW, WIDE = 3.4, 11.5
SHOULDERS = (11, 12)


class Body(NamedTuple):
    """The points (33, 2) of a body, in pixels of the photo; how likely each is visible (33,); and the score,
    in [0, 1], of there being one."""

    points: Array
    visible: Array
    score: float


def crop_below(face: Face) -> Array:
    """The transform (2, 3) from the pixels of a crop to the photo's for the body below a face."""
    across = face.points[1] - face.points[0]
    down = np.array([-across[1], across[0]]) / np.linalg.norm(across)
    side = float((face.box[2:] - face.box[:2]).max())
    centre = face.box.reshape(2, 2).mean(0) + BELOW * side * down
    return square_transform(centre, WIDE * side, down, SIZE)


@torch.no_grad()
def body(image: Tensor, to_photo: Array) -> Body:
    """The body in a crop of an image (1, 3, H, W) in [0, 1].

    Unlike with MediaPipe, the crop comes from the face in every frame, so that no error is carried on, and
    points are neither refined by the network's heat maps nor smoothed over time.
    """
    found, score = graph("pose")(warp(image, to_photo, SIZE))
    values = found.reshape(-1, 5).double()
    points = from_crop(values[:, :2].numpy(), to_photo)
    visible = values[:POINTS, 3].sigmoid().numpy()
    return Body(points[:POINTS], visible, float(score))
