"""A screenshot: the photo as a phone's screen shows it, saved again."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ...core.types import Pixels
from .codec import coded
from .resize import to_side

SCREEN = 828  # pixels
MARGIN = 0.1  # of the photo's sides: what else is on the screen


def apply(pixels: Pixels) -> Pixels:
    """Fitted to 828 pixels by bilinear scaling, on a dark page, saved as a JPEG of quality 85."""
    shown = Image.fromarray(pixels)
    scale = SCREEN / max(shown.size)
    size = round(shown.width * scale), round(shown.height * scale)
    shown = shown.resize(size, Image.Resampling.BILINEAR)
    border = round(MARGIN * SCREEN)
    page = Image.new("RGB", (size[0] + 2 * border, size[1] + 2 * border), (18, 18, 18))
    page.paste(shown, (border, border))
    return to_side(coded(np.array(page), "JPEG", 85), round(max(pixels.shape[:2]) * (1 + 2 * MARGIN)))
