"""Find faces and five points with MTCNN, and cut differentiable, aligned crops out of images."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ..core.errors import NoFace
from ..core.types import Array, Face, Pixels

if TYPE_CHECKING:
    from facenet_pytorch import MTCNN

SMALLEST = 48.0  # pixels: the shorter side of a face that is worth protecting
COARSE = 1600  # pixels: the longer side of the copy on which faces are looked for first
REFINED = 200.0  # pixels: the side to which a face of a larger photo is scaled to find its points again

# The five points of the ArcFace crop (insightface), as fractions of its 112 pixel side.
ARCFACE: Array = (
    np.array(
        [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
    )
    + 0.5
) / 112


@lru_cache
def _mtcnn(smallest: int) -> MTCNN:
    from facenet_pytorch import MTCNN

    return MTCNN(keep_all=True, min_face_size=smallest, device="cpu")


def _detect(pixels: Pixels, smallest: float) -> list[Face]:
    """All faces of at least `smallest` pixels in pixels (H, W, 3), the most certain first."""
    found: Any = _mtcnn(max(12, round(smallest))).detect(Image.fromarray(pixels), landmarks=True)
    boxes, scores, points = found
    if boxes is None:
        return []
    faces = [
        Face(np.asarray(box, float), np.asarray(five, float), float(score))
        for box, five, score in zip(boxes, points, scores, strict=True)
    ]
    return sorted(faces, key=lambda face: -face.score)


def _overlap(a: Array, b: Array) -> float:
    """Intersection over union of two boxes."""
    wide, high = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(wide, 0.0) * max(high, 0.0)
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


def _refine(pixels: Pixels, coarse: Face) -> Face:
    """Find a face again in the full photo, scaled to a comfortable size; the coarse one where that fails."""
    high, wide = pixels.shape[:2]
    middle, reach = coarse.box.reshape(2, 2).mean(0), coarse.side * 1.2
    left, top = np.clip(middle - reach, 0, None).astype(int)
    right, bottom = np.minimum(np.ceil(middle + reach), (wide, high)).astype(int)
    scale = REFINED / coarse.side
    part = Image.fromarray(pixels[top:bottom, left:right])
    if scale < 1:
        part = part.resize(
            (max(1, round(part.width * scale)), max(1, round(part.height * scale))), Image.Resampling.BOX
        )
    scale = part.width / (right - left)
    found = [
        face.moved(1 / scale, float(left), float(top))
        for face in _detect(np.asarray(part), coarse.side * scale / 2)
    ]
    best = max(found, key=lambda face: _overlap(face.box, coarse.box), default=coarse)
    return best if _overlap(best.box, coarse.box) > 0.5 else coarse


def find_faces(pixels: Pixels, smallest: float = 20.0) -> list[Face]:
    """Find every face of at least `smallest` pixels in an upright photo (H, W, 3), the largest first.

    Large photos are searched on a copy of 1600 pixels; each face found there is found again in full detail.
    """
    high, wide = pixels.shape[:2]
    scale = min(1.0, COARSE / max(high, wide))
    if scale == 1.0:
        faces = _detect(pixels, smallest)
    else:
        size = max(1, round(wide * scale)), max(1, round(high * scale))
        copy = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
        back = wide / size[0]
        faces = [_refine(pixels, face.moved(1 / scale, 0.0, 0.0)) for face in _detect(copy, smallest / back)]
    return sorted(faces, key=lambda face: -face.side)


def largest_face(pixels: Pixels) -> Face:
    """The largest face of a photo.

    Raises:
        NoFace: the photo shows none.
    """
    faces = find_faces(pixels)
    if not faces:
        raise NoFace(
            "No face was found.", "Try a photo that shows the face larger, upright or in better light."
        )
    return faces[0]


def similarity(source: Array, target: Array) -> Array:
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


def fit(face: Face, template: Array, size: int) -> Array:
    """The transform (2, 3) from a crop of `size` pixels, in which the face's five points lie as in the
    template (5, 2) in fractions of the side, to the photo."""
    return inverse(similarity(face.points, template * size - 0.5))


def square(face: Face, margin: float, size: int) -> Array:
    """The transform (2, 3) from a crop of `size` pixels, upright around the face's box with `margin` times
    its longer side added on each side, to the photo."""
    side = float(max(face.box[2] - face.box[0], face.box[3] - face.box[1])) * (1 + 2 * margin)
    corner = face.box.reshape(2, 2).mean(0) - side / 2
    scale = side / size
    shift = corner + (scale - 1) / 2
    return np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])


def warp(image: Tensor, to_image: Array, size: int, padding: str = "zeros") -> Tensor:
    """Cut square crops (B, C, S, S) out of image (B, C, H, W), differentiably.

    `to_image` (2, 3) maps crop pixels to image pixels. Only the part of the image under the crop is read,
    and it is reduced with antialiasing first where the crop is coarser than the image. `padding` is what
    lies outside of the image: "zeros" or "border".
    """
    high, wide = image.shape[-2:]
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]]) - 0.5
    reach = corners @ to_image[:, :2].T + to_image[:, 2]
    scale = float(np.sqrt(abs(np.linalg.det(to_image[:, :2]))))
    low = np.clip(np.floor(reach.min(0) - 2 * scale - 1), 0, (wide - 1, high - 1)).astype(int)
    top = np.clip(np.ceil(reach.max(0) + 2 * scale + 2), low + 1, (wide, high)).astype(int)
    part = image[..., low[1] : top[1], low[0] : top[0]]
    linear, shift = to_image[:, :2], to_image[:, 2] - low
    if scale > 1:
        old = np.array([part.shape[-1], part.shape[-2]])
        new = np.maximum(1, np.round(old / scale)).astype(int)
        part = functional.interpolate(
            part, size=(int(new[1]), int(new[0])), mode="bilinear", antialias=True, align_corners=False
        )
        ratio = new / old
        linear, shift = linear * ratio[:, None], (shift + 0.5) * ratio - 0.5
    steps = torch.arange(size, dtype=image.dtype, device=image.device)
    rows, columns = torch.meshgrid(steps, steps, indexing="ij")
    extent = part.shape[-1], part.shape[-2]
    grid = torch.stack(
        [
            ((linear[i, 0] * columns + linear[i, 1] * rows + shift[i]) * 2 + 1) / extent[i] - 1
            for i in range(2)
        ],
        dim=-1,
    )
    return sampled(part, grid, "bilinear", padding)


def sampled(image: Tensor, grid: Tensor, mode: str, padding: str) -> Tensor:
    """Read images (B, C, h, w) at the places of a grid (H, W, 2) as `grid_sample` counts them: (B, C, H, W).

    torch shares this work among threads by the images of a batch, hence the upper and the lower half as two.
    """
    high = len(grid)
    halves = functional.pad(grid, (0, 0, 0, 0, 0, high % 2)).unflatten(0, (2, -1))
    twice = image.expand(2, *image.shape).flatten(0, 1)
    places = halves[:, None].expand(-1, len(image), -1, -1, -1).flatten(0, 1)
    read = functional.grid_sample(twice, places, mode, padding, align_corners=False)
    return read.unflatten(0, (2, -1)).permute(1, 2, 0, 3, 4).flatten(2, 3)[..., :high, :]
