"""Attention of a prior's UNet that can be looked into: section 3.4 of arXiv 2503.10350 needs its maps.

A prior's UNet has this processor from the start, so that nothing is patched while it works, and so that what
is computed again for the backward pass (gradient checkpointing) is what was computed before. The paper's own
hook looks for a class that is gone since diffusers 0.10 and then captures nothing.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor

TOKENS = 32 * 32  # larger maps are left out, as in the paper

_maps: ContextVar[list[Tensor] | None] = ContextVar("maps", default=None)


@contextmanager
def recorded() -> Generator[list[Tensor]]:
    """The self-attention maps (B * heads, tokens, tokens) of every call of a prior's UNet inside."""
    maps: list[Tensor] = []
    before = _maps.set(maps)
    try:
        yield maps
    finally:
        _maps.reset(before)


class Attention(AttnProcessor2_0):
    """Plain attention (Vaswani et al. 2017) where there are maps to keep, torch's own kernel elsewhere."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Attend as diffusers' transformer blocks ask for it: (B, tokens, width) -> the same shape."""
        if encoder_hidden_states is not None or hidden_states.shape[1] > TOKENS:
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        query, key, value = (
            attn.head_to_batch_dim(project(hidden_states)) for project in (attn.to_q, attn.to_k, attn.to_v)
        )
        maps = attn.get_attention_scores(query, key, attention_mask)
        kept = _maps.get()
        if kept is not None:
            kept.append(maps)
        mixed = attn.batch_to_head_dim(torch.bmm(maps, value))
        return attn.to_out[1](attn.to_out[0](mixed))
