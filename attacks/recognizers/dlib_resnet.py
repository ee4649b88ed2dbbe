"""dlib's face recognition network: a residual network of 29 convolutions (King 2017; weights CC0)."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from ..faces.transforms import template_transform
from .base import Packaged

# dlib's mean face of 68 landmarks, reduced to the five of a `Face`: the eye centres are the means of six
# landmarks each, then landmarks 30, 48 and 54. A face chip adds PADDING on each side of that unit square.
PADDING = 0.2
MEAN_FACE = np.array(
    [
        [0.225492, 0.215990],
        [0.754761, 0.215990],
        [0.490127, 0.515625],
        [0.254149, 0.780233],
        [0.726104, 0.780233],
    ]
)
CHIP_TEMPLATE = (MEAN_FACE + PADDING) / (1 + 2 * PADDING)


class ResidualBlock(nn.Module):
    """Two convolutions and a shortcut; a downsampling block halves height and width.

    Downsampling is unpadded, so that the branches may differ in size and in channels: the smaller one is
    zero-padded on the right, below and in further channels.
    """

    def __init__(self, in_channels: int, out_channels: int, downsample: bool) -> None:
        super().__init__()
        self.downsample = downsample
        self.first = (
            nn.Conv2d(in_channels, out_channels, 3, 2, 0)
            if downsample
            else nn.Conv2d(in_channels, out_channels, 3, 1, 1)
        )
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1)

    def forward(self, input: Tensor) -> Tensor:
        branch = self.second(functional.relu(self.first(input)))
        shortcut = functional.avg_pool2d(input, 2) if self.downsample else input
        shape = [max(pair) for pair in zip(branch.shape[1:], shortcut.shape[1:], strict=True)]
        return functional.relu(_zero_pad(branch, shape) + _zero_pad(shortcut, shape))


def _zero_pad(image: Tensor, shape: list[int]) -> Tensor:
    """Features (B, C, H, W), zero-padded to `shape` (C, H, W)."""
    channels, high, wide = (new - old for new, old in zip(shape, image.shape[1:], strict=True))
    return functional.pad(image, (0, wide, 0, high, 0, channels))


class DlibResNet(nn.Module):
    """(B, 3, 150, 150) -> (B, 128). Batch normalisation is folded into the convolutions."""

    # channels, number of blocks, whether the first one downsamples
    STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, 2)
        blocks: list[ResidualBlock] = []
        in_channels = 32
        for out_channels, count, downsample in self.STAGES:
            for index in range(count):
                blocks.append(ResidualBlock(in_channels, out_channels, downsample and index == 0))
                in_channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(256, 128, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        stem = functional.max_pool2d(functional.relu(self.stem(input)), 3, 2)
        return self.head(self.blocks(stem).mean((2, 3)))


def load() -> Packaged:
    """dlib's recogniser, aligned by its own five-landmark template."""
    return Packaged(
        "dlib",
        150,
        DlibResNet(),
        lambda face, size: template_transform(face, CHIP_TEMPLATE, size),
        mean=(122.782, 117.001, 104.298),
        scale=256,
    )
