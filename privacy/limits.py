"""How much may change: penalties on a crop's change, in units of [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

# ITU-R BT.601: how red, green and blue mix to the two chroma axes
CHROMA = torch.tensor([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def change_energy(change: Tensor) -> Tensor:
    """The mean square of a change (B, 3, H, W): (B,)."""
    return change.square().mean((1, 2, 3))


def chroma_energy(change: Tensor) -> Tensor:
    """The mean square of a change's shift in colour (B, 3, H, W): (B,)."""
    return torch.einsum("bchw,kc->bkhw", change, CHROMA.to(change)).square().mean((1, 2, 3))
