"""Open photographs upright, save them without metadata, and turn them into tensors.

Whatever a file holds, veil works on 8-bit RGB: deeper pixels are reduced, CMYK is converted through its
colour profile, transparency is kept aside. Nothing but pixels and colour profile reaches the output.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from .errors import BadPhoto
from .types import Photo, Pixels

if TYPE_CHECKING:
    from torch import Tensor

READABLE = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "PPM")
SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": 0},  # 4:4:4: half of the change lies in the colours
    "WEBP": {"lossless": True, "exact": True},
}

# The parts of EXIF that describe the photo. All others describe the file, or hide pictures of the face as it
# was: the thumbnail (a directory of its own) and the maker's notes.
BASE = ExifTags.Base
DESCRIBING = (
    *(BASE.ImageDescription, BASE.Make, BASE.Model, BASE.Software, BASE.DateTime, BASE.Artist),
    *(BASE.HostComputer, BASE.Copyright, BASE.XPTitle, BASE.XPComment, BASE.XPAuthor, BASE.XPKeywords),
)
UNWANTED = (BASE.MakerNote, BASE.ExifImageWidth, BASE.ExifImageHeight, BASE.ExifInteroperabilityOffset)
PICTURES_IN_XMP = re.compile(rb"thumbnail|xmpGImg|GImage|GDepth|HasExtendedXMP", re.IGNORECASE)


def open_photo(path: Path) -> Photo:
    """Read a photograph, upright, with its transparency, colour profile and metadata kept aside.

    Of an animation the first picture is read; `Photo.warnings` says so.

    Raises:
        BadPhoto: there is no such file, or it is not a picture, incomplete or far too large.
    """
    _check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata, which is no concern of ours
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=READABLE) as image:
                return _photo(image, path.name)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise BadPhoto(f"{path} has more than {limit} million pixels.", "Make it smaller first.") from error
    except UnidentifiedImageError as error:
        raise BadPhoto(
            f"{path} is not a picture that veil can read.",
            "It reads JPEG, PNG, WebP, TIFF, BMP, GIF and AVIF; convert others, such as HEIC, first.",
        ) from error
    except Exception as error:  # decoders raise whatever their parser stumbles over
        raise BadPhoto(
            f"{path} is damaged or incomplete ({error}).", "Copy or download it again, or try another photo."
        ) from error


def _check_file(path: Path) -> None:
    if not path.exists():
        raise BadPhoto(f"There is no file {path}.", "Check its name and folder.")
    if path.is_dir():
        raise BadPhoto(f"{path} is a folder.", f"Name the photos in it, such as {path / '*.jpg'}.")
    if not path.is_file():
        raise BadPhoto(f"{path} is not a file.", "Name a photo.")
    if path.stat().st_size == 0:
        raise BadPhoto(f"{path} is empty (zero bytes).", "Copy or download it again.")


def _photo(image: Image.Image, name: str) -> Photo:
    frames = int(getattr(image, "n_frames", 1))
    upright = ImageOps.exif_transpose(image)
    flat = _eight_bit(upright)
    grey = flat.mode in ("1", "L", "LA", "La")
    icc = upright.info.get("icc_profile")
    if flat.mode == "CMYK":
        flat, icc = _from_cmyk(flat, icc), None
    opaque = not flat.has_transparency_data
    planes = np.array(flat.convert(("L" if grey else "RGB") + ("" if opaque else "A")))
    planes = planes.reshape(*planes.shape[:2], -1)
    return Photo(
        pixels=np.repeat(planes[..., :1], 3, axis=2) if grey else planes[..., :3].copy(),
        name=name,
        format={"MPO": "JPEG"}.get(image.format or "", image.format or "PNG"),
        alpha=None if opaque else planes[..., -1].copy(),
        grey=grey,
        icc=icc,
        metadata=_metadata(upright, getattr(image, "text", {})),  # PNG texts do not survive turning
        warnings=(f"Of the {frames} pictures in {name} only the first is used.",) if frames > 1 else (),
    )


def _eight_bit(image: Image.Image) -> Image.Image:
    """Reduce 16-bit grey to 8; Pillow has already done so with 16-bit colour."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.float64).clip(0, 65535)
    return Image.fromarray(np.round(values / 257).astype(np.uint8))


def _from_cmyk(image: Image.Image, icc: bytes | None) -> Image.Image:
    """CMYK to sRGB, through the picture's own profile where it has a usable one."""
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


