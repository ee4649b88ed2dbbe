"""What paths stand for: photos, folders of photos, and "-" for standard input and output."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from ..core.files import printable
from .jobs import photos_in

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


def temporary(stack: ExitStack) -> Path:
    """A folder that is deleted when `stack` is closed."""
    return Path(stack.enter_context(TemporaryDirectory(prefix="veil-")))


def name(path: Path) -> str:
    """What to call a photo."""
    return printable(path.name or path)


def write(picture: Path) -> None:
    """Write a picture to standard output."""
    sys.stdout.buffer.write(picture.read_bytes())
    sys.stdout.buffer.flush()
