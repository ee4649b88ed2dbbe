"""What is read in a face besides whose it is, and has to stay: its expression, and where its parts lie."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..attacks.networks import emotion, facemesh
from ..core.types import Face


class Looks:
    """What it costs, (1,), that an image (1, 3, H, W) shows a face otherwise than the image before.

    landmarks: for the mean square of how far 468 points have moved, in distances of the eyes.
    expression: for the Kullback-Leibler divergence of the probabilities of seven expressions.
    """

    def __init__(self, image: Tensor, face: Face, landmarks: float, expression: float) -> None:
        self.face, self.landmarks, self.expression = face, landmarks, expression
        with torch.no_grad():
            self.points = facemesh.points(image, face)
            self.expressions = emotion.expression(image, face)

    def __call__(self, image: Tensor) -> Tensor:
        cost = image.new_zeros(1)
        if self.landmarks:
            moved = (facemesh.points(image, self.face) - self.points) / self.face.eyes
            cost = cost + self.landmarks * moved.square().sum(-1).mean(-1)
        if self.expression:
            now = emotion.expression(image, self.face).clamp(min=1e-6).log()
            diverged = functional.kl_div(now, self.expressions, reduction="none").sum(-1)
            cost = cost + self.expression * diverged
        return cost
