"""becauseofAI's MobileFace: a small network of half a million weights (its Identification V3, MIT)."""

from __future__ import annotations

from torch import Tensor, nn

from ..faces import ARCFACE, template_transform
from .base import Packaged


def _depthwise(channels: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False),
        nn.PReLU(channels),
    ]


class Stage(nn.Module):
    """Mix the channels, halve the picture, then two depthwise layers beside a shortcut."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(inside, outside, 1, bias=False), *_depthwise(outside, 2))
        self.refine = nn.Sequential(*_depthwise(outside), *_depthwise(outside))

    def forward(self, input: Tensor) -> Tensor:
        down = self.down(input)
        return down + self.refine(down)


class MobileFace(nn.Sequential):
    """(B, 3, 112, 112) -> (B, 256). The last batch normalisation is folded into the head."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 32, 3, 2, 1, bias=False),
            nn.PReLU(32),
            Stage(32, 32),
            Stage(32, 32),
            Stage(32, 64),
            Stage(64, 128),
            nn.Conv2d(128, 256, 4),
            nn.Flatten(),
        )


def load() -> Packaged:
    """MobileFace on the strict ArcFace crop."""
    return Packaged(
        "mobileface",
        112,
        MobileFace(),
        lambda face, size: template_transform(face, ARCFACE, size),
        mean=(127.5, 127.5, 127.5),
        scale=128,
    )
