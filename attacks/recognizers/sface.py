"""OpenCV Zoo's SFace (Zhong et al. 2021, arXiv:2205.12010): MobileNet with PReLU and a dense head."""

from __future__ import annotations

from torch import nn

from ..faces import ARCFACE, template_transform
from .base import Packaged, layer

# how many channels come out, and the stride
LEVELS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *5 * [(512, 1)], (1024, 2), (1024, 1))


class SFaceNet(nn.Sequential):
    """(B, 3, 112, 112) -> (B, 128). Batch normalisation is folded into the convolutions, as is the head's."""

    def __init__(self) -> None:
        layers = [layer(3, 32, 3)]
        inside = 32
        for outside, stride in LEVELS:
            layers += [layer(inside, inside, 3, stride, groups=inside), layer(inside, outside, 1)]
            inside = outside
        super().__init__(*layers, nn.Conv2d(1024, 128, 7), nn.Flatten())


def load() -> Packaged:
    """SFace on the strict ArcFace crop."""
    return Packaged(
        "sface",
        112,
        SFaceNet(),
        lambda face, size: template_transform(face, ARCFACE, size),
        mean=(127.5, 127.5, 127.5),
        scale=128,
    )
