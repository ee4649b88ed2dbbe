"""The block of BlazeFace (Bazarevsky et al. 2019, arXiv:1907.05047), of which the face mesh is made too."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from ..recognizers.base import SameConv


class Block(nn.Module):
    """A depthwise and a pointwise convolution beside a shortcut, which shrinks and widens as they do."""

    def __init__(self, inside: int, outside: int, stride: int, activation: nn.Module) -> None:
        super().__init__()
        self.stride, self.more = stride, outside - inside
        self.depthwise = SameConv(inside, inside, 3, stride, groups=inside, bias=False)
        self.pointwise = nn.Conv2d(inside, outside, 1)
        self.activation = activation

    def forward(self, input: Tensor) -> Tensor:
        branch = self.pointwise(self.depthwise(input))
        shortcut = functional.max_pool2d(input, self.stride) if self.stride > 1 else input
        if self.more:
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, 0, self.more))
        return self.activation(branch + shortcut)
