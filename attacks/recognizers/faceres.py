"""HSE-FaceRec's MobileNetV1 trunk, with the weights of two models (Savchenko 2019, arXiv:1807.07718).

Both models share one trunk: what defeats one defeats the other, as their cards state.
"""

from __future__ import annotations

from torch import nn

from ..faces.transforms import box_transform
from .base import Packaged, SameConv


def _conv_relu6(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(SameConv(in_channels, out_channels, kernel, stride, groups=groups), nn.ReLU6())


class MobileNet(nn.Sequential):
    """(B, 3, 224, 224) -> (B, 1024), averaged over the last layer (Howard et al. 2017, arXiv:1704.04861)."""

    # output channels of the pointwise convolutions, strides of the depthwise convolutions before them
    STAGES = (
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        *((512, 1),) * 5,
        (1024, 2),
        (1024, 1),
    )

    def __init__(self) -> None:
        layers = [_conv_relu6(3, 32, 3, 2)]
        in_channels = 32
        for out_channels, stride in self.STAGES:
            layers += [
                _conv_relu6(in_channels, in_channels, 3, stride, groups=in_channels),
                _conv_relu6(in_channels, out_channels, 1),
            ]
            in_channels = out_channels
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _load(name: str) -> Packaged:
    return Packaged(
        name,
        224,
        MobileNet(),
        lambda face, size: box_transform(face.box, 0.0, size, face.turn),
        mean=(103.939, 116.779, 123.68),
        bgr=True,
    )


def load() -> Packaged:
    """The stronger of the two siblings."""
    return _load("faceres")


def load_deep() -> Packaged:
    """The weaker of the two siblings."""
    return _load("faceres-deep")
