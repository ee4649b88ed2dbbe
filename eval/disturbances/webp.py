"""WebP, as web sites convert to it."""

from __future__ import annotations

from ...core.types import Pixels
from .codec import coded


def quality_75(pixels: Pixels) -> Pixels:
    """Lossy, of quality 75."""
    return coded(pixels, "WEBP", 75)
