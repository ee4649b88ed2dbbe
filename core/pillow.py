"""What veil changes in Pillow, whose settings and plugins belong to the whole process."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock

from PIL import Image

READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "JXL", "PPM")


@cache
def register_plugins() -> None:
    """Let Pillow read and write HEIC and read JPEG XL: once, when a photo is first opened or saved.

    It stays so; thumbnails and depth images inside of HEIC files are not decoded.
    """
    import pillow_heif
    import pillow_jxl  # pyright: ignore[reportUnusedImport]  # noqa: F401  registers itself

    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False)


class _PixelLimit:
    """Pillow's own limit on the pixels of an image, lifted as long as any thread asks for it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._limit = Image.MAX_IMAGE_PIXELS

    @contextmanager
    def lifted(self) -> Generator[None]:
        """Lift the limit within; the last thread that leaves puts it back."""
        with self._lock:
            if not self._users:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    Image.MAX_IMAGE_PIXELS = self._limit


pixel_limit = _PixelLimit()


def picture_format(path: Path) -> str:
    """The format of a picture by what its file holds, such as "JPEG"; nothing where it is none."""
    register_plugins()
    try:
        with pixel_limit.lifted(), Image.open(path, formats=READABLE) as image:
            return {"MPO": "JPEG"}.get(image.format or "", image.format or "")
    except Exception:  # decoders raise whatever their parser stumbles over
        return ""
