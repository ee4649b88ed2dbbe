"""Save photographs: without metadata, in the format of the file they came from, at about its size."""

from __future__ import annotations

from bisect import bisect_left
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from .errors import BadPhoto
from .files import atomic_write, printable
from .images import without_hidden
from .pillow import register_plugins
from .types import Photo, Pixels

# Where the first of several endings is the one that veil gives itself.
SUFFIXES = {
    **{".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".avif": "AVIF"},
    **{".heic": "HEIF", ".heif": "HEIF", ".hif": "HEIF"},
}
# Pillow's options for encoding where neither a quality nor the photo's own file says more.
DEFAULT_OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": 0},  # 4:4:4: half of the change lies in the colours
    "WEBP": {"lossless": True, "exact": True},
    "AVIF": {"quality": 90, "subsampling": "4:4:4"},
    "HEIF": {"quality": 90},  # 4:2:0, which is all that many viewers show
}
QUALITIES = (40, 50, 60, 70, 75, 80, 85, 90, 95)
SAMPLE = 2_000_000  # pixels, about, that are encoded to learn how large a file of a quality is
STRIP = 64  # rows of such a sample that lie together
JPEG_SEGMENT = 65_000  # bytes that a JPEG can hold of one kind of metadata


def names_picture(path: Path) -> bool:
    """Whether a path, which need not exist, names a picture that veil can write, and no folder."""
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def suffix(photo: Photo, format: str) -> str:
    """The ending for a photo's result: of a format such as "png", or of its own where that is "keep".

    What cannot be written becomes a PNG, or a JPEG where the file was a JPEG XL: that had no exact pixels.
    """
    wanted = photo.format if format == "keep" else {"heic": "HEIF"}.get(format, format.upper())
    if wanted == "JXL" and photo.alpha is None:
        wanted = "JPEG"
    return next((ending for ending, known in SUFFIXES.items() if known == wanted), ".png")


def save_photo(
    photo: Photo,
    path: Path,
    *,
    keep_metadata: bool = False,
    quality: int | None = None,
    replace: bool = True,
) -> None:
    """Write a photo in the format that the name of `path` says, in one move.

    Pixels, alpha channel and colour profile are written; what is fully transparent is white. JPEG has no
    alpha: the photo is composited on white.

    Args:
        keep_metadata: write what of its metadata may be kept (`metadata.keepable`), too.
        quality: 1 to 100. Where none is given, a photo that stays in its format is encoded as its file was,
            with the same quantisation tables (JPEG) or at about its size; others nearly or wholly lossless.
        replace: whether a file at `path` may be replaced.

    Raises:
        BadPhoto: the name's ending stands for no format that veil writes, the file cannot be written, or it
            exists and is not to be replaced.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise BadPhoto(f"veil does not write {path.suffix} files.", f"It writes {', '.join(SUFFIXES)}.")
    register_plugins()
    format = SUFFIXES[path.suffix.lower()]
    image = _to_image(photo, format)
    options = _encoder_options(photo, image, format, quality) | (
        _metadata_options(photo, format) if keep_metadata else {}
    )
    space = b"GRAY" if image.mode.startswith("L") else b"RGB "
    if photo.icc and photo.icc[16:20] == space:  # a profile of another space would make the file unreadable
        options["icc_profile"] = photo.icc
    try:
        with atomic_write(path, replace=replace) as (part,):
            image.save(part, format, **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise BadPhoto(
            f"{printable(path)} cannot be written ({error}).", "Is the disk full, or the photo too large?"
        ) from error


def png(pixels: Pixels) -> bytes:
    """The file of a picture (H, W, 3) as PNG, which keeps every value."""
    Image.fromarray(pixels).save(file := BytesIO(), "PNG")
    return file.getvalue()


def _to_image(photo: Photo, format: str) -> Image.Image:
    """The pixels and alpha channel of a photo, in a mode that the format can hold."""
    pixels, alpha = without_hidden(photo.pixels, photo.alpha), photo.alpha
    if alpha is not None and format == "JPEG":
        opacity = alpha[..., None] / 255
        pixels, alpha = np.round(pixels * opacity + 255 * (1 - opacity)).astype(np.uint8), None
    image = Image.fromarray(pixels)
    if photo.grey and format not in ("WEBP", "AVIF"):
        image = image.convert("L")
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    return image


def _encoder_options(photo: Photo, image: Image.Image, format: str, quality: int | None) -> dict[str, Any]:
    """Pillow's options for encoding an image."""
    own = photo.encoding if photo.format == format else {}
    if format == "PNG":
        return {}
    if quality:
        return {"quality": quality} | ({"subsampling": 0} if format == "JPEG" else {})
    if "density" in own:
        return {"quality": _quality_of_density(image, format, own["density"])}
    return dict(own or DEFAULT_OPTIONS[format])


def _quality_of_density(image: Image.Image, format: str, density: float) -> int:
    """The lowest of `QUALITIES` at which an image takes `density` bytes a pixel; the highest where none does.

    Only strips of it are encoded, evenly spread.
    """
    every = max(1, round(image.width * image.height / SAMPLE))
    rows = np.arange(image.height) // STRIP % every == 0
    sample = Image.fromarray(np.asarray(image)[rows])

    def density_at(quality: int) -> float:
        sample.save(buffer := BytesIO(), format, quality=quality)
        return buffer.tell() / (sample.width * sample.height)

    return QUALITIES[min(bisect_left(QUALITIES, density, key=density_at), len(QUALITIES) - 1)]


def _metadata_options(photo: Photo, format: str) -> dict[str, Any]:
    """Pillow's options for writing a photo's metadata."""
    kept = {
        key: value for key, value in photo.metadata.items() if format != "JPEG" or len(value) < JPEG_SEGMENT
    }
    texts = {key: value for key, value in kept.items() if key not in ("exif", "xmp")}
    options: dict[str, Any] = {key: kept[key] for key in ("exif", "xmp") if key in kept}
    if format == "JPEG" and "Comment" in texts:
        options["comment"] = texts["Comment"]
    if format == "PNG":
        options["pnginfo"] = chunks = PngImagePlugin.PngInfo()
        if "xmp" in options:
            texts["XML:com.adobe.xmp"] = options.pop("xmp")
        for key, value in texts.items():
            chunks.add_itxt(key, value.decode("utf-8", "replace"))
    return options
