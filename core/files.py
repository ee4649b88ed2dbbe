"""Atomic writes: files appear whole or not at all, never in the place of another; and file names."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from filelock import FileLock, Timeout

from .errors import BadPhoto, BadSettings, NoFace

PREFIX = ".veil-"  # of the temporary folders in which files are written
# The marker that lies in such a folder from when its files are whole until all are moved; whether they may
# replace others -> its name.
MARKS = {False: ".moving", True: ".replacing"}
LOCK = ".lock"
NAME_MAX = 255  # bytes of a file name, where the file system does not tell


def printable(path: Path | str) -> str:
    """A path as text that can be printed and written as UTF-8, whatever bytes it has."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def without_folders(message: str, *paths: Path) -> str:
    """A message that names files with their folders, which a report for others should not tell."""
    for path in paths:
        message = message.replace(printable(path), printable(path.name))
    return message


def some(names: Sequence[str], most: int = 10) -> str:
    """Names, of many the first ones, and how many more there are."""
    more = f" and {len(names) - most} more" * (len(names) > most)
    return ", ".join(names[:most]) + more


def some_groups(groups: Sequence[Sequence[str]], most: int = 10) -> str:
    """Groups of names, with semicolons between them, of many the first ones, and how many more there are."""
    return "; ".join(map(some, groups[:most])) + f"; and {len(groups) - most} more" * (len(groups) > most)


def fitting(folder: Path, stem: str, ending: str) -> str:
    """A file name for `folder`: stem and ending, the stem truncated to the file system's longest name."""
    try:
        longest = os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        longest = NAME_MAX
    while len(os.fsencode(stem + ending)) > longest:
        stem = stem[:-1]
    return stem + ending


@contextmanager
def atomic_write(*paths: Path, replace: bool = False) -> Generator[list[Path]]:
    """Yield temporary paths, whose files are moved to `paths` (all of one folder) when nothing was raised.

    Where the process is killed between two of them, the next that writes to the folder moves the others.

    Raises:
        BadPhoto: a file has appeared at one of the paths meanwhile, and may not be replaced.
    """
    with workplace(paths[0].parent) as folder:
        parts = [folder / path.name for path in paths]
        yield parts
        (folder / MARKS[replace]).touch()
        if replace:
            for part, path in zip(parts, paths, strict=True):
                os.replace(part, path)
        else:
            _move_new(parts, paths)


def _move_new(parts: Sequence[Path], paths: Sequence[Path]) -> None:
    """Move files to new paths, all or none, and never onto a file."""
    moved: list[Path] = []
    try:
        for part, path in zip(parts, paths, strict=True):
            _move_one(part, path)
            moved.append(path)
    except BaseException:
        parts[0].with_name(MARKS[False]).unlink()
        for path in moved:
            path.unlink(missing_ok=True)
        raise


def _move_one(part: Path, path: Path) -> None:
    """Move a file by a hard link; where the file system has none, onto a name that was claimed before."""
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
def kept_workplace(path: Path) -> Generator[Path]:
    """A folder beside `path` for what leads to that file: deleted at the end, but kept where work is stopped.

    It is kept, too, where anything is raised but that there is nothing to do. It is locked as long as its
    process lives, and nobody but this user can read it.

    Raises:
        BadPhoto: another process is at work on the same file, or the folder is not this user's.
    """
    place = _kept_place(path)
    place.mkdir(mode=0o700, exist_ok=True)
    if place.is_symlink() or (hasattr(os, "getuid") and place.stat().st_uid != os.getuid()):
        raise BadPhoto(f"{printable(place)} is not yours.", "Delete it, or name another folder with -o.")
    lock = _lock(place)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BadPhoto(f"Another veil is at work on {printable(path)}.", "Wait until it is done.") from error
    try:
        yield place
    except (NoFace, BadSettings):
        empty(place)
        raise
    else:
        empty(place)
    finally:
        lock.release()
        if not any(part.name != LOCK for part in place.iterdir()):
            shutil.rmtree(place, ignore_errors=True)


def discard_workplace(path: Path) -> None:
    """Delete what led to a file and was kept, unless somebody is at work on it."""
    if _kept_place(path).exists():
        with suppress(BadPhoto, OSError), kept_workplace(path):
            pass


def _kept_place(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]
    return path.parent / f"{PREFIX}of-{name}"  # not as long as those that `workplace` clears


