"""The shift in colour, apart from brightness."""

from __future__ import annotations

import torch
from torch import Tensor

# ITU-R BT.601: how red, green and blue mix to the two chroma axes
CHROMA = torch.tensor([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def chroma(before: Tensor, after: Tensor) -> Tensor:
    """The root mean square shift of chroma between images (B, 3, H, W) in [0, 1] -> (B,), in 1/255."""
    shift = torch.einsum("bchw,kc->bkhw", after - before, CHROMA.to(before))
    return 255 * shift.square().mean((1, 2, 3)).sqrt()
