"""Projected gradient descent (Madry et al., arXiv 1706.06083)."""

from __future__ import annotations

import torch
from torch import Tensor

from ...core.types import Objective, Steps
from . import Budget, descend


def attack(image: Tensor, objective: Objective, budget: Budget) -> Steps[Tensor]:
    """Along the gradient's sign, from anywhere within the budget."""
    return (yield from descend(image, objective, budget, torch.sign, random_start=1.0))
