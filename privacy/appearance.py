"""How a face appears, whoever it is, and has to stay: its skin, its expression, where its parts lie."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..attacks.networks import emotion, facemesh
from ..core.types import Face

FAINT = 1e-3  # features shorter than this are not scaled up to length 1


def directions(features: Tensor) -> Tensor:
    """Features (B, C, h, w), of length 1 at each point where they are not faint."""
    return features * features.square().sum(1, keepdim=True).clamp(min=FAINT**2).rsqrt()


def perceptual_distance(before: Sequence[Tensor], after: Sequence[Tensor]) -> Tensor:
    """The perceptual distance (B,) of two images, by `directions` (B, C, h, w) of a network's early features.

    LPIPS (Zhang et al. 2018, arXiv 1801.03924, equation 1) with equal weights: features of length 1, the
    mean of their squared distances over an image, the sum over layers.
    """
    pairs = zip(before, after, strict=True)
    return torch.stack([(a - b).square().sum(1).mean((1, 2)) for a, b in pairs]).sum(0)


class AppearancePenalty:
    """The penalty (1,) on an image (1, 3, H, W) that shows a face otherwise than the image before.

    Args:
        image: (1, 3, H, W) in [0, 1], before.
        face: as it lies in the image.
        perceptual: weight of the `perceptual_distance` of early features, which see spots and wrinkles on
            smooth skin.
        landmarks: weight of the mean squared displacement of 468 points, in squared eye distances.
        expression: weight of the Kullback-Leibler divergence of the probabilities of seven expressions.
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
        return penalties_together([self], [image])


def penalties_together(penalties: Sequence[AppearancePenalty], images: Sequence[Tensor]) -> Tensor:
    """The penalties (B,) on images (1, 3, H, W) of B faces, each by its own penalty, as calling it has them.

    Each network is asked once for all of them.

    Args:
        penalties: of the same weights.
    """
    first, faces = penalties[0], [one.face for one in penalties]
    total = images[0].new_zeros(len(images))
    if first.perceptual or first.landmarks:
        transforms = [facemesh.mesh_transform(face) for face in faces]
        points, features = facemesh.landmarks_together(images, transforms)
        before = [torch.cat(layer) for layer in zip(*(one.features for one in penalties), strict=True)]
        distance = perceptual_distance(before, [directions(one) for one in features])
        displacement = torch.cat(
            [(now - one.points) / one.face.eyes for now, one in zip(points, penalties, strict=True)]
        )
        total = total + first.perceptual * distance
        total = total + first.landmarks * displacement.square().sum(-1).mean(-1)
    if first.expression:
        log_probabilities = emotion.expressions_together(images, faces).clamp(min=1e-6).log()
        before = torch.cat([one.expressions for one in penalties])
        divergence = functional.kl_div(log_probabilities, before, reduction="none").sum(-1)
        total = total + first.expression * divergence
    return total
