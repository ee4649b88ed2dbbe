"""A social platform, and somebody who shares the photo from there again."""

from __future__ import annotations

from ...core.types import Pixels
from .codec import coded
from .resize import to_side

LONGEST = 1080  # pixels that a platform keeps
SHARED = 0.75  # of the size, the second time


def apply(pixels: Pixels) -> Pixels:
    """At most 1080 pixels as JPEG 75, then three quarters of that as JPEG 70."""
    longest = min(max(pixels.shape[:2]), LONGEST)
    posted = coded(to_side(pixels, longest), "JPEG", 75)
    return coded(to_side(posted, round(longest * SHARED)), "JPEG", 70)
