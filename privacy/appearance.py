"""What is seen in a face besides whose it is, and has to stay: skin, expression, and where its parts lie."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..attacks.networks import emotion, facemesh
from ..core.types import Face

FAINT = 1e-3  # features shorter than this are not drawn out to length 1


def directions(features: Tensor) -> Tensor:
    """Features (B, C, h, w), of length 1 at each point where they are not faint."""
    return features * features.square().sum(1, keepdim=True).clamp(min=FAINT**2).rsqrt()


def distance(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    """How differently a network's early features see two images, by their `directions` (B, C, h, w): (B,).

    LPIPS (Zhang et al. 2018, arXiv 1801.03924, equation 1) with equal weights: features of length 1, the
    mean of their squared distances over an image, the sum over layers.
    """
    pairs = zip(before, after, strict=True)
    return torch.stack([(a - b).square().sum(1).mean((1, 2)) for a, b in pairs]).sum(0)


class AppearancePenalty:
    """What it costs, (1,), that an image (1, 3, H, W) shows a face otherwise than the image before.

    perceptual: for the `distance` of early features, which see spots and wrinkles on smooth skin.
    landmarks: for the mean square of how far 468 points have moved, in distances of the eyes.
    expression: for the Kullback-Leibler divergence of the probabilities of seven expressions.
    """

    def __init__(
        self, image: Tensor, face: Face, perceptual: float, landmarks: float, expression: float
    ) -> None:
        self.face, self.perceptual, self.landmarks, self.expression = face, perceptual, landmarks, expression
        with torch.no_grad():
            self.points, features = facemesh.landmarks_and_features(image, face)
            self.features = [directions(one) for one in features]
            self.expressions = emotion.expression(image, face)

    def __call__(self, image: Tensor) -> Tensor:
        cost = image.new_zeros(1)
        if self.perceptual or self.landmarks:
            points, features = facemesh.landmarks_and_features(image, self.face)
            moved = (points - self.points) / self.face.eyes
            cost = cost + self.perceptual * distance(self.features, [directions(one) for one in features])
            cost = cost + self.landmarks * moved.square().sum(-1).mean(-1)
        if self.expression:
            now = emotion.expression(image, self.face).clamp(min=1e-6).log()
            diverged = functional.kl_div(now, self.expressions, reduction="none").sum(-1)
            cost = cost + self.expression * diverged
        return cost
