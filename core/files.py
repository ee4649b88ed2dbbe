"""Files that appear whole or not at all, never in the place of another; and their names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from filelock import FileLock, Timeout

from .errors import BadPhoto

PREFIX = ".veil-"  # of the folders in which files are made
NAME_MAX = 255  # bytes of a name, where the file system does not tell


def printable(path: Path | str) -> str:
    """A path as text that can be printed and written as UTF-8, whatever bytes it has."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def fitting(folder: Path, stem: str, ending: str) -> str:
    """A name of a file in `folder`: stem and ending, the stem cut where the name would be too long."""
    try:
        longest = os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        longest = NAME_MAX
    while len(os.fsencode(stem + ending)) > longest:
        stem = stem[:-1]
    return stem + ending


@contextmanager
def beside(*paths: Path, replace: bool = False) -> Generator[list[Path]]:
    """Yield places to write to, which become `paths` (of one folder) together when nothing was raised.

    Raises:
        BadPhoto: a file has appeared at one of the paths meanwhile, and may not be replaced.
    """
    with _workplace(paths[0].parent) as folder:
        parts = [folder / path.name for path in paths]
        yield parts
        if replace:
            for part, path in zip(parts, paths, strict=True):
                os.replace(part, path)
        else:
            _move_new(parts, paths)


def _move_new(parts: Iterable[Path], paths: Iterable[Path]) -> None:
    """Move files to new paths, all or none, and never onto a file."""
    moved: list[Path] = []
    try:
        for part, path in zip(parts, paths, strict=True):
            _move_one(part, path)
            moved.append(path)
    except BaseException:
        for path in moved:
            path.unlink(missing_ok=True)
        raise


def _move_one(part: Path, path: Path) -> None:
    """Move a file as a second name of it; where there are no second names, onto a name claimed before."""
    try:
        try:
            os.link(part, path)
        except FileExistsError:
            raise
        except OSError:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
            os.replace(part, path)
    except FileExistsError as error:
        raise BadPhoto(
            f"{printable(path)} appeared while veil was at work, and was left as it is.",
            "Give --force to replace it, or name another folder.",
        ) from error


@contextmanager
def _workplace(folder: Path) -> Generator[Path]:
    """A new folder inside of `folder`, deleted at the end; those of runs that were killed are deleted first.

    It is locked as long as its run lives.
    """
    _clear(folder)
    lock = _locked(folder)
    place = Path(lock.lock_file).parent
    try:
        yield place
    finally:
        lock.release()
        shutil.rmtree(place, ignore_errors=True)


def _locked(folder: Path) -> FileLock:
    """The lock of a new folder; another run may clear it before it is locked, and then the next is tried."""
    while True:
        lock = _lock(Path(mkdtemp(dir=folder, prefix=PREFIX)))
        lock.acquire()
        if Path(lock.lock_file).exists():
            return lock
        lock.release()


def _lock(place: Path) -> FileLock:
    return FileLock(place / ".lock")


def _clear(folder: Path) -> None:
    """Delete what runs that were killed have left in a folder."""
    for place in folder.glob(f"{PREFIX}????????"):
        with suppress(Timeout, OSError), _lock(place).acquire(timeout=0):
            shutil.rmtree(place, ignore_errors=True)


def check_writable(folder: Path) -> None:
    """Check that files can be written into `folder`, by writing one.

    Raises:
        BadPhoto: it is missing, no folder, or read-only.
    """
    if not folder.is_dir():
        raise BadPhoto(
            f"There is no folder {printable(folder)}.", "Create it first, or name another with -o."
        )
    try:
        with _workplace(folder):
            pass
    except OSError as error:
        raise BadPhoto(
            f"Nothing can be written into {printable(folder)}.", "Name another folder with -o."
        ) from error
