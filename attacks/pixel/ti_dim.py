"""TI-DIM: translation-invariant attack (Dong et al., arXiv 1904.02884) with diverse inputs (1803.06978)."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional

from ...core.types import Objective, Steps
from . import Budget, descend, momentum

KERNEL, SIGMA = 15, 3.0  # of the gradient's blur
SMALLEST, CHANCE = 0.9, 0.7  # of the diverse inputs: how small at least, and how often


def attack(image: Tensor, objective: Objective, budget: Budget) -> Steps[Tensor]:
    """MI-FGSM on blurred gradients of an image that is resampled at random."""
    collected = momentum()

    def direction(gradient: Tensor) -> Tensor:
        return collected(blurred(gradient)).sign()

    return (yield from descend(image, objective, budget, direction, input_transform=diverse))


def diverse(image: Tensor, generator: Generator) -> Tensor:
    """Mostly resampled through a smaller copy.

    The original leaves the copy smaller, somewhere on black. Our recognisers find the face by its points, so
    that a copy moved elsewhere would only be misaligned: what stays is the resampling.
    """
    chance, share = torch.rand(2, generator=generator).tolist()
    if chance > CHANCE:
        return image
    size = [round(side * (SMALLEST + (1 - SMALLEST) * share)) for side in image.shape[-2:]]
    small = functional.interpolate(image, size=size, mode="bilinear", align_corners=False)
    return functional.interpolate(small, size=image.shape[-2:], mode="bilinear", align_corners=False)


def blurred(gradient: Tensor) -> Tensor:
    """A gradient (1, 3, H, W) under a Gaussian: what it would be, averaged over small shifts."""
    steps = torch.arange(KERNEL, dtype=gradient.dtype) - KERNEL // 2
    row = torch.exp(-(steps**2) / (2 * SIGMA**2))
    row = (row / row.sum()).to(gradient)
    for shape in ((1, 1, KERNEL, 1), (1, 1, 1, KERNEL)):
        kernel = row.reshape(shape).expand(gradient.shape[1], -1, -1, -1)
        gradient = functional.conv2d(gradient, kernel, padding="same", groups=gradient.shape[1])
    return gradient
