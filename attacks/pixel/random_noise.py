"""Noise that aims at nothing: each value up or down by the whole budget."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ...core.types import Objective, Stage, Step, Steps
from . import Budget


def attack(image: Tensor, objective: Objective, budget: Budget) -> Steps[Tensor]:
    """As large as any attack within the budget can be."""
    yield Step(Stage.PROTECTING, 1, 1)
    signs = torch.rand(image.shape, generator=Generator().manual_seed(budget.seed)).round() * 2 - 1
    return (image + budget.epsilon * signs.to(image)).clamp(0, 1) - image
