"""A small Xception that reads seven expressions (Arriaga et al. 2017, arXiv:1710.07557)."""

from __future__ import annotations

from functools import cache

from kornia.color import rgb_to_grayscale
from torch import Tensor, nn

from ...core.types import Face
from ..faces import box_transform, warp
from ..recognizers.base import SameConv, loaded, on

SIZE = 64
MARGIN = 0.1  # of the face's box, on each side
EXPRESSIONS = ("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral")


def _depthwise(channels: int) -> SameConv:
    return SameConv(channels, channels, 3, groups=channels, bias=False)


class Level(nn.Module):
    """Two separable convolutions and a pool, beside a shortcut."""

    def __init__(self, inside: int, outside: int, *before: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *before,
            _depthwise(inside),
            nn.Conv2d(inside, outside, 1),
            nn.ReLU(),
            _depthwise(outside),
            nn.Conv2d(outside, outside, 1),
            nn.MaxPool2d(3, 2, 1),
        )
        self.shortcut = nn.Conv2d(inside, outside, 1, 2)

    def forward(self, input: Tensor) -> Tensor:
        return self.branch(input) + self.shortcut(input)


class MiniXception(nn.Sequential):
    """Grey pictures (B, 1, 64, 64) in [-1, 1] -> the probabilities of `EXPRESSIONS` (B, 7)."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 32, 3, 2),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            Level(64, 128),
            Level(128, 256, nn.ReLU()),
            nn.Conv2d(256, 7, 3, padding=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Softmax(1),
        )


@cache
def network() -> MiniXception:
    """The network, once."""
    return loaded("emotion", MiniXception())


def expression(image: Tensor, face: Face) -> Tensor:
    """The probabilities (B, 7) of `EXPRESSIONS` on a face of images (B, 3, H, W), differentiably."""
    grey = rgb_to_grayscale(warp(image, box_transform(face, MARGIN, SIZE), SIZE))
    return on(image.device, network())(2 * grey - 1)
