"""The 5x5 mean filter of arXiv 2503.10350, table 5."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from ...core.types import Pixels


def apply(pixels: Pixels) -> Pixels:
    """Each pixel becomes the mean of the 5x5 around it."""
    return np.array(Image.fromarray(pixels).filter(ImageFilter.BoxBlur(2)))
