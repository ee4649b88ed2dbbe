"""Transforms (2, 3) from the pixels of a crop to those of a photo."""

from __future__ import annotations

import numpy as np

from ...core.types import Array, Face

# The five points of the ArcFace crop (insightface), as fractions of its 112 pixel side.
ARCFACE: Array = (
    np.array(
        [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
    )
    + 0.5
) / 112


def umeyama(source: Array, target: Array) -> Array:
    """The similarity transform (2, 3) that takes points source (N, 2) nearest to target (N, 2).

    Least squares over rotation, scale and shift (Umeyama 1991).
    """
    centre, goal = source.mean(0), target.mean(0)
    a, b = source - centre, target - goal
    u, spread, v = np.linalg.svd(b.T @ a)
    turn = np.diag([1.0, np.sign(np.linalg.det(u @ v))])
    linear = (u @ turn @ v) * (spread * np.diag(turn)).sum() / (a**2).sum()
    return np.hstack([linear, (goal - linear @ centre)[:, None]])


def inverse(matrix: Array) -> Array:
    """The affine transform (2, 3) that undoes `matrix` (2, 3)."""
    linear = np.linalg.inv(matrix[:, :2]).astype(np.float64)
    return np.hstack([linear, -linear @ matrix[:, 2:]])


def template_transform(face: Face, template: Array, size: int) -> Array:
    """The transform (2, 3) from a crop of `size` pixels, in which the face's five points lie as in the
    template (5, 2) in fractions of the side, to the photo."""
    return inverse(umeyama(face.points, template * size - 0.5))


def box_transform(box: Array, margin: float, size: int, turn: int = 0) -> Array:
    """The transform (2, 3) from a crop of `size` pixels, upright around the face's box with `margin` times
    its longer side added on each side, to the photo."""
    side = float(max(box[2] - box[0], box[3] - box[1])) * (1 + 2 * margin)
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[turn]
    linear = side / size * np.array([[cos, -sin], [sin, cos]])
    middle = box.reshape(2, 2).mean(0) - 0.5
    return np.hstack([linear, (middle - linear @ np.full(2, (size - 1) / 2))[:, None]])


def square_transform(centre: Array, side: float, down: Array, size: int) -> Array:
    """The transform (2, 3) from a crop of `size` pixels, a square of a photo around `centre` (2,) whose lower
    side lies in the direction `down` (2,), to the photo."""
    y = down / np.linalg.norm(down)
    linear = side / size * np.array([[y[1], y[0]], [-y[0], y[1]]])
    return np.hstack([linear, (centre - linear @ np.full(2, (size - 1) / 2))[:, None]])


def from_crop(points: Array, to_photo: Array) -> Array:
    """Points (N, 2) as networks count them, from the corner of a crop, in pixels of the photo."""
    return (points - 0.5) @ to_photo[:, :2].T + to_photo[:, 2]