def _metadata(image: Image.Image, texts: dict[str, str]) -> dict[str, bytes]:
    """What `keep_metadata` keeps, already upright and without any picture in it: "exif", "xmp" and texts."""
    kept: dict[str, bytes] = {}
    exif = _exif(image)
    if len(exif) > 1:
        kept["exif"] = exif.tobytes()
    xmp = image.info.get("xmp", b"")
    if xmp and not PICTURES_IN_XMP.search(xmp):
        kept["xmp"] = xmp
    if "comment" in image.info:
        kept["Comment"] = bytes(image.info["comment"])
    for key, text in texts.items():
        if not key.startswith(("Raw profile", "XML:")):  # EXIF and XMP in disguise
            kept[key] = text.encode()
    return kept


def _exif(image: Image.Image) -> Image.Exif:
    """The describing part of the EXIF, with the orientation of an upright photo."""
    whole, exif = image.getexif(), Image.Exif()
    exif[BASE.Orientation] = 1
    for tag in DESCRIBING:
        if tag in whole:
            exif[tag] = whole[tag]
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        entries = {tag: value for tag, value in whole.get_ifd(directory).items() if tag not in UNWANTED}
        if entries:
            exif[directory] = entries
    return exif


@contextmanager
def beside(*paths: Path) -> Generator[list[Path]]:
    """Yield places to write to, which become `paths` (of one folder) together when nothing was raised."""
    with TemporaryDirectory(dir=paths[0].parent, prefix=".veil-") as folder:
        parts = [Path(folder) / path.name for path in paths]
        yield parts
        for part, path in zip(parts, paths, strict=True):
            os.replace(part, path)


def names_picture(path: Path) -> bool:
    """Whether a path, which need not exist, names a picture that veil can write, and no folder."""
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def check_writable(folder: Path) -> None:
    """Check that files can be written into `folder`, by writing one.

    Raises:
        BadPhoto: it is missing, no folder, or read-only.
    """
    if not folder.is_dir():
        raise BadPhoto(f"There is no folder {folder}.", "Create it first, or name another with -o.")
    try:
        TemporaryDirectory(dir=folder, prefix=".veil-").cleanup()
    except OSError as error:
        raise BadPhoto(f"Nothing can be written into {folder}.", "Name another folder with -o.") from error


def save_photo(photo: Photo, path: Path, *, keep_metadata: bool = False) -> None:
    """Write a photo in the format that the name of `path` says; an existing file is replaced in one move.

    Only pixels, transparency and colour profile are written, unless `keep_metadata`. JPEG has no
    transparency: the photo is laid on white.

    Raises:
        BadPhoto: the name's ending stands for no format that veil writes, or the file cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise BadPhoto(f"veil does not write {path.suffix} files.", f"It writes {', '.join(SUFFIXES)}.")
    format = SUFFIXES[path.suffix.lower()]
    image = _image(photo, format)
    options = OPTIONS[format] | (_options(photo, format) if keep_metadata else {})
    space = b"GRAY" if image.mode.startswith("L") else b"RGB "
    if photo.icc and photo.icc[16:20] == space:  # a profile of another space would make the file unreadable
        options["icc_profile"] = photo.icc
    try:
        with beside(path) as (part,):
            image.save(part, format, **options)
    except (OSError, ValueError) as error:
        raise BadPhoto(
            f"{path} cannot be written ({error}).", "Is the disk full, or the photo too large?"
        ) from error


def _image(photo: Photo, format: str) -> Image.Image:
    """The pixels and transparency of a photo, in a mode that the format can hold."""
    pixels, alpha = photo.pixels, photo.alpha
    if alpha is not None and format == "JPEG":
        opacity = alpha[..., None] / 255
        pixels, alpha = np.round(pixels * opacity + 255 * (1 - opacity)).astype(np.uint8), None
    image = Image.fromarray(pixels)
    if photo.grey and format != "WEBP":
        image = image.convert("L")
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    return image


def _options(photo: Photo, format: str) -> dict[str, Any]:
    """How Pillow is told to write a photo's metadata."""
    texts = {key: value for key, value in photo.metadata.items() if key not in ("exif", "xmp")}
    options: dict[str, Any] = {key: photo.metadata[key] for key in ("exif", "xmp") if key in photo.metadata}
    if format == "JPEG" and "Comment" in texts:
        options["comment"] = texts["Comment"]
    if format == "PNG":
        options["pnginfo"] = chunks = PngImagePlugin.PngInfo()
        if "xmp" in options:
            texts["XML:com.adobe.xmp"] = options.pop("xmp")
        for key, value in texts.items():
            chunks.add_itxt(key, value.decode("utf-8", "replace"))
    return options


def to_tensor(pixels: Pixels) -> Tensor:
    """Pixels (H, W, 3) -> (1, 3, H, W) in [0, 1]."""
    import torch

    return torch.tensor(pixels).permute(2, 0, 1)[None].float() / 255


def to_pixels(image: Tensor) -> Pixels:
    """(1, 3, H, W) in [0, 1], values outside clipped -> pixels (H, W, 3)."""
    import torch

    levels = (image[0].detach().clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).cpu().numpy()
