"""What paths stand for: photos, folders of photos, and "-" for standard input and output."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import gettempdir

from ..core.errors import BadPhoto
from ..core.files import printable, workplace
from ..core.images import ENDINGS

PIPE = Path("-")


def expanded(path: Path, recursive: bool, stack: ExitStack) -> list[Path]:
    """The photos that a path stands for; what comes from standard input is kept until `stack` is closed.

    Raises:
        BadPhoto: it is a folder without photos.
    """
    if path == PIPE:
        photo = temporary(stack) / "stdin"
        photo.write_bytes(sys.stdin.buffer.read())
        return [photo]
    return photos_in(path, recursive) if os.path.isdir(path) else [path]


def photos_in(folder: Path, recursive: bool) -> list[Path]:
    """The photos of a folder by name, and by `recursive` of those in it; results of veil are passed over.

    Raises:
        BadPhoto: there are none.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        found += [Path(place, name) for name in sorted(names) if _is_photo(name)]
    if not found:
        hint = "Name another folder." if recursive else "Name another folder, or give --recursive."
        raise BadPhoto(f"There are no photos in {printable(folder)}.", hint)
    return found


def _is_photo(name: str) -> bool:
    path = Path(name)
    return path.suffix.lower() in ENDINGS and path.suffixes[-2:-1] != [".veiled"] and name[0] != "."


def temporary(stack: ExitStack) -> Path:
    """A folder that is deleted when `stack` is closed."""
    return stack.enter_context(workplace(Path(gettempdir())))


def name(path: Path) -> str:
    """What to call a photo."""
    return printable(path.name or path)


def write(picture: Path) -> None:
    """Write a picture to standard output."""
    sys.stdout.buffer.write(picture.read_bytes())
    sys.stdout.buffer.flush()
