"""OpenCV Zoo's SFace (Zhong et al. 2021, arXiv:2205.12010): MobileNet with PReLU, fully connected head."""

from __future__ import annotations

from torch import nn

from ..faces.transforms import ARCFACE, template_transform
from .base import Packaged, conv_prelu

# output channels, stride
STAGES = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *5 * [(512, 1)], (1024, 2), (1024, 1))


class SFaceNet(nn.Sequential):
    """(B, 3, 112, 112) -> (B, 128). All batch normalisation is folded into the convolutions."""

    def __init__(self) -> None:
        layers = [conv_prelu(3, 32, 3)]
        in_channels = 32
        for out_channels, stride in STAGES:
            layers += [
                conv_prelu(in_channels, in_channels, 3, stride, groups=in_channels),
                conv_prelu(in_channels, out_channels, 1),
            ]
            in_channels = out_channels
        super().__init__(*layers, nn.Conv2d(1024, 128, 7), nn.Flatten())


def load() -> Packaged:
    """SFace, aligned by the ArcFace template."""
    return Packaged(
        "sface",
        112,
        SFaceNet(),
        lambda face, size: template_transform(face, ARCFACE, size),
        mean=(127.5, 127.5, 127.5),
        scale=128,
    )
