"""JPEG, with its usual halved chroma."""

from __future__ import annotations

from ...core.types import Pixels
from .codec import coded


def quality_90(pixels: Pixels) -> Pixels:
    """As good cameras write it."""
    return coded(pixels, "JPEG", 90)


def quality_75(pixels: Pixels) -> Pixels:
    """As most programs write it."""
    return coded(pixels, "JPEG", 75)


def quality_50(pixels: Pixels) -> Pixels:
    """Visibly poor."""
    return coded(pixels, "JPEG", 50)
