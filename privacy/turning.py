"""A face as it is seen from elsewhere: the head turned and nodding, by the depth of its points."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch.nn import functional

from ..attacks.faces.detection import find_faces
from ..attacks.networks import irismesh
from ..attacks.networks.facemesh import OVAL
from ..core.images import to_pixels, to_tensor
from ..core.types import Array, Pixels
from .mesh_placement import drawn_by_triangles, triangulated

MESH = 468  # points of the face; those of the irises follow
REACH = 1.7  # how far around the face what is behind it moves along, in distances from its middle
BEHIND = 0.35  # how much of the outline's own move


def turned(pixels: Pixels, turn: float, nod: float) -> Pixels:
    """A portrait (H, W, 3) with the head turned to the right of the picture and bowed by so many degrees.

    The picture is warped between the points of the face mesh as they lie after the rotation, and the ring
    around them; its border stays. What the camera did not see stays unseen, so that angles over about 30
    degrees look drawn out. Where no face is found it stays as it is.
    """
    image, faces = to_tensor(pixels), find_faces(pixels)
    if not faces:
        return pixels
    first = irismesh.mesh(image, irismesh.first_crop(faces[0]))
    old = irismesh.mesh(image, irismesh.next_crop(first.points)).points[:MESH]
    new = _rotated(old, turn, nod)
    outline, moves = old[list(OVAL), :2], (new - old)[list(OVAL), :2]
    ring = old[:, :2].mean(0) + REACH * (outline - old[:, :2].mean(0))
    high, wide = pixels.shape[:2]
    inside = ((ring > 0) & (ring < (wide - 1, high - 1))).all(1)
    border = np.array([(x, y) for x in (0, wide / 2, wide - 1) for y in (0, high / 2, high - 1)])
    border = np.delete(border, 4, 0)  # the middle
    source = np.concatenate([old[:, :2], ring[inside], border])
    points = np.concatenate([new[:, :2], (ring + BEHIND * moves)[inside], border])
    values = np.column_stack([(source * 2 + 1) / (wide, high) - 1, np.ones(len(source))])
    grid = drawn_by_triangles(points, values, triangulated(source), (wide, high))
    nearest = np.zeros((2, high, wide), np.int32)
    distance_transform_edt(grid[..., 2] < 0.5, return_distances=False, return_indices=True, indices=nearest)
    seen = torch.from_numpy(grid[..., :2][nearest[0], nearest[1]])[None]
    warped = functional.grid_sample(image, seen, "bicubic", "border", align_corners=False)
    return to_pixels(warped.clamp(0, 1))


def _rotated(points: Array, turn: float, nod: float) -> Array:
    """Points (N, 3) rotated about their middle: about the vertical, then about the horizontal."""
    a, b = np.radians([-turn, nod])
    about_vertical = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_horizontal = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    middle = points.mean(0)
    return (points - middle) @ (about_horizontal @ about_vertical).T + middle
