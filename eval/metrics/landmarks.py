"""How far the parts of a face have moved."""

from __future__ import annotations

import torch
from torch import Tensor

from ...attacks.networks import facemesh
from ...core.types import Face


@torch.no_grad()
def landmarks(before: Tensor, after: Tensor, face: Face) -> Tensor:
    """The mean shift of 468 points of a face in images (B, 3, H, W) -> (B,), in distances of the eyes.

    Both are found in the crop in which the face lies in the image before.
    """
    old, new = (facemesh.landmarks(image, face) for image in (before, after))
    return (new - old).norm(dim=-1).mean(-1) / face.eyes
