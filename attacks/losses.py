"""What an attack wants of cosines between faces and an identity: (B,) -> (B,), lower is better."""

from __future__ import annotations

from torch import Tensor


def dodge(own: Tensor, stranger: float = 0.0) -> Tensor:
    """Away from the person: the cosine to the person's own clean embedding, beyond that of a stranger."""
    return own - stranger


def impersonate(target: Tensor) -> Tensor:
    """Towards another person: the cosine distance to the target's embedding (eq. 1 of arXiv 2503.10350)."""
    return 1 - target
