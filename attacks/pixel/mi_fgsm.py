"""MI-FGSM: iterated fast gradient sign with momentum (Dong et al., arXiv 1710.06081)."""

from __future__ import annotations

from torch import Tensor

from ...core.types import Objective, Steps
from . import Budget, descend, momentum


def attack(image: Tensor, objective: Objective, budget: Budget) -> Steps[Tensor]:
    """Along the sign of the gradients' running sum."""
    collected = momentum()
    return (yield from descend(image, objective, budget, lambda gradient: collected(gradient).sign()))