@contextmanager
def workplace(folder: Path, prefix: str = PREFIX) -> Generator[Path]:
    """A temporary folder inside of `folder`, deleted at the end; those of killed processes are deleted first.

    It is locked as long as its process lives, and nobody but this user can read it.
    """
    lock = _locked(folder, prefix)
    place = Path(lock.lock_file).parent
    try:
        _clear(place, prefix)
        yield place
    finally:
        empty(place)  # while it is locked, so that what is not deleted yet is never taken for left behind
        lock.release()
        shutil.rmtree(place, ignore_errors=True)


def _locked(folder: Path, prefix: str) -> FileLock:
    """The lock of a new folder; another process may clear it before it is locked: then the next is tried."""
    while True:
        lock = _lock(Path(mkdtemp(dir=folder, prefix=prefix)))
        lock.acquire()
        if Path(lock.lock_file).exists():
            Path(lock.lock_file).parent.chmod(0o700)
            return lock
        lock.release()


def empty(place: Path) -> None:
    """Delete all in a folder but its lock, as far as it can be deleted."""
    with suppress(OSError):
        for part in [part for part in place.iterdir() if part.name != LOCK]:
            if part.is_dir() and not part.is_symlink():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)


def _lock(place: Path) -> FileLock:
    return FileLock(place / LOCK)


def _clear(own: Path, prefix: str) -> None:
    """Complete what killed processes of this user have left beside `own`, and delete their folders."""
    for place in own.parent.glob(f"{prefix}????????"):
        with suppress(Timeout, OSError):
            if _is_left(place, own):
                with _lock(place).acquire(timeout=0):
                    _move_rest(place)
                    shutil.rmtree(place, ignore_errors=True)


def _is_left(place: Path, own: Path) -> bool:
    """Whether a folder may be one of a killed process of this user: anybody can use such a name."""
    if place == own or place.is_symlink() or place.stat().st_uid != own.stat().st_uid:
        return False
    return (place / LOCK).exists() or not any(place.iterdir())


def _move_rest(place: Path) -> None:
    """Move the files that a process which was killed while it moved them has not moved."""
    marks = [replace for replace, mark in MARKS.items() if (place / mark).exists()]
    for part in place.iterdir() if marks else ():
        path = place.parent / part.name
        if part.name in (LOCK, *MARKS.values()):
            continue
        if any(marks) or (path.is_file() and not path.stat().st_size):  # claimed, and nothing moved onto it
            os.replace(part, path)
        else:
            with suppress(BadPhoto):  # it is there, or another file is
                _move_one(part, path)


def check_writable(folder: Path) -> None:
    """Check that files can be written into `folder`, by writing one.

    Raises:
        BadPhoto: it is missing, no folder, or read-only.
    """
    if not folder.is_dir():
        if folder.exists():
            raise BadPhoto(f"{printable(folder)} is a file, and no folder.", "Name another with -o.")
        raise BadPhoto(
            f"There is no folder {printable(folder)}.", "Create it first, or name another with -o."
        )
    try:
        with workplace(folder):
            pass
    except OSError as error:
        raise BadPhoto(
            f"Nothing can be written into {printable(folder)}.", "Name another folder with -o."
        ) from error


@contextmanager
def made_folder(folder: Path) -> Generator[None]:
    """A folder that can be written into; where it is missing it is made, and deleted in the end if nothing is
    in it.

    Raises:
        BadPhoto: the folder in which it would lie is missing, it is a file, or read-only.
    """
    made = False
    if not os.path.lexists(folder):
        check_writable(folder.parent)
        with suppress(FileExistsError):  # another process has made it meanwhile
            folder.mkdir()
            made = True
    try:
        check_writable(folder)
        yield
    finally:
        if made:
            with suppress(OSError):  # something is in it
                folder.rmdir()


def check_file(path: Path, kind: str = "photo") -> None:
    """Check that a file can be read, and holds something.

    Raises:
        BadPhoto: there is none, it is empty, or no file.
    """
    shown = printable(path)
    try:
        exists = path.exists()
    except OSError as error:
        raise BadPhoto(f"{shown} cannot be read ({error.strerror}).", "Give it another name.") from error
    if not exists:
        raise BadPhoto(f"There is no file {shown}.", "Check its name and folder.")
    if path.is_dir():
        raise BadPhoto(f"{shown} is a folder.", f"Name a {kind}.")
    if not path.is_file():
        raise BadPhoto(f"{shown} is not a file.", f"Name a {kind}.")
    if path.stat().st_size == 0:
        raise BadPhoto(f"{shown} is empty (zero bytes).", "Copy or download it again.")
