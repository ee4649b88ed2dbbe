"""How much may change: penalties on a crop's change, in units of [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# ITU-R BT.601: how red, green and blue mix to the two chroma axes
CHROMA = torch.tensor([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


SMOOTH = 0.03  # local contrast, in [0, 1], at which a change counts half as much as on a smooth area
WINDOW = 7  # pixels


def visibility(image: Tensor) -> Tensor:
    """How visible a change is at each place of an image (B, 3, H, W): (B, 1, H, W), 1 on average.

    Texture masks changes and smooth skin shows them (contrast masking, Legge & Foley 1980): the weight falls
    with the local standard deviation of the brightness.
    """
    bright = functional.pad(image.mean(1, keepdim=True), (WINDOW // 2,) * 4, mode="replicate")
    mean, square = (functional.avg_pool2d(part, WINDOW, 1) for part in (bright, bright.square()))
    weight = 1 / (1 + (square - mean.square()).clamp(min=0).sqrt() / SMOOTH)
    return weight / weight.mean((1, 2, 3), keepdim=True)


def change_energy(change: Tensor) -> Tensor:
    """The mean square of a change (B, 3, H, W): (B,)."""
    return change.square().mean((1, 2, 3))


def chroma_energy(change: Tensor) -> Tensor:
    """The mean square of a change's shift in colour (B, 3, H, W): (B,)."""
    return torch.einsum("bchw,kc->bkhw", change, CHROMA.to(change)).square().mean((1, 2, 3))
