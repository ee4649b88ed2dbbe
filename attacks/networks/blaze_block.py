"""BlazeBlock of BlazeFace (Bazarevsky et al. 2019, arXiv:1907.05047), of which the face mesh is made too."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from ..recognizers.base import SameConv


class BlazeBlock(nn.Module):
    """A depthwise and a pointwise convolution with a shortcut (max-pool, zero-padded channels)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, activation: nn.Module) -> None:
        super().__init__()
        self.stride, self.extra_channels = stride, out_channels - in_channels
        self.depthwise = SameConv(in_channels, in_channels, 3, stride, groups=in_channels, bias=False)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)
        self.activation = activation

    def forward(self, input: Tensor) -> Tensor:
        branch = self.pointwise(self.depthwise(input))
        shortcut = functional.max_pool2d(input, self.stride) if self.stride > 1 else input
        if self.extra_channels:
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, 0, self.extra_channels))
        return self.activation(branch + shortcut)
