"""MobileFaceNet (Chen et al. 2018, arXiv:1804.07573, table 1), as trained by sirius-ai/MobileFaceNet_TF."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ..faces.transforms import ARCFACE, template_transform
from .base import Packaged, SameConv

CLOSE_TEMPLATE = (ARCFACE - 0.5) * 1.05 + 0.5  # the ArcFace crop, zoomed about its centre


ConvLayer = Callable[..., nn.Module]


def _same_conv_prelu(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        SameConv(in_channels, out_channels, kernel, stride, groups=groups), nn.PReLU(out_channels)
    )


class Bottleneck(nn.Module):
    """Expand, depthwise convolution, linear projection; with a shortcut where the stride is 1."""

    def __init__(
        self, in_channels: int, expanded: int, out_channels: int, stride: int, conv_layer: ConvLayer
    ) -> None:
        super().__init__()
        self.shortcut = stride == 1
        self.expand = conv_layer(in_channels, expanded, 1)
        self.depthwise = conv_layer(expanded, expanded, 3, stride, groups=expanded)
        self.project = nn.Conv2d(expanded, out_channels, 1)

    def forward(self, input: Tensor) -> Tensor:
        branch = self.project(self.depthwise(self.expand(input)))
        return input + branch if self.shortcut else branch


# expanded channels, output channels, stride, number of bottlenecks
STAGES = (
    (128, 64, 2, 1),
    (128, 64, 1, 4),
    (256, 128, 2, 1),
    (256, 128, 1, 6),
    (512, 128, 2, 1),
    (256, 128, 1, 2),
)


def bottlenecks(conv_layer: ConvLayer) -> list[nn.Module]:
    """The body: (B, 64, 56, 56) -> (B, 512, 7, 7).

    Args:
        conv_layer: makes a convolution with its activation, from (in, out, kernel, stride, groups).
    """
    blocks: list[nn.Module] = []
    in_channels = 64
    for expanded, out_channels, stride, count in STAGES:
        for _ in range(count):
            blocks.append(Bottleneck(in_channels, expanded, out_channels, stride, conv_layer))
            in_channels = out_channels
    return [*blocks, conv_layer(in_channels, 512, 1)]


class MobileFaceNet(nn.Sequential):
    """(B, 3, 112, 112) -> (B, 192). Batch normalisation is folded into the convolutions."""

    def __init__(self) -> None:
        super().__init__(
            _same_conv_prelu(3, 64, 3, 2),
            _same_conv_prelu(64, 64, 3, groups=64),
            nn.Conv2d(64, 64, 1),
            *bottlenecks(_same_conv_prelu),
            nn.Conv2d(512, 512, 7, groups=512),
            nn.Conv2d(512, 512, 1),
            nn.Conv2d(512, 192, 1),
            nn.Flatten(),
        )


def load() -> Packaged:
    """MobileFaceNet, aligned by the ArcFace template, slightly closer."""
    return Packaged(
        "mobilefacenet",
        112,
        MobileFaceNet(),
        lambda face, size: template_transform(face, CLOSE_TEMPLATE, size),
        mean=(127.5, 127.5, 127.5),
        scale=128,
    )
