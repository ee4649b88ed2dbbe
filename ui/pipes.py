"""What paths stand for: photos, folders of photos, and "-" for standard input and output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import gettempdir

from ..core import video
from ..core.errors import BadClip, BadPhoto
from ..core.files import printable, workplace
from ..core.images import ENDINGS, open_photo
from ..core.pillow import picture_format
from ..core.video_streams import is_video
from .wording import NOT_FOLLOWED

PIPE = Path("-")


def expanded(
    path: Path, recursive: bool, stack: ExitStack, note: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """The photos that a path stands for; what comes from standard input is kept until `stack` is closed, and
    `note` is told what is passed over.

    Raises:
        BadPhoto: there is no such file or folder, it is a folder without photos and clips, or what comes
            from standard input is no photo.
    """
    if path == PIPE:
        return [_piped(temporary(stack) / "stdin")]
    try:
        path.lstat()
    except FileNotFoundError as error:
        words = f"There is no file or folder {printable(path)}."
        raise BadPhoto(words, "Check its name and where it lies.") from error
    except OSError:  # which whoever opens it complains of
        return [path]
    return photos_in(path, recursive, note, clips=True) if os.path.isdir(path) else [path]


def _piped(photo: Path) -> Path:
    """Keep what comes from standard input in a file, if it is a photo.

    Raises:
        BadPhoto: it is none, by the name that people know.
    """
    photo.write_bytes(sys.stdin.buffer.read())
    if not photo.stat().st_size:
        raise BadPhoto(
            "The picture on standard input is empty (zero bytes).",
            "Nothing came through the pipe: did the command before it fail?",
        )
    if not picture_format(photo) and is_video(photo):
        raise BadClip("What is piped in is a clip, and only photos can be.", "Name its file instead of -.")
    try:
        open_photo(photo)
    except BadPhoto as error:
        message = error.message.replace(printable(photo), "The picture on standard input")
        raise BadPhoto(message, error.hint) from error
    return photo


def is_clip(path: Path) -> bool:
    """Whether the name of a file says that it is a video."""
    return path.suffix.lower() in video.ENDINGS


def kind_of(paths: Iterable[Path]) -> str:
    """What to call one of several files: a photo, a clip, or a file where there are both."""
    clips = [is_clip(path) for path in paths]
    return "clip" if clips and all(clips) else "file" if any(clips) else "photo"


def photos_in(
    folder: Path,
    recursive: bool,
    note: Callable[[str], None],
    results_too: bool = False,
    clips: bool = False,
) -> list[Path]:
    """The photos of a folder by name, and by `recursive` of those in it, and its clips where they are wanted;
    results of veil are passed over, but for `results_too`, and its pictures of a clip's faces always.

    Raises:
        BadPhoto: there are none, or a folder cannot be read.
    """
    found, results = list[Path](), 0

    def unreadable(error: OSError) -> None:
        raise BadPhoto(
            f"The folder {printable(error.filename)} cannot be read ({error.strerror}).",
            "Leave it out, or make it readable.",
        ) from error

    for place, folders, names in os.walk(folder, onerror=unreadable):
        for link in (name for name in folders if recursive and os.path.islink(os.path.join(place, name))):
            note(NOT_FOLLOWED.format(printable(os.path.join(place, link))))
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        pictures = [Path(place, name) for name in sorted(names) if _is_picture(name, clips)]
        left_out = _is_sheet if results_too else is_named_as_result
        found += [path for path in pictures if not left_out(path)]
        results += sum(map(is_named_as_result, pictures))
    if results and not results_too:
        note(f"{results} result{'s' * (results > 1)} of veil in {printable(folder)} passed over.")
    if not found:
        deeper = ", or give --recursive" * (not recursive and not results_too)  # to assess there is no such
        hint = f"Name another folder{deeper}."
        what = "photos or clips" if clips else "photos"
        raise BadPhoto(f"There are no {what} in {printable(folder)}.", hint)
    return found


def _is_picture(name: str, clips: bool) -> bool:
    return (Path(name).suffix.lower() in ENDINGS or (clips and is_clip(Path(name)))) and name[0] != "."


def is_named_as_result(path: Path) -> bool:
    """Whether the name of a file says that veil has written it."""
    return path.suffixes[-2:-1] == [".veiled"] or _is_sheet(path)


def _is_sheet(path: Path) -> bool:
    return path.suffixes[-2:-1] == [".veil-faces"]


def temporary(stack: ExitStack) -> Path:
    """A folder that is deleted when `stack` is closed."""
    return stack.enter_context(workplace(Path(gettempdir())))


def name(path: Path, asked: Sequence[Path] = ()) -> str:
    """What to call a photo: where it lies in the folder that was asked for, with that folder where more was
    asked for; or its name, with its folder where two have it, or where a folder was asked for, too."""
    for folder in asked:
        if path != folder and path.is_relative_to(folder):
            return printable(path if len(asked) > 1 else path.relative_to(folder))
    alike = (one.name == path.name or os.path.isdir(one) for one in asked if one != path)
    return printable(path if path in asked and any(alike) else path.name or path)


def write(picture: Path) -> None:
    """Write a picture to standard output."""
    sys.stdout.buffer.write(picture.read_bytes())
    sys.stdout.buffer.flush()
