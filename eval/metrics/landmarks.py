"""How far the parts of a face have moved."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...core.types import Face
from ..networks import facemesh


def landmarks(before: Tensor, after: Tensor, face: Face) -> Tensor:
    """The mean shift of 468 points of a face in images (B, 3, H, W) -> (B,), in distances of the eyes.

    Both are found in the crop in which the face lies in the image before.
    """
    old, new = (facemesh.points(image, face) for image in (before, after))
    eyes = float(np.linalg.norm(face.points[1] - face.points[0]))
    return torch.from_numpy(np.linalg.norm(new - old, axis=-1).mean(-1) / eyes).float()
