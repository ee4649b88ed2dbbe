"""MediaPipe's face mesh: 468 landmarks of a face (Kartynnik et al. 2019, arXiv:1907.06724)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from ...core.images import onto
from ...core.types import Array, Face
from ..faces.sampling import warp
from ..faces.transforms import ARCFACE, template_transform
from ..recognizers.base import SameConv, copy_on, load_network
from .blaze_block import BlazeBlock

SIZE = 192
MESH_TEMPLATE = (ARCFACE - 0.5) * 0.75 + 0.5  # the ArcFace template with a margin, as in its training
# The landmarks of the mesh whose means are the five points of a `Face`.
FIVE_POINTS = ((33, 133), (362, 263), (1, 4), (61,), (291,))
OVAL = (  # those of the outline of the face
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152),
    *(148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)


def _block(in_channels: int, out_channels: int, stride: int = 1) -> BlazeBlock:
    return BlazeBlock(in_channels, out_channels, stride, nn.PReLU(out_channels))


class FaceMesh(nn.Sequential):
    """(B, 3, 192, 192) in [0, 1] -> (B, 1404): x, y and depth of 468 landmarks, in pixels of the crop."""

    STAGES = (16, 32, 64, 128, 128, 128)
    EARLY = (3, 6, 9)  # the last layers of the first three stages

    def __init__(self) -> None:
        layers: list[nn.Module] = [SameConv(3, 16, 3, 2), nn.PReLU(16), _block(16, 16), _block(16, 16)]
        for in_channels, out_channels in zip(self.STAGES, self.STAGES[1:], strict=False):
            layers += [
                _block(in_channels, out_channels, 2),
                _block(out_channels, out_channels),
                _block(out_channels, out_channels),
            ]
        super().__init__(
            *layers,
            nn.Conv2d(128, 32, 1),
            nn.PReLU(32),
            _block(32, 32),
            nn.Conv2d(32, 1404, 3),
            nn.Flatten(),
        )

    def forward_features(self, crop: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The output, and the features of the first three stages.

        These are (B, 16, 96, 96), (B, 32, 48, 48) and (B, 64, 24, 24).
        """
        early: list[Tensor] = []
        for index, layer in enumerate(self):
            crop = layer(crop)
            if index in self.EARLY:
                early.append(crop)
        return crop, early


@cache
def network() -> FaceMesh:
    """The network, loaded once. Its weights are packaged: one for all stores."""
    return load_network("facemesh", FaceMesh())


def landmarks_in_crop(image: Tensor, to_photo: Array) -> tuple[Tensor, list[Tensor]]:
    """The landmarks (B, 468, 2) of the face in a crop, and the features of the first three stages.

    Landmarks are in pixels of the images (B, 3, H, W), whose values are in [0, 1]. Differentiable.

    Args:
        to_photo: the transform (2, 3) from pixels of the crop to the image's.
    """
    (points,), early = landmarks_together([image], [to_photo])
    return points, early


def landmarks_together(
    images: Sequence[Tensor], to_photo: Sequence[Array]
) -> tuple[list[Tensor], list[Tensor]]:
    """`landmarks_in_crop` of several faces, each in images of its own; the features of all in one batch."""
    crops = torch.cat([warp(image, matrix, SIZE) for image, matrix in zip(images, to_photo, strict=True)])
    found, early = copy_on(crops.device, network()).forward_features(crops)
    matrices = onto(torch.from_numpy(np.stack(to_photo)), found)
    each = zip(found.split([len(image) for image in images]), matrices, strict=True)
    return [
        (own.reshape(-1, 468, 3)[..., :2] - 0.5) @ matrix[:, :2].T + matrix[:, 2] for own, matrix in each
    ], early


def landmarks_and_features(image: Tensor, face: Face) -> tuple[Tensor, list[Tensor]]:
    """The landmarks and features (`landmarks_in_crop`) of a face in images (B, 3, H, W) in [0, 1]."""
    return landmarks_in_crop(image, mesh_transform(face))


def mesh_transform(face: Face) -> Array:
    """The transform (2, 3) from pixels of the crop that the network wants of a face to the photo's."""
    return template_transform(face, MESH_TEMPLATE, SIZE)


def landmarks(image: Tensor, face: Face) -> Tensor:
    """The landmarks (B, 468, 2) of a face in images (B, 3, H, W) in [0, 1], in pixels of the image."""
    return landmarks_and_features(image, face)[0]


def five_points(mesh: Array) -> Array:
    """The five points (5, 2) of a `Face` from the landmarks of a mesh (468, 2)."""
    return np.stack([mesh[list(those)].mean(0) for those in FIVE_POINTS])
