"""MobileFaceNet (Chen et al. 2018, arXiv:1804.07573, table 1), as trained by sirius-ai/MobileFaceNet_TF."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ..faces import ARCFACE, template_transform
from .base import Packaged, SameConv

CLOSER = (ARCFACE - 0.5) * 1.05 + 0.5  # the ArcFace crop, zoomed about its centre


Layer = Callable[..., nn.Module]


def _layer(inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(SameConv(inside, outside, kernel, stride, groups=groups), nn.PReLU(outside))


class Bottleneck(nn.Module):
    """Widen, convolve each channel, narrow; beside a shortcut where the size stays."""

    def __init__(self, inside: int, wide: int, outside: int, stride: int, layer: Layer) -> None:
        super().__init__()
        self.shortcut = stride == 1
        self.expand = layer(inside, wide, 1)
        self.depthwise = layer(wide, wide, 3, stride, groups=wide)
        self.project = nn.Conv2d(wide, outside, 1)

    def forward(self, input: Tensor) -> Tensor:
        branch = self.project(self.depthwise(self.expand(input)))
        return input + branch if self.shortcut else branch


# how wide, how many channels come out, the stride, how often
LEVELS = (
    (128, 64, 2, 1),
    (128, 64, 1, 4),
    (256, 128, 2, 1),
    (256, 128, 1, 6),
    (512, 128, 2, 1),
    (256, 128, 1, 2),
)


def bottlenecks(layer: Layer) -> list[nn.Module]:
    """The body: (B, 64, 56, 56) -> (B, 512, 7, 7). `layer` convolves and bends."""
    blocks: list[nn.Module] = []
    inside = 64
    for wide, outside, stride, count in LEVELS:
        for _ in range(count):
            blocks.append(Bottleneck(inside, wide, outside, stride, layer))
            inside = outside
    return [*blocks, layer(inside, 512, 1)]


class MobileFaceNet(nn.Sequential):
    """(B, 3, 112, 112) -> (B, 192). Batch normalisation is folded into the convolutions."""

    def __init__(self) -> None:
        super().__init__(
            _layer(3, 64, 3, 2),
            _layer(64, 64, 3, groups=64),
            nn.Conv2d(64, 64, 1),
            *bottlenecks(_layer),
            nn.Conv2d(512, 512, 7, groups=512),
            nn.Conv2d(512, 512, 1),
            nn.Conv2d(512, 192, 1),
            nn.Flatten(),
        )


def load() -> Packaged:
    """MobileFaceNet on a slightly closer ArcFace crop."""
    return Packaged(
        "mobilefacenet",
        112,
        MobileFaceNet(),
        lambda face, size: template_transform(face, CLOSER, size),
        mean=(127.5, 127.5, 127.5),
        scale=128,
    )
