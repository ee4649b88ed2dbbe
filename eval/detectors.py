"""Ways to find faces other than ours: an adversary has its own.

A benchmark names one among its disturbances; the photo stays as it is, but the faces in it, and in the photos
with which it is compared, are found and aligned by that detector.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ..core.registry import Registry
from ..core.types import Face, Pixels

Detector: TypeAlias = "Callable[[Pixels], list[Face]]"  # (H, W, 3) -> faces, the largest first

DETECTORS: Registry[Detector] = Registry(
    "detector", {"blazeface": "veil.attacks.networks.blazeface:find_faces"}
)
