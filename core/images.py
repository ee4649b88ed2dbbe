"""Decode photographs, turned upright, and convert between pixels and tensors; `writing` saves them.

Whatever a file holds, veil works on 8-bit RGB: higher bit depths are reduced, CMYK is converted through its
colour profile, the alpha channel is kept aside. Pixels stay bytes, so that a large photo fits into memory.
"""

from __future__ import annotations

import mmap
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from PIL import ExifTags, Image, ImageCms, ImageOps, JpegImagePlugin, UnidentifiedImageError

from . import metadata
from .decoding import decode_deep_tiff, jxl_size, tiff_size, to_eight_bit
from .errors import BadPhoto
from .files import check_file, printable
from .pillow import READABLE, pixel_limit, register_plugins
from .types import Photo, Pixels
from .video import ENDINGS as VIDEOS
from .video_streams import is_video

if TYPE_CHECKING:
    from torch import Tensor

ENDINGS = frozenset(
    ".jpg .jpeg .png .webp .tif .tiff .bmp .gif .avif .heic .heif .hif .jxl .ppm .pgm .pnm".split()
)
CUT_OUT = "What is fully transparent in {} has lost its colours: they would show what was cut out."
BYTES_PER_PIXEL = 30  # of memory, from decoding a photo to judging the result (measured at 108 megapixels)


def open_photo(path: Path) -> Photo:
    """Decode a photograph, upright, with its alpha channel, colour profile and metadata kept aside.

    What is fully transparent becomes white, since its colours are what was cut out. `Photo.warnings` says
    what was left out: these colours, further frames, a gain map (HDR), a video.

    Raises:
        BadPhoto: there is no such file, or it is not a picture, incomplete, or too large for this machine.
    """
    shown = printable(path)
    try:
        check_file(path)
        with pixel_limit.lifted(), _opened(path) as image:  # which is limited by the free memory
            return _to_photo(image, path)
    except BadPhoto:
        raise
    except UnidentifiedImageError as error:
        raise BadPhoto(f"{shown} is not a picture that veil can read.", _instead(path)) from error
    except MemoryError as error:
        raise BadPhoto(f"{shown} needs more memory than is free.", "Close other programs first.") from error
    except Exception as error:  # decoders raise whatever their parser stumbles over
        raise BadPhoto(
            f"{shown} is damaged or incomplete ({error}).", "Copy or download it again, or try another photo."
        ) from error


def _instead(path: Path) -> str:
    """What to do with a file that is no picture."""
    named, is_one = path.suffix.lower() in VIDEOS, is_video(path)
    if named:
        return f"It is {'a clip' if is_one else 'called a clip'}; here a photo is needed."
    if is_one:
        return "It is a clip: give its name the ending of one, such as .mp4."
    return "It reads JPEG, PNG, WebP, HEIC, AVIF, JPEG XL, TIFF, GIF, BMP and PPM; convert others first."


def size_of(path: Path) -> tuple[int, int]:
    """(width, height) of a picture in pixels as its header says: not decoded, and not turned upright.

    Raises:
        Exception: it is no picture; decoders raise whatever their parser stumbles over.
    """
    if size := jxl_size(path):  # Pillow would decode all of it to tell
        return size
    register_plugins()
    try:
        with pixel_limit.lifted(), Image.open(path, formats=READABLE) as image:
            return image.size
    except UnidentifiedImageError:
        return tiff_size(path)


@contextmanager
def _opened(path: Path) -> Generator[Image.Image]:
    """The image of a file, not decoded yet; TIFF of high bit depth and JPEG XL are decoded already.

    Raises:
        BadPhoto: it would need more memory than is free.
    """

    def check(size: tuple[int, int]) -> None:
        count, free = size[0] * size[1], psutil.virtual_memory().available
        if count * BYTES_PER_PIXEL > free:
            raise BadPhoto(
                f"{printable(path)} has {count / 1e6:.0f} million pixels, which take "
                f"{count * BYTES_PER_PIXEL / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free.",
                "Close other programs, or make the photo smaller first.",
            )

    if size := jxl_size(path):
        check(size)
    register_plugins()
    try:
        image = Image.open(path, formats=READABLE)
    except UnidentifiedImageError:
        image = decode_deep_tiff(path, check)
        if image is None:
            raise
    with image:
        check(image.size)
        deep = decode_deep_tiff(path, check) if image.format == "TIFF" else None
        if deep:  # these pixels instead of its own, which are then not decoded
            image.im, image._mode, image._size = deep.im, deep.mode, deep.size  # pyright: ignore[reportPrivateUsage]
            image.tile = []  # pyright: ignore[reportAttributeAccessIssue]
        yield image


def _to_photo(image: Image.Image, path: Path) -> Photo:
    encoding, name = _encoding(image, path), printable(path.name)
    format = {"MPO": "JPEG"}.get(image.format or "", image.format or "TIFF")
    left_out = _left_out(image, path, name)
    if format == "JXL" and not getattr(image, "jpeg", None):
        image.getexif().pop(ExifTags.Base.Orientation, None)  # the decoder has turned it
    texts = dict(getattr(image, "text", {}))  # of PNG, which do not survive turning
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    photo = from_image(image, name)
    return replace(
        photo,
        format=format,
        metadata=metadata.keepable(image, texts),
        warnings=(*left_out, *photo.warnings),
        encoding=encoding,
    )


