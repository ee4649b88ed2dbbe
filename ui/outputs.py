"""Where results are written, and how: names that fit, that are free, and that nobody else has."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from ..core.errors import BadPhoto, BadSettings
from ..core.files import check_writable, fitting, made_folder, printable
from ..core.images import ENDINGS
from ..core.types import Photo
from ..core.video import ENDINGS as VIDEOS
from ..core.video_joining import CONTAINERS
from ..core.video_writing import result_ending
from ..core.writing import SUFFIXES, names_picture, suffix
from .originals import is_of, name_in
from .pipes import is_clip


@dataclass(frozen=True)
class Output:
    """How results are written.

    place: the folder to write to, which may be missing, or the picture to write; beside the photo where None.
    format: "keep" for the photo's own, "png", "jpeg", "webp", "avif" or "heic"; a picture's name tells more.
    quality: 1 to 100; where None, as the photo's own file.
    crf, codec: of clips, as `core.video_writing.rewrite` takes them.
    force: whether existing files may be replaced.
    """

    place: Path | None = None
    format: str = "keep"
    quality: int | None = None
    keep_metadata: bool = False
    force: bool = False
    crf: int | None = None
    codec: str | None = None

    def folder(self, source: Path) -> Path:
        """Where the result of a photo or clip is written."""
        if self.place and names_file(self.place):
            return self.place.parent
        return self.place or source.parent

    @contextmanager
    def ready(self, photos: int) -> Generator[None]:
        """Check the place, for so many photos and clips; a folder is as `ready_folder` has it.

        Raises:
            BadSettings: it names one result, and they are several, or one that veil does not write.
            BadPhoto: nothing can be written there.
        """
        with ExitStack() as stack:
            if self.place and names_file(self.place):
                if photos > 1:
                    raise BadSettings(
                        f"-o {printable(self.place)} names one file for {photos} of them.", "Name a folder."
                    )
                check_writable(self.place.parent)
            elif self.place:
                stack.enter_context(ready_folder(self.place))
            yield


def ready_folder(place: Path) -> AbstractContextManager[None]:
    """What -o names, as a folder: made where it is missing, and gone in the end if nothing is in it.

    Raises:
        BadSettings: it is missing, and has the ending of a photo or clip.
        BadPhoto: nothing can be written there.
    """
    if place.suffix.lower() in ENDINGS | VIDEOS and not os.path.lexists(place):
        raise BadSettings(
            f"-o {printable(place)} names a file of a kind that veil does not write.",
            f"It writes {', '.join((*SUFFIXES, *CONTAINERS))}; or name a folder.",
        )
    return made_folder(place)


def names_clip(path: Path) -> bool:
    """Whether a path, which need not exist, names a clip that veil can write, and no folder."""
    return path.suffix.lower() in CONTAINERS and not path.is_dir()


def names_file(path: Path) -> bool:
    """Whether a path, which need not exist, names a result, and no folder."""
    return names_picture(path) or names_clip(path)


def picture_of(source: Path, photo: Photo, output: Output, taken: Collection[str]) -> Path:
    """The picture to write: as named, or called after the photo, with a number where that is taken, or where
    the record of that name is of another photo or clip.

    Raises:
        BadSettings: what is named is of another kind.
    """
    return _result_of(source, suffix(photo, output.format), names_picture, output, taken)


def clip_of(source: Path, output: Output, taken: Collection[str]) -> Path:
    """The clip to write, as `picture_of`."""
    return _result_of(source, result_ending(source), names_clip, output, taken)


def _result_of(
    source: Path, ending: str, names: Callable[[Path], bool], output: Output, taken: Collection[str]
) -> Path:
    if output.place and names_file(output.place):
        if not names(output.place):
            raise BadSettings(
                f"-o {printable(output.place)} is no name for what becomes of {printable(source.name)}.",
                f"Name a folder, or a file that ends in {ending}.",
            )
        return output.place
    folder = output.folder(source)
    if not output.place:
        check_writable(folder)
    ours = list[Path]()
    for number in count(1):
        mark = f"-{number}.veiled" if number > 1 else ".veiled"
        name = fitting(folder, source.stem, mark + max(ending, ".json", key=len))
        stem = name[: -len(max(ending, ".json", key=len))]
        if {real(folder / f"{stem}{one}") for one in (ending, ".json")} & set(taken):
            continue
        result, record = folder / f"{stem}{ending}", folder / f"{stem}.json"
        if not record.exists():
            ours = ours or [result]
            break
        if name_in(record) in ("", printable(source.name)):
            ours.append(result)
    if len(ours) > 1:  # files of one name: each has its own
        return next((one for one in ours if is_of(one.with_suffix(".json"), source)), ours[0])
    return ours[0]


def numbered(source: Path, result: Path, output: Output, taken: Collection[str]) -> list[str]:
    """A word where a result has a number in its name, since another photo or clip has the name without.

    Args:
        taken: the real paths of what is read and written in this run.
    """
    plain = fitting(result.parent, source.stem, ".veiled" + max(result.suffix, ".json", key=len))
    first = result.with_name(plain).with_suffix("").name
    if result == output.place or result.stem == first:
        return []
    stems = (Path(path) for path in taken if real(source) != path)
    other = name_in(result.with_name(f"{first}.json")) or next(
        (path.name for path in stems if path.stem == source.stem), "another photo or clip"
    )
    of, whose = printable(source.name), printable(other)
    whose = f"another {whose}" if whose == of else whose
    return [f"The result of {of} is {printable(result.name)}: {printable(first)} is that of {whose}."]


def record_of(result: Path) -> Path:
    """Where the record of a result is written.

    Raises:
        BadPhoto: there is one of a clip, for a photo, or of a photo, for a clip.
    """
    record = result.with_suffix(".json")
    if (other := name_in(record)) and is_clip(Path(other)) != is_clip(result):
        raise BadPhoto(f"{printable(record)} is the report of {other}.", "Give another name.")
    return record


def claimed(paths: Collection[Path], taken: Collection[str], force: bool) -> set[str]:
    """The real paths of files that may be written.

    Raises:
        BadPhoto: another photo or result of this run has one of them, or without `force` a file does.
    """
    for path in paths:
        if real(path) in taken:
            raise BadPhoto(
                f"{printable(path)} would replace another photo or result of this run.",
                "Name another folder.",
            )
        if os.path.lexists(path) and not force:
            raise BadPhoto(
                f"{printable(path)} exists already.", "Give --force to replace it, or another folder."
            )
    return {real(path) for path in paths}


def real(path: Path) -> str:
    """A path by which files are told apart; of a loop of links, the path itself."""
    return os.path.realpath(path)


def reserved(*paths: Path | None) -> set[str]:
    """What `workflow.prepare` must not write to: the photos that are read."""
    return {real(path) for path in paths if path}


def fallen_back(photo: Photo, picture: Path, output: Output) -> list[str]:
    """A word where a photo's own format is wanted, and veil cannot write it."""
    if photo.format in SUFFIXES.values() or output.format != "keep" or picture == output.place:
        return []
    return [
        f"veil does not write {photo.format} files: the result of {photo.name} is a {picture.suffix[1:]}."
    ]
