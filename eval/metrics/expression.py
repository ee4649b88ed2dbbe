"""Whether a face still wears the expression that it wore."""

from __future__ import annotations

import torch
from torch import Tensor

from ...attacks.networks import emotion
from ...core.types import Face


@torch.no_grad()
def expression(before: Tensor, after: Tensor, face: Face) -> Tensor:
    """Whether the most likely of seven expressions is the same in images (B, 3, H, W) -> (B,), 1 or 0.

    Both are read where the face lies in the image before.
    """
    old, new = (emotion.expression(image, face).argmax(1) for image in (before, after))
    return (old == new).float()
