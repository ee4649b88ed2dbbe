"""Mini-Xception, a classifier of seven expressions (Arriaga et al. 2017, arXiv:1710.07557)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from kornia.color import rgb_to_grayscale
from torch import Tensor, nn

from ...core.types import Face
from ..faces.sampling import warp
from ..faces.transforms import box_transform
from ..recognizers.base import SameConv, copy_on, load_network

SIZE = 64
MARGIN = 0.1  # of the face's box, on each side
EXPRESSIONS = ("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral")


def _depthwise(channels: int) -> SameConv:
    return SameConv(channels, channels, 3, groups=channels, bias=False)


class XceptionBlock(nn.Module):
    """Two depthwise separable convolutions and a max-pool, with a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, *before: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *before,
            _depthwise(in_channels),
            nn.Conv2d(in_channels, out_channels, 1),
            nn.ReLU(),
            _depthwise(out_channels),
            nn.Conv2d(out_channels, out_channels, 1),
            nn.MaxPool2d(3, 2, 1),
        )
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, 2)

    def forward(self, input: Tensor) -> Tensor:
        return self.branch(input) + self.shortcut(input)


class MiniXception(nn.Sequential):
    """Greyscale crops (B, 1, 64, 64) in [-1, 1] -> the probabilities (B, 7) of `EXPRESSIONS`."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 32, 3, 2),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            XceptionBlock(64, 128),
            XceptionBlock(128, 256, nn.ReLU()),
            nn.Conv2d(256, 7, 3, padding=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Softmax(1),
        )


@cache
def network() -> MiniXception:
    """The network, loaded once. Its weights are packaged: one for all stores."""
    return load_network("emotion", MiniXception())


def expression(image: Tensor, face: Face) -> Tensor:
    """Probabilities (B, 7) of `EXPRESSIONS` of a face in images (B, 3, H, W) in [0, 1]; differentiable."""
    return expressions_together([image], [face])


def expressions_together(images: Sequence[Tensor], faces: Sequence[Face]) -> Tensor:
    """`expression` of several faces, each in images of its own, in one batch."""
    crops = torch.cat(
        [
            warp(image, box_transform(face.box, MARGIN, SIZE, face.turn), SIZE)
            for image, face in zip(images, faces, strict=True)
        ]
    )
    return copy_on(crops.device, network())(2 * rgb_to_grayscale(crops) - 1)
