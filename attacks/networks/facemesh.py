"""MediaPipe's face mesh: where 468 points of a face lie (Kartynnik et al. 2019, arXiv:1907.06724)."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from ...core.types import Array, Face
from ..faces import ARCFACE, template_transform, warp
from ..recognizers.base import SameConv, loaded, on
from .blaze_block import Block

SIZE = 192
LOOSER = (ARCFACE - 0.5) * 0.75 + 0.5  # the ArcFace crop with a margin, as the mesh was trained
# The points of the mesh whose means are the five points of a `Face`.
FIVE = ((33, 133), (362, 263), (1, 4), (61,), (291,))


def _block(inside: int, outside: int, stride: int = 1) -> Block:
    return Block(inside, outside, stride, nn.PReLU(outside))


class FaceMesh(nn.Sequential):
    """(B, 3, 192, 192) in [0, 1] -> (B, 1404): x, y and depth of 468 points, in pixels."""

    LEVELS = (16, 32, 64, 128, 128, 128)
    EARLY = (3, 6, 9)  # where the first three levels end

    def __init__(self) -> None:
        layers: list[nn.Module] = [SameConv(3, 16, 3, 2), nn.PReLU(16), _block(16, 16), _block(16, 16)]
        for inside, outside in zip(self.LEVELS, self.LEVELS[1:], strict=False):
            layers += [_block(inside, outside, 2), _block(outside, outside), _block(outside, outside)]
        super().__init__(
            *layers,
            nn.Conv2d(128, 32, 1),
            nn.PReLU(32),
            _block(32, 32),
            nn.Conv2d(32, 1404, 3),
            nn.Flatten(),
        )

    def levels(self, crop: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What comes out at the end, and the features that the first three levels give on the way.

        These are (B, 16, 96, 96), (B, 32, 48, 48) and (B, 64, 24, 24).
        """
        early: list[Tensor] = []
        for place, layer in enumerate(self):
            crop = layer(crop)
            if place in self.EARLY:
                early.append(crop)
        return crop, early


@cache
def network() -> FaceMesh:
    """The network, once."""
    return loaded("facemesh", FaceMesh())


def landmarks_in_crop(image: Tensor, to_photo: Array) -> tuple[Tensor, list[Tensor]]:
    """The points (B, 468, 2) of the face in a crop of images (B, 3, H, W), and the early features (`levels`).

    In pixels of the image; `to_photo` (2, 3) maps pixels of the crop to the image's. Differentiable.
    """
    found, early = on(image.device, network()).levels(warp(image, to_photo, SIZE))
    matrix = torch.from_numpy(to_photo).to(found)
    return (found.reshape(-1, 468, 3)[..., :2] - 0.5) @ matrix[:, :2].T + matrix[:, 2], early


def landmarks_and_features(image: Tensor, face: Face) -> tuple[Tensor, list[Tensor]]:
    """The points of a face in images (B, 3, H, W) in [0, 1], and its early features: see `look`."""
    return landmarks_in_crop(image, template_transform(face, LOOSER, SIZE))


def landmarks(image: Tensor, face: Face) -> Tensor:
    """The points (B, 468, 2) of a face in images (B, 3, H, W) in [0, 1], in pixels of the image."""
    return landmarks_and_features(image, face)[0]


def five(mesh: Array) -> Array:
    """The five points (5, 2) of a `Face` from those of a mesh (468, 2)."""
    return np.stack([mesh[list(those)].mean(0) for those in FIVE])
