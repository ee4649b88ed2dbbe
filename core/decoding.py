"""Where Pillow does not suffice: TIFF of high bit depth, and the size of a JPEG XL without decoding it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tifffile import PHOTOMETRIC, TiffFile, TiffFileError, TiffPage

from .types import Pixels

BIT_DEPTHS = (8, 10, 12, 14, 16)  # that cameras and scanners store in 16 bits
STRIP = 256  # rows that are floating-point numbers at a time
GREY_OR_RGB = (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB)


def to_eight_bit(values: NDArray[Any], white: float | None = None) -> Pixels:
    """Reduce pixels (H, W) or (H, W, C) of a higher bit depth, or of floating-point numbers, to bytes.

    Args:
        white: the value that becomes 255. Where it is not given, integers are taken to have the lowest usual
            bit depth that holds them all, and floating-point numbers to end at 1, 255 or 65535, the lowest
            that 99 % of them stay below; what is brighter is clipped.
    """
    white = white or _white_level(values)
    pixels = np.empty(values.shape, np.uint8)
    for row in range(0, len(values), STRIP):
        part = values[row : row + STRIP].astype(np.float64)
        part = np.nan_to_num(part, posinf=white, neginf=0.0).clip(0, white)
        pixels[row : row + STRIP] = np.rint(part * (255 / white))
    return pixels


def _white_level(values: NDArray[Any]) -> float:
    if values.dtype.kind == "f":
        sample = values.ravel()[:: max(1, values.size // 10**6)]
        top = float(np.quantile(np.nan_to_num(sample, posinf=0.0, neginf=0.0), 0.99))
        return next((white for white in (1.0, 255.0, 65535.0) if top <= white), top)
    top = int(values.max(initial=0))
    return next((2.0**bits - 1 for bits in BIT_DEPTHS if top < 2**bits), 2.0**32 - 1)


def decode_deep_tiff(path: Path, check: Callable[[tuple[int, int]], None]) -> Image.Image | None:
    """Decode a greyscale or RGB TIFF of more than 8 bits, or of floating-point numbers, to an 8-bit image.

    None for every other file, and for a compression that tifffile cannot undo.

    Args:
        check: is called with (width, height) before anything is decoded; what it raises is passed on.
    """
    try:
        with TiffFile(path) as file:
            page = file.pages.first
            if page.dtype in (None, np.uint8, np.bool_) or page.photometric not in GREY_OR_RGB:
                return None
            check((page.imagewidth, page.imagelength))
            return _to_image(page)
    except (TiffFileError, ValueError, RuntimeError):  # no TIFF, or compressed in a way that it cannot undo
        return None


def tiff_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels of a TIFF that Pillow does not know.

    Raises:
        TiffFileError: it is none.
    """
    with TiffFile(path) as file:
        return file.pages.first.imagewidth, file.pages.first.imagelength


def _to_image(page: TiffPage) -> Image.Image | None:
    values = np.moveaxis(page.asarray(), 0, -1) if page.axes == "SYX" else page.asarray()
    if values.ndim not in (2, 3):
        return None
    values = values.reshape(*values.shape[:2], -1)
    colours = 3 if page.photometric == PHOTOMETRIC.RGB else 1
    alpha = values.shape[-1] > colours and tuple(page.extrasamples)[:1] in ((1,), (2,))
    pixels = to_eight_bit(values[..., : colours + alpha])
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        pixels[..., 0] = 255 - pixels[..., 0]
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.info["icc_profile"] = page.iccprofile
    image.getexif()[0x0112] = int(page.tags.valueof(0x0112, 1))
    return image


def jxl_size(path: Path) -> tuple[int, int] | None:
    """(width, height) in pixels of a JPEG XL, from its size header (ISO/IEC 18181-1); None for other files.

    Raises:
        ValueError: it is a JPEG XL whose header cannot be found.
    """
    with path.open("rb") as file:
        start = file.read(12)
        if start[:2] == b"\xff\x0a":
            return _read_size_header(start[2:])
        if start != b"\0\0\0\x0cJXL \r\n\x87\n":
            return None
        return _read_size_header(_codestream(file)[2:])


def _codestream(file: BinaryIO) -> bytes:
    """The first 12 bytes of the codestream of a JPEG XL that is a container of boxes."""
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


ASPECT_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height


def _read_size_header(header: bytes) -> tuple[int, int]:
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
    wide, tall = ASPECT_RATIOS[ratio - 1]
    return high * wide // tall, high
