"""becauseofAI's MobileFace: a small network of half a million parameters (its Identification V3, MIT)."""

from __future__ import annotations

from torch import Tensor, nn

from ..faces.transforms import ARCFACE, template_transform
from .base import Packaged


def _depthwise_prelu(channels: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False),
        nn.PReLU(channels),
    ]


class DownsamplingBlock(nn.Module):
    """A pointwise convolution, a depthwise one of stride 2, then two depthwise ones with a shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False), *_depthwise_prelu(out_channels, 2)
        )
        self.refine = nn.Sequential(*_depthwise_prelu(out_channels), *_depthwise_prelu(out_channels))

    def forward(self, input: Tensor) -> Tensor:
        features = self.down(input)
        return features + self.refine(features)


class MobileFace(nn.Sequential):
    """(B, 3, 112, 112) -> (B, 256). The last batch normalisation is folded into the head."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 32, 3, 2, 1, bias=False),
            nn.PReLU(32),
            DownsamplingBlock(32, 32),
            DownsamplingBlock(32, 32),
            DownsamplingBlock(32, 64),
            DownsamplingBlock(64, 128),
            nn.Conv2d(128, 256, 4),
            nn.Flatten(),
        )


def load() -> Packaged:
    """MobileFace, aligned by the ArcFace template."""
    return Packaged(
        "mobileface",
        112,
        MobileFace(),
        lambda face, size: template_transform(face, ARCFACE, size),
        mean=(127.5, 127.5, 127.5),
        scale=128,
    )
