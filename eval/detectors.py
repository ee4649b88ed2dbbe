"""Ways to find faces other than ours, since an adversary has its own; and which face is which afterwards.

A benchmark names one among its disturbances; the photo stays as it is, but the faces in it, and in the photos
with which it is compared, are found and aligned by that detector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from ..core.registry import Registry
from ..core.types import Face, Pixels

Detector: TypeAlias = "Callable[[Pixels], list[Face]]"  # (H, W, 3) -> faces, the largest first

DETECTORS: Registry[Detector] = Registry(
    "detector", {"blazeface": "veil.attacks.networks.blazeface:find_faces"}
)


def same_place(face: Face, others: Sequence[Face]) -> Face | None:
    """The face among `others` that lies where `face` does: its points within half a face, on average."""

    def distance(other: Face) -> float:
        return float(np.linalg.norm(other.points - face.points, axis=1).mean())

    nearest = min(others, key=distance, default=None)
    return nearest if nearest and distance(nearest) < face.side / 2 else None
