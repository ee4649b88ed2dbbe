"""Faceplugin's MobileFaceNet (Chen et al. 2018, arXiv:1804.07573), from the vendor's free SDK."""

from __future__ import annotations

from torch import nn

from ..faces.transforms import ARCFACE, template_transform
from .base import Packaged, conv_prelu
from .mobilefacenet import bottlenecks


class FacePluginNet(nn.Sequential):
    """(B, 3, 112, 112) -> (B, 512). Batch normalisation is folded into the convolutions."""

    def __init__(self) -> None:
        super().__init__(
            conv_prelu(3, 64, 3, 2),
            conv_prelu(64, 64, 3, groups=64),
            *bottlenecks(conv_prelu),
            nn.Conv2d(512, 512, 7, groups=512),
            nn.Conv2d(512, 512, 1),
            nn.Flatten(),
        )


def load() -> Packaged:
    """Faceplugin's network, aligned by the ArcFace template."""
    return Packaged(
        "faceplugin",
        112,
        FacePluginNet(),
        lambda face, size: template_transform(face, ARCFACE, size),
        mean=(127.0, 127.0, 127.0),
        scale=128,
    )
