"""Identity-preserving structure: the UNet's self-attention maps, captured, and how far they have moved.

Section 3.4 of the paper (arXiv 2503.10350). Maps are captured by attention processors of current diffusers;
the paper's own hook looks for a class that is gone since diffusers 0.10 and then captures nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .inversion import denoise
from .priors import Prior

TOKENS = 32 * 32  # larger maps are left out, as in the paper


class Capture:
    """An attention processor that keeps the maps (B * heads, tokens, tokens) of self-attention."""

    def __init__(self, maps: list[Tensor]) -> None:
        self.maps = maps

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Plain attention (Vaswani et al. 2017) as diffusers' transformer blocks call it."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            attn.head_to_batch_dim(project(states))
            for project, states in (
                (attn.to_q, hidden_states),
                (attn.to_k, context),
                (attn.to_v, context),
            )
        )
        maps = attn.get_attention_scores(query, key, attention_mask)
        if encoder_hidden_states is None and maps.shape[-1] <= TOKENS:
            self.maps.append(maps)
        mixed = attn.batch_to_head_dim(torch.bmm(maps, value))
        return attn.to_out[1](attn.to_out[0](mixed))


@contextmanager
def attention_maps(prior: Prior) -> Generator[list[Tensor]]:
    """Capture the self-attention maps of every call of the UNet inside; the processors are put back after."""
    maps: list[Tensor] = []
    before = prior.unet.attn_processors
    capture: Any = Capture(maps)  # diffusers' own type is a closed list of its processors
    prior.unet.set_attn_processor(capture)
    try:
        yield maps
    finally:
        prior.unet.set_attn_processor(before)


def denoise_with_maps(
    prior: Prior, latent: Tensor, timesteps: Sequence[int], embeddings: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """`denoise`, and the self-attention maps of all steps and layers on the way."""
    with attention_maps(prior) as maps:
        return denoise(prior, latent, timesteps, embeddings), maps


def distance(maps: Sequence[Tensor], original: Sequence[Tensor]) -> Tensor:
    """How far attention maps have moved from the original's: the sum of mean squared differences, ()."""
    pairs = zip(maps, original, strict=True)
    return sum((functional.mse_loss(map_, own) for map_, own in pairs), torch.zeros(()))
