"""Identity-preserving structure: the distance of self-attention maps (section 3.4 of arXiv 2503.10350)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from .attention import recorded
from .inversion import denoise
from .priors import Prior


def denoise_with_maps(
    prior: Prior, latent: Tensor, timesteps: Sequence[int], embeddings: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """`denoise`, and the self-attention maps (B * heads, tokens, tokens) of all its steps and layers."""
    with recorded() as maps:
        return denoise(prior, latent, timesteps, embeddings), maps


def attention_distance(maps: Sequence[Tensor], original: Sequence[Tensor], faces: int = 1) -> Tensor:
    """The structure loss (faces,): the sum over layers and steps of maps' mean squared difference.

    Args:
        maps, original: (faces * heads, tokens, tokens) of each layer and step.
        faces: how many crops went through the prior together.
    """
    pairs = zip(maps, original, strict=True)
    errors = (functional.mse_loss(map_.float(), own.float(), reduction="none") for map_, own in pairs)
    return sum((error.reshape(faces, -1).mean(1) for error in errors), torch.zeros(()))
