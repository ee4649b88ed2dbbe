"""MediaPipe's blendshapes: 52 numbers for what a face does, an offline stand-in for facial action units.

They are read from 146 points of `irismesh`, by an MLP-Mixer (Tolstikhin et al. 2021, arXiv:2105.01601).
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from ..recognizers.base import load_network

# fmt: off
SUBSET = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70,
    78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149,
    150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195,
    197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300,
    308, 310, 311, 312, 314, 317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375,
    377, 378, 379, 380, 381, 382, 384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454,
    466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
)  # which points
NAMES = (
    "neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft",
    "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight",
    "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight",
    "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthFunnel", "mouthLeft", "mouthLowerDownLeft",
    "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)  # left and right are the person's own; "neutral" says nothing
# fmt: on


class Norm(nn.Module):
    """Layer normalisation without a bias."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, input: Tensor) -> Tensor:
        return nn.functional.layer_norm(input, self.weight.shape, self.weight, eps=1e-6)


def _mlp(size: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, size))


class Mixer(nn.Module):
    """Mixes tokens (B, 97, 64), then their channels."""

    def __init__(self) -> None:
        super().__init__()
        self.token_norm, self.tokens = Norm(64), _mlp(97, 384)
        self.channel_norm, self.channels = Norm(64), _mlp(64, 256)

    def forward(self, input: Tensor) -> Tensor:
        input = input + self.tokens(self.token_norm(input).mT).mT
        return input + self.channels(self.channel_norm(input))


class Blendshapes(nn.Module):
    """Points (B, 146, 2), of any place and size -> (B, 52) in [0, 1], which `NAMES` names."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.channels = nn.Linear(146, 96), nn.Linear(2, 64)
        self.first = nn.Parameter(torch.zeros(1, 64))  # the token from which the answer is read
        self.mixers = nn.Sequential(*(Mixer() for _ in range(4)))
        self.head = nn.Linear(64, 52)

    def forward(self, points: Tensor) -> Tensor:
        centred = points - points.mean(1, keepdim=True)
        scaled = 0.5 * centred / centred.norm(dim=2, keepdim=True).mean(1, keepdim=True)
        tokens = self.channels(self.tokens(scaled.mT).mT)
        first = self.first.expand(len(tokens), 1, 64)
        return self.head(self.mixers(torch.cat([first, tokens], 1))[:, 0]).sigmoid()


@cache
def network() -> Blendshapes:
    """The network, loaded once. Its weights are packaged: one for all stores."""
    return load_network("blendshapes", Blendshapes())


def blendshapes(points: Tensor) -> Tensor:
    """The blendshapes (B, 52) of the points (B, 478, 2 or 3) of `irismesh`, in pixels."""
    return network()(points[:, SUBSET, :2])
