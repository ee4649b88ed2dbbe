"""Small pictures for the page: copies to show, and the change made visible."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from ...core.types import Photo, Pixels

COPY_SIDE = 1280  # pixels: the longer side of the copy on which faces are chosen
SMALL_SIDE = 320  # pixels: of one that is shown beside another in a row of a table
AMPLIFIED = 8  # how often the change is multiplied to be seen


def show_copy(photo: Photo, path: Path, side: int = COPY_SIDE) -> Path:
    """Write a small copy of a photo, without metadata; returns its path."""
    image = Image.fromarray(photo.pixels)
    image.thumbnail((side, side))
    image.save(path, "JPEG", quality=88)
    return path


def small_copy(photo: Photo, part: Sequence[int], path: Path) -> Path:
    """Write a small copy of a part (left, top, right, bottom) of a photo, without metadata; returns its
    path."""
    left, top, right, bottom = part
    return show_copy(Photo(photo.pixels[top:bottom, left:right], photo.name), path, SMALL_SIDE)


def amplified(before: Pixels, after: Pixels) -> Pixels:
    """The change (H, W, 3) around mid-grey, `AMPLIFIED` times as strong: plain grey has not changed."""
    change = after.astype(np.int16) - before.astype(np.int16)
    return np.clip(128 + AMPLIFIED * change, 0, 255).astype(np.uint8)


def embedded(pixels: Pixels, side: int = 400) -> str:
    """A picture (H, W, 3), of at most `side` pixels a side, as a data URI: a preview that needs no file."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + b64encode(buffer.getvalue()).decode()
