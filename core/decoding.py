"""What Pillow cannot tell of a file, or reads as black: deep TIFFs, and how large a JPEG XL is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tifffile import PHOTOMETRIC, TiffFile, TiffFileError, TiffPage

from .types import Pixels

DEPTHS = (8, 10, 12, 14, 16)  # bits of what cameras and scanners store in 16
ROWS = 256  # of an image that are numbers at a time
GREY_OR_RGB = (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB)


def eight_bit(values: NDArray[Any], white: float | None = None) -> Pixels:
    """Deeper pixels (H, W) or (H, W, C) as bytes; `white` becomes 255.

    Where white is not known, whole numbers are taken to have as few bits as hold them all, and floating-point
    ones to end at 1, 255 or 65535, whatever nearly all of them stay below: what is brighter is cut.
    """
    white = white or _white(values)
    pixels = np.empty(values.shape, np.uint8)
    for row in range(0, len(values), ROWS):
        part = values[row : row + ROWS].astype(np.float64)
        part = np.nan_to_num(part, posinf=white, neginf=0.0).clip(0, white)
        pixels[row : row + ROWS] = np.rint(part * (255 / white))
    return pixels


def _white(values: NDArray[Any]) -> float:
    if values.dtype.kind == "f":
        sample = values.ravel()[:: max(1, values.size // 10**6)]
        top = float(np.quantile(np.nan_to_num(sample, posinf=0.0, neginf=0.0), 0.99))
        return next((white for white in (1.0, 255.0, 65535.0) if top <= white), top)
    top = int(values.max(initial=0))
    return next((2.0**bits - 1 for bits in DEPTHS if top < 2**bits), 2.0**32 - 1)


def deep_tiff(path: Path, check: Callable[[tuple[int, int]], None]) -> Image.Image | None:
    """A grey or RGB TIFF of more than 8 bits, or of floating-point numbers, as 8-bit image.

    None for every other file, and for what tifffile cannot unpack. `check` is handed (width, height) first.
    """
    try:
        with TiffFile(path) as file:
            page = file.pages.first
            if page.dtype in (None, np.uint8, np.bool_) or page.photometric not in GREY_OR_RGB:
                return None
            check((page.imagewidth, page.imagelength))
            return _image(page)
    except (TiffFileError, ValueError, RuntimeError):  # no TIFF, or packed in a way that it cannot undo
        return None


def deep_size(path: Path) -> tuple[int, int]:
    """(width, height) of a TIFF that Pillow does not know.

    Raises:
        TiffFileError: it is none.
    """
    with TiffFile(path) as file:
        return file.pages.first.imagewidth, file.pages.first.imagelength


def _image(page: TiffPage) -> Image.Image | None:
    values = np.moveaxis(page.asarray(), 0, -1) if page.axes == "SYX" else page.asarray()
    if values.ndim not in (2, 3):
        return None
    values = values.reshape(*values.shape[:2], -1)
    colours = 3 if page.photometric == PHOTOMETRIC.RGB else 1
    alpha = values.shape[-1] > colours and tuple(page.extrasamples)[:1] in ((1,), (2,))
    pixels = eight_bit(values[..., : colours + alpha])
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        pixels[..., 0] = 255 - pixels[..., 0]
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.info["icc_profile"] = page.iccprofile
    image.getexif()[0x0112] = int(page.tags.valueof(0x0112, 1))
    return image


def jxl_size(path: Path) -> tuple[int, int] | None:
    """(width, height) of a JPEG XL, from its header (ISO/IEC 18181-1, size header); None for other files.

    Raises:
        ValueError: it is a JPEG XL whose header cannot be found.
    """
    with path.open("rb") as file:
        start = file.read(12)
        if start[:2] == b"\xff\x0a":
            return _size(start[2:])
        if start != b"\0\0\0\x0cJXL \r\n\x87\n":
            return None
        return _size(_codestream(file)[2:])


def _codestream(file: BinaryIO) -> bytes:
    """The beginning of a JPEG XL's codestream, from its boxes."""
    while len(head := file.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        skip = 8
        if length == 1:
            length, skip = int.from_bytes(file.read(8), "big"), 16
        if kind in (b"jxlc", b"jxlp"):
            file.read(4 if kind == b"jxlp" else 0)
            return file.read(12)
        if length < skip:
            break
        file.seek(length - skip, 1)
    raise ValueError("it has no codestream")


RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height


def _size(header: bytes) -> tuple[int, int]:
    bits = int.from_bytes(header, "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    def side() -> int:
        return (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1

    small = take(1)
    high = side()
    ratio = take(3)
    if not ratio:
        return side(), high
    wide, tall = RATIOS[ratio - 1]
    return high * wide // tall, high