def from_image(image: Image.Image, name: str) -> Photo:
    """The photo that an upright image holds: its pixels, alpha channel and colour profile; see `open_photo`
    for what is fully transparent."""
    flat, icc = _eight_bit(image), image.info.get("icc_profile")
    grey = flat.mode in ("1", "L", "LA", "La")
    if flat.mode == "CMYK":
        flat, icc = _from_cmyk(flat, icc), None
    opaque = not flat.has_transparency_data
    mode = ("L" if grey else "RGB") + ("" if opaque else "A")
    planes = np.array(flat if flat.mode == mode else flat.convert(mode))
    planes = planes.reshape(*planes.shape[:2], -1)
    if grey:
        pixels = np.repeat(planes[..., :1], 3, axis=2)
    else:
        pixels = planes if opaque else planes[..., :3].copy()
    alpha = None if opaque else planes[..., -1].copy()
    hidden = alpha is not None and _many_colours(pixels[alpha == 0])
    return Photo(
        pixels=without_hidden(pixels, alpha),
        name=name,
        alpha=alpha,
        grey=grey,
        icc=icc,
        warnings=(CUT_OUT.format(name),) if hidden else (),
    )


def _many_colours(pixels: Pixels) -> bool:
    """Whether pixels (N, 3) are not all alike."""
    return bool((pixels != pixels[:1]).any())


def without_hidden(pixels: Pixels, alpha: Pixels | None) -> Pixels:
    """Pixels (H, W, 3), white where an alpha channel (H, W), if there is one, shows nothing of them."""
    return pixels if alpha is None else np.where(alpha[..., None] == 0, np.uint8(255), pixels)


def _encoding(image: Image.Image, path: Path) -> dict[str, Any]:
    """How to encode an image as its file is encoded: Pillow's options, or `density` in bytes a pixel."""
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        sampling = JpegImagePlugin.get_sampling(image)
        known = {} if sampling < 0 else {"subsampling": sampling}
        return {"qtables": image.quantization, "optimize": True, **known}
    if image.format == "WEBP" and _contains(path, b"VP8L"):
        return {"lossless": True, "exact": True}
    return {"density": path.stat().st_size / (image.size[0] * image.size[1])}


def _left_out(image: Image.Image, path: Path, name: str) -> tuple[str, ...]:
    """One sentence for each part of a file that is not read: further frames, a gain map, a video."""
    said: list[str] = []
    announced = metadata.xmp(image)
    gain = metadata.GAIN_MAP.search(announced) or metadata.GAIN_MAP.search(
        repr(image.info.get("aux")).encode()
    )
    video = metadata.VIDEO.search(announced) or (
        image.format in ("JPEG", "MPO", "HEIF") and _contains(path, b"MotionPhoto_Data")
    )
    frames = int(getattr(image, "n_frames", 1))
    if gain:
        said.append(
            f"The gain map of {name} (HDR) is not kept: the result has the usual range of brightness."
        )
    if video:
        said.append(f"The video in {name} is not kept: the result is a still photo.")
    if frames > 1 and not gain:
        said.append(f"Of the {frames} pictures in {name} only the first is used.")
    return tuple(said)


def _contains(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return view.find(mark) >= 0


def _eight_bit(image: Image.Image) -> Image.Image:
    """Reduce 16-bit and floating-point greyscale to 8 bits; Pillow has already reduced 16-bit colour."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return image
    white = 65535 if image.format in ("PNG", "PPM") and image.mode != "F" else None
    return Image.fromarray(to_eight_bit(np.asarray(image), white))


def _from_cmyk(image: Image.Image, icc: bytes | None) -> Image.Image:
    """CMYK to sRGB, through the embedded colour profile where it is usable."""
    if icc:
        try:
            inks = ImageCms.ImageCmsProfile(BytesIO(icc))
            converted = ImageCms.profileToProfile(
                image, inks, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            return converted or image
        except (ImageCms.PyCMSError, OSError):
            pass
    return image.convert("RGB")


def to_tensor(pixels: Pixels) -> Tensor:
    """Pixels (H, W, 3) -> a float32 tensor (1, 3, H, W) in [0, 1] on the CPU."""
    import torch

    return torch.tensor(pixels).permute(2, 0, 1)[None].float() / 255


def onto(values: Tensor, like: Tensor) -> Tensor:
    """Values from main memory, on the device and in the type of another tensor; no GPU is waited for."""
    if like.is_cuda:
        return values.to(like.dtype).pin_memory().to(like.device, non_blocking=True)
    return values.to(like)


def to_pixels(image: Tensor) -> Pixels:
    """A tensor (1, 3, H, W) in [0, 1], on any device, values outside clipped -> pixels (H, W, 3)."""
    import torch

    levels = (image[0].detach().clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).cpu().numpy()
