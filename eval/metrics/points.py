"""How far the parts of a face have moved, for the detector that finds it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...attacks.faces.detection import find_faces
from ...core.images import to_pixels
from ...core.types import Face
from ..detectors import same_place


def points(before: Tensor, after: Tensor, face: Face) -> Tensor:
    """The mean shift of the five points of a face in images (B, 3, H, W) -> (B,), in distances of the eyes.

    As MTCNN finds them. Not a number where it finds no face in the place of `face`.
    """
    return torch.tensor([_shift(*pair, face) for pair in zip(before, after, strict=True)])


def _shift(before: Tensor, after: Tensor, face: Face) -> float:
    old, new = (same_place(face, find_faces(to_pixels(image[None]))) for image in (before, after))
    if old is None or new is None:
        return float("nan")
    return float(np.linalg.norm(new.points - old.points, axis=1).mean()) / face.eyes
