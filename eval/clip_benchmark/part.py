"""The part of a clip that is protected: its pictures, who is in them, and how they read before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from ...attacks.faces.found import SMALLEST
from ...attacks.faces.tracking import follow
from ...attacks.faces.tracks import MeshTrack, Tracks, runs
from ...core.errors import BadClip, NoFace
from ...core.progress import finish
from ...core.types import Array, Face, Pixels
from ...core.video import Clip, open_clip
from ..behaviour.comparison import loudness
from ..behaviour.reading import Reading, read
from ..disturbances.clip_codec import ENCODINGS, clip_coded
from ..sound import sound_of
from ..tracks import Vectors, seen

CONTROL = "crf-28"  # how the clip before is encoded, to tell what coding alone does
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Part:
    """The pictures (H, W, 3) of a part of a clip, of which one person is protected: who is shown most.

    people: how many people it shows.
    tracks: of the person; `stretch`, `track`: the longest run of pictures in which they are, and where there.
    following: seconds of processor time in which faces were followed.
    """

    clip: Clip
    frames: list[Pixels]
    times: Array
    people: int
    tracks: Tracks
    track: MeshTrack
    stretch: range
    following: float

    @cached_property
    def shown(self) -> dict[int, Face]:
        """The face of the person by picture, where it was seen."""
        return {int(at): one.face(int(at)) for one in self.tracks.tracks for at in one.indexes[one.seen]}  # pyright: ignore[reportReturnType]

    @property
    def faces(self) -> list[Face]:
        """The face in each picture of the stretch."""
        return [face for at in self.stretch if (face := self.track.face(at))]

    def places(self, count: int) -> list[int]:
        """At most so many pictures that show the person, spread over the part."""
        every = sorted(self.shown)
        return [
            every[at] for at in np.linspace(0, len(every) - 1, min(count, len(every))).round().astype(int)
        ]

    def stretched(self, frames: Sequence[Pixels]) -> Iterator[Pixels]:
        """Those of pictures that lie in the stretch."""
        return (frames[at] for at in self.stretch)

    @cached_property
    def _loudness(self) -> Array | None:
        """Of the sound around each picture of the stretch; None without sound."""
        sound = sound_of(self.clip.path, float(self.times[0]), float(self.times[-1]) + 1.0)
        return loudness(*sound, self._stretch_times - self.times[0]) if sound else None

    @property
    def _stretch_times(self) -> Array:
        return self.times[self.stretch.start : self.stretch.stop]

    def read(self, frames: Sequence[Pixels]) -> Reading:
        """What the person expresses in the stretch, of pictures like those of the part."""
        return finish(read(self.stretched(frames), self._stretch_times, self.faces, self._loudness))


@lru_cache(1)
def part_of(path: Path, start: float, seconds: float | None) -> Part:
    """A part of a clip, from `start` on, of at most `seconds`.

    Raises:
        BadClip: the clip cannot be used, or ends before that.
        NoFace: it shows no face that can be protected.
    """
    clip = open_clip(path)
    moments = np.array([clip.time(at) for at in range(clip.count)])
    first = int(np.searchsorted(moments, start))
    if first == clip.count:
        raise BadClip(f"{clip.name} shows no picture from {start:g} s on.", "Give it an earlier start.")
    end = clip.count if seconds is None else int(np.searchsorted(moments, start + seconds))
    frames = [pixels for _, pixels in clip.frames(first, max(end, first + 1))]
    tracks, following = timed(lambda: finish(follow(enumerate(frames))))
    person = next(iter(tracks.people), 0)
    chosen = tracks.of([person])
    if not any(track.side >= SMALLEST for track in chosen.tracks):
        raise NoFace(f"No face was found in {clip.name} that can be protected.")
    stretches = [
        (last - begin, begin, track) for track in chosen.tracks for begin, last in runs(track.indexes)
    ]
    longest, begin, track = max(stretches, key=lambda one: one[0])
    times = moments[first : first + len(frames)]
    stretch = range(begin, begin + longest + 1)
    return Part(clip, frames, times, len(tracks.people), chosen, track, stretch, following)


@lru_cache(1)
def read_before(path: Path, start: float, seconds: float | None) -> tuple[Reading, Reading]:
    """What the person of a part expresses, and of what was only encoded again."""
    part = part_of(path, start, seconds)
    control = list(clip_coded(part.frames, part.clip.rate, ENCODINGS[CONTROL]))
    return part.read(part.frames), part.read(control)


@lru_cache(2)
def seen_before(
    path: Path, start: float, seconds: float | None, count: int, names: tuple[str, ...]
) -> Vectors:
    """What recognisers see of the person of a part in `count` pictures."""
    part = part_of(path, start, seconds)
    shown = part.shown
    return seen(((part.frames[at], shown[at]) for at in part.places(count)), names)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What some work gives, and the seconds of processor time that it took."""
    begin = time.process_time()
    return work(), time.process_time() - begin
