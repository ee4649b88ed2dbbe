"""The pictures of a new clip: changes drawn, encoded in segments that can be decoded alone, and a cover."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import Protocol

from ..attacks.faces.detection import search
from ..attacks.faces.tracks import Tracks
from ..core.errors import BadPhoto
from ..core.images import open_photo
from ..core.types import Pixels, Stage, Step, Steps
from ..core.video import Clip
from ..core.video_writing import SEGMENT, encoding
from ..core.writing import save_photo
from ..privacy.settings import Settings
from ..privacy.video import ClipChange, render

LENGTH = 240  # pictures of a segment: so many, at most, are drawn again where a run was stopped


@dataclass(frozen=True, eq=False)
class Segment:
    """The pictures of a clip from `start` to before `stop`, and how they are encoded."""

    clip: Clip
    start: int
    stop: int
    codec: str
    crf: int | None = None

    def write(
        self, frames: Iterable[tuple[int, Pixels]], changes: Sequence[ClipChange], path: Path
    ) -> Iterator[tuple[int, Pixels]]:
        """Draw changes into its pictures, and encode them at `path`; yields each by its number."""
        with encoding(self.clip, path, self.codec, self.crf) as write:
            for number, pixels in frames:
                shown = drawn(pixels, number, changes)
                write(number, shown)
                yield number, shown


class Machines(Protocol):
    """Other machines that do the work on a clip, several jobs at a time."""

    def find(
        self, tracks: Tracks, settings: Settings, people: Collection[int]
    ) -> Iterator[list[tuple[int, ClipChange]]]:
        """The changes of these people's tracks, with the places of these; those of one person together."""
        ...

    def draw(
        self, segments: Sequence[Segment], changes: Sequence[ClipChange]
    ) -> Iterator[tuple[Segment, bytes]]:
        """Segments with changes drawn into them, encoded; whichever is done first."""
        ...


def drawn(pixels: Pixels, number: int, changes: Iterable[ClipChange]) -> Pixels:
    """A picture (H, W, 3), by its number, with changes drawn into it."""
    for change in changes:
        pixels = render(pixels, number, change)
    return pixels


def segments_of(
    clip: Clip,
    codec: str,
    crf: int | None,
    changes: Sequence[ClipChange],
    place: Path,
    machines: Machines | None = None,
) -> Steps[list[Path]]:
    """The pictures of a clip with changes drawn into them, in files of a folder; some may be there."""
    segments = {
        place / f"{start:09}.{SEGMENT}": Segment(clip, start, min(start + LENGTH, clip.count), codec, crf)
        for start in range(0, clip.count, LENGTH)
    }
    if machines:
        yield from _collected(segments, changes, machines, clip.count)
    else:
        yield from _one_by_one(segments, changes, clip)
    return list(segments)


def _one_by_one(segments: dict[Path, Segment], changes: Sequence[ClipChange], clip: Clip) -> Iterator[Step]:
    there = sum(1 for _ in takewhile(Path.exists, segments))
    done = min(there * LENGTH, clip.count)
    yield Step(Stage.RENDERING, done, clip.count)
    frames = clip.frames(done)
    for path, segment in list(segments.items())[there:]:
        part = path.with_name("part")
        for number, shown in segment.write(islice(frames, LENGTH), changes, part):
            preview = shown if number % LENGTH == 0 else None
            yield Step(Stage.RENDERING, number + 1, clip.count, preview=preview)
        part.replace(path)


def _collected(
    segments: dict[Path, Segment], changes: Sequence[ClipChange], machines: Machines, count: int
) -> Iterator[Step]:
    paths = {segment: path for path, segment in segments.items()}
    missing = [segment for path, segment in segments.items() if not path.exists()]
    done = count - sum(segment.stop - segment.start for segment in missing)
    yield Step(Stage.RENDERING, done, count)
    for segment, data in machines.draw(missing, changes):
        part = paths[segment].with_name("part")
        part.write_bytes(data)
        part.replace(paths[segment])
        done += segment.stop - segment.start
        yield Step(Stage.RENDERING, done, count)


def cover_of(clip: Clip, work: Path) -> tuple[bytes | None, tuple[str, ...]]:
    """The picture that stands for a clip, bare, unless it shows a face; and a word where it is not kept."""
    if clip.cover is None:
        return None, ()
    path = work / "cover"
    path.write_bytes(clip.cover)
    try:
        photo = open_photo(path)
    except BadPhoto:
        return None, (f"The cover picture of {clip.name} cannot be read, and is not kept.",)
    if search(photo.pixels).faces:
        return None, (f"The cover picture of {clip.name} shows a face, and is not kept.",)
    bare = work / ("cover.png" if photo.format == "PNG" else "cover.jpg")
    save_photo(photo, bare)
    return bare.read_bytes(), ()
