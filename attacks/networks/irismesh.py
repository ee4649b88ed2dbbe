"""MediaPipe's second face mesh: 478 points, of which the last ten are the irises' (Grishchenko et al. 2020,
arXiv:2006.10962). It judges; the engine uses `facemesh`, another network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...core.types import Array, Face
from ..faces.sampling import warp
from ..faces.transforms import from_crop, square_transform, template_transform
from .facemesh import MESH_TEMPLATE
from .graph import graph

SIZE = 256
POINTS = 478
REACH = 1.5  # of the points' box: the side of the next crop
EYES = (33, 263)  # the outer corners, from left to right


class Mesh(NamedTuple):
    """The points of a face and the score, in [0, 1], of there being one.

    points: (478, 3), x and y in pixels of the photo, and depth in the same unit, towards the camera below 0.
    """

    points: Array
    score: float


@torch.no_grad()
def mesh(image: Tensor, to_photo: Array) -> Mesh:
    """The face in a crop of an image (1, 3, H, W) in [0, 1]; `first_crop` or `next_crop` makes the crop."""
    found, logit = graph("irismesh")(warp(image, to_photo, SIZE))
    points = found.reshape(POINTS, 3).double().numpy()
    depth = points[:, 2:] * np.sqrt(np.linalg.det(to_photo[:, :2]))
    return Mesh(np.hstack([from_crop(points[:, :2], to_photo), depth]), float(logit.sigmoid()))


def first_crop(face: Face) -> Array:
    """The transform (2, 3) from the pixels of a crop to the photo's for a face that was detected."""
    return template_transform(face, MESH_TEMPLATE, SIZE)


def next_crop(points: Array) -> Array:
    """The same for a face whose points (478, 3) are known, such as from the frame before."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    across = points[EYES[1], :2] - points[EYES[0], :2]
    side = REACH * float((high - low).max())
    return square_transform((low + high) / 2, side, np.array([-across[1], across[0]]), SIZE)
