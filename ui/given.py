"""What Python gives to veil's functions: photos, names and numbers, in whichever form."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from ..attacks import RECOGNIZERS
from ..core.errors import BadPhoto, BadSettings
from ..core.images import from_image
from ..core.images import open_photo as opened
from ..core.types import Photo, Pixels

Source: TypeAlias = "str | PathLike[str] | Image.Image | Pixels | Photo"
FORMS: tuple[type, ...] = (str, PathLike, Image.Image, np.ndarray, Photo)
A_PHOTO = "Give a file, a picture of Pillow, or pixels (H, W, 3) as bytes."


def open_photo(photo: Source) -> Photo:
    """A photo from a file, a picture of Pillow, or pixels (H, W, 3) as bytes; upright.

    Returns:
        The photo, whose `pixels` are (H, W, 3) bytes.

    Raises:
        BadPhoto: it is no usable photograph.
        BadSettings: it is nothing that could be one.
    """
    if isinstance(photo, Photo):
        return photo
    if isinstance(photo, Image.Image):
        return from_image(ImageOps.exif_transpose(photo), "picture")
    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
            raise BadPhoto("Pixels have to be bytes of the shape (H, W, 3).", "Give a file, or convert them.")
        return Photo(photo.copy(), "pixels")
    if isinstance(photo, str | PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]: whoever calls it
        return opened(Path(photo))
    raise BadSettings(f"{shortened(photo)} is no photo.", A_PHOTO)


def file(path: str | PathLike[str]) -> Path:
    """The path of a file.

    Raises:
        BadSettings: it is none.
    """
    if isinstance(path, str | PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]: whoever calls it
        return Path(path)
    raise BadSettings(f"{shortened(path)} is no file.", "Give its path.")


def photos(given: Iterable[Source] | Source, name: str) -> list[Source]:
    """Photos, or one alone.

    Raises:
        BadSettings: an argument called `name` holds something else.
    """
    return several(given, FORMS, name, A_PHOTO)


def recognizers(given: Iterable[str] | str | None, name: str) -> tuple[str, ...] | None:
    """The names of recognisers, or of one; None where nothing was said.

    Raises:
        BadSettings: they are no names; or there is none in `recognizers`, so that nobody would judge.
        UnknownName: there is no such recogniser.
    """
    if given is None:
        return None
    named = several(given, str, name, "Give names: veil.recognizers() lists them.")
    if not named and name == "recognizers":
        raise BadSettings(
            "No recogniser was named to judge.", "Leave recognizers away for all, or name some."
        )
    return tuple(RECOGNIZERS.check(one) for one in named)


def numbers(given: Iterable[int], name: str) -> frozenset[int]:
    """Numbers of faces.

    Raises:
        BadSettings: they are none.
    """
    return frozenset(several(given, int | np.integer, name, f"Give a list: {name}=[1].", alone=False))


def several(given: Any, kind: Any, name: str, hint: str, alone: bool = True) -> list[Any]:
    """What was given as several of a kind, or as one `alone`.

    Raises:
        BadSettings: an argument called `name` is neither.
    """
    if alone and isinstance(given, kind):
        return [given]
    if not isinstance(given, Iterable):
        raise BadSettings(f"{name} cannot be {shortened(given)}.", hint)
    found = list(given)
    for one in found:
        if not isinstance(one, kind):
            raise BadSettings(f"{name} cannot hold {shortened(one)}.", hint)
    return found
