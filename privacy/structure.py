"""Identity-preserving structure: how far self-attention maps have moved (section 3.4 of the paper)."""

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
    """`denoise`, and the self-attention maps of all steps and layers on the way."""
    with recorded() as maps:
        return denoise(prior, latent, timesteps, embeddings), maps


def distance(maps: Sequence[Tensor], original: Sequence[Tensor], faces: int = 1) -> Tensor:
    """How far the attention maps of some faces have moved from the originals': the sum of mean squared
    differences (faces,)."""
    pairs = zip(maps, original, strict=True)
    moved = (functional.mse_loss(map_.float(), own.float(), reduction="none") for map_, own in pairs)
    return sum((one.reshape(faces, -1).mean(1) for one in moved), torch.zeros(()))
