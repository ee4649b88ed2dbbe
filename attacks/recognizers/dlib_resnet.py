"""dlib's face recognition network: 29 convolutions, residual (King 2017; weights CC0)."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from ..faces import template_transform
from .base import Packaged

# dlib's mean face of 68 points, reduced to the five that we have: the eye centres are the means of six
# points each, then points 30, 48 and 54. A chip adds PADDING on each side of that unit square.
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
CHIP = (MEAN_FACE + PADDING) / (1 + 2 * PADDING)


class Block(nn.Module):
    """Two convolutions beside a shortcut; one that goes down halves the picture.

    Going down is unpadded, so the branches may differ in size and in channels: the smaller one is filled
    with zeros, to the right, below and behind.
    """

    def __init__(self, inside: int, outside: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.first = nn.Conv2d(inside, outside, 3, 2, 0) if down else nn.Conv2d(inside, outside, 3, 1, 1)
        self.second = nn.Conv2d(outside, outside, 3, padding=1)

    def forward(self, input: Tensor) -> Tensor:
        branch = self.second(functional.relu(self.first(input)))
        shortcut = functional.avg_pool2d(input, 2) if self.down else input
        shape = [max(pair) for pair in zip(branch.shape[1:], shortcut.shape[1:], strict=True)]
        return functional.relu(_fill(branch, shape) + _fill(shortcut, shape))


def _fill(image: Tensor, shape: list[int]) -> Tensor:
    channels, high, wide = (new - old for new, old in zip(shape, image.shape[1:], strict=True))
    return functional.pad(image, (0, wide, 0, high, 0, channels))


class DlibResNet(nn.Module):
    """(B, 3, 150, 150) -> (B, 128). The affine layers are folded into the convolutions."""

    LEVELS = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, 2)
        blocks: list[Block] = []
        inside = 32
        for outside, count, down in self.LEVELS:
            for index in range(count):
                blocks.append(Block(inside, outside, down and index == 0))
                inside = outside
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(256, 128, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        stem = functional.max_pool2d(functional.relu(self.stem(input)), 3, 2)
        return self.head(self.blocks(stem).mean((2, 3)))


def load() -> Packaged:
    """dlib's recogniser on its five-point chip."""
    return Packaged(
        "dlib",
        150,
        DlibResNet(),
        lambda face, size: template_transform(face, CHIP, size),
        mean=(122.782, 117.001, 104.298),
        scale=256,
    )
