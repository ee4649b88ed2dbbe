"""A trip through a real codec."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from ...core.pillow import pixel_limit
from ...core.types import Pixels


def coded(pixels: Pixels, format: str, quality: int) -> Pixels:
    """Pixels (H, W, 3) as they come back from a file of a format and quality, with its usual options."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, format, quality=quality)
    with pixel_limit.lifted(), Image.open(file) as image:
        return np.array(image.convert("RGB"))
