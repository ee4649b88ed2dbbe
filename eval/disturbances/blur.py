"""A Gaussian blur."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from ...core.types import Pixels

SIGMA = 1.5  # pixels


def apply(pixels: Pixels) -> Pixels:
    """Blurred by 1.5 pixels."""
    return np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(SIGMA)))
