"""The verdict on a protected clip, person by person: what machines say, what flickers, what is expressed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict

from ..attacks.faces.boxes import clipped, reaching
from ..attacks.faces.sampling import cut_around, part_around
from ..attacks.faces.stored_points import BLOCK
from ..attacks.faces.tracks import MeshTrack, Tracks, normalised, runs
from ..core.progress import WithResult
from ..core.types import Face, Pixels, Stage, Step, Steps
from ..core.video import Clip
from . import FACE_MEASURES, SEEN_BY_PEOPLE
from .behaviour import Behaviour, compare
from .disturbances.clip_codec import Encoding, clip_coded
from .tracks import Flicker, TrackMatch, Vectors, flicker, match, seen

JUDGED = 12  # pictures of a person, spread over the clip, that recognisers are asked about
# Pictures that follow one another, in which behaviour is read: so many for each second of the clip, since
# each, with its control, takes about a sixth of a second.
A_SECOND, FEWEST, MOST = 6, 24, 72
RARELY = 3  # hands and body are looked for in one of so many of them
AROUND = 3.0  # of a face's longer side: how far around it hands and body are looked for
LARGEST = 960  # pixels: the longer side of that part
FACE = 480  # pixels: a face's shorter side at most, where recognisers look; they look at 112 to 192


class PersonReport(BaseModel):
    """What is made of one person of a clip.

    matches: by recogniser, over some pictures. likeness, naturalness: the means over these of what
    `eval.report.FaceReport` has of one; None where it cannot be told. flicker, behaviour: of pictures that
    follow one another, those in which the face moves most.
    """

    model_config = ConfigDict(frozen=True)

    matches: tuple[TrackMatch, ...]
    likeness: float | None = None
    naturalness: float | None = None
    flicker: Flicker
    behaviour: Behaviour


def judge(
    before: Clip,
    after: Clip,
    tracks: Tracks,
    recognizers: Sequence[str],
    surrogates: frozenset[str] = frozenset(),
    other: Vectors | None = None,
    how: Encoding = Encoding(),  # noqa: B008
) -> Steps[dict[int, PersonReport]]:
    """Judge the people of a clip, by their numbers; it yields a `Step` a picture that is read.

    Args:
        before, after: clips of as many pictures, of one size.
        tracks: the people, in the clip before.
        recognizers: who judges; surrogates: those of them that the attack used.
        other: what recognisers see of the person elsewhere, with which they compare; by default the clip
            itself.
        how: the clip before is encoded so once more, to tell what that alone does to behaviour.

    Raises:
        BadClip: a picture cannot be decoded.
        BadPhoto: the clips differ in length or size.
        BadSettings: the extra `video` is not installed.
    """
    found, people = dict[int, PersonReport](), tracks.people
    windows = {person: _window(before, tracks.of([person])) for person in people}
    total, done = sum(1 + 3 * len(one.numbers) for one in windows.values()), 0
    for person, window in windows.items():
        yield Step(Stage.JUDGING, done, total)
        spread = zip(*(_spread(clip, tracks.of([person])) for clip in (before, after)), strict=True)
        own, left, looks = _seen_and_looks(spread, recognizers)
        matches = match(own, left, surrogates, other)
        pairs = zip(*map(window.pictures, (before, after)), window.faces, strict=True)
        rest = flicker(pairs)
        done += 1
        behaviour = compare(
            window.pictures(before),
            window.pictures(after),
            clip_coded(window.pictures(before), before.rate, how),
            times=np.array([before.time(number) for number in window.numbers]),
            faces=window.faces,
            rarely=RARELY,
        )
        work = _counted(behaviour, done, total)
        found[person] = PersonReport(matches=matches, flicker=rest, behaviour=(yield from work), **looks)
        done += 3 * len(window.numbers)
    return found


def _counted(work: Steps[Behaviour], done: int, total: int) -> Steps[Behaviour]:
    """Work whose steps count on from those before."""
    run = WithResult(work)
    for count, step in enumerate(run, 1):
        yield replace(step, done=done + count, total=total)
    return run.result


def _spread(clip: Clip, tracks: Tracks) -> Iterator[tuple[Pixels, Face]]:
    """Parts of some pictures that show a person, who has these tracks, and the face in each."""
    places = {int(number): track for track in tracks.tracks for number in track.indexes[track.seen]}
    shown = sorted(places)
    some = [shown[place] for place in np.linspace(0, len(shown) - 1, min(len(shown), JUDGED)).astype(int)]
    for number, pixels in clip.chosen(some):
        face = places[number].face(number)
        assert face
        part, there = part_around(pixels, face)
        scale = min(1.0, FACE / face.side)
        yield _resized(part, scale), there.transformed(scale, 0.0, 0.0)


def _seen_and_looks(
    pairs: Iterable[tuple[tuple[Pixels, Face], tuple[Pixels, Face]]], recognizers: Sequence[str]
) -> tuple[Vectors, Vectors, Mapping[str, float | None]]:
    """What recognisers see of a person before and after, in pictures that are held one pair at a time; and
    how far people still see the person, and untouched pictures: `SEEN_BY_PEOPLE` in the mean."""
    own, left, values = list[Vectors](), list[Vectors](), {name: list[float]() for name in SEEN_BY_PEOPLE}
    for before, after in pairs:
        own.append(seen([before], recognizers))
        left.append(seen([after], recognizers))
        (old, face), (new, _) = before, after
        images, (there, _) = cut_around((old, new), (face, face))
        for name, known in values.items():
            known.append(float(FACE_MEASURES[name](images[0], images[1], there)))
    vectors = ({name: torch.cat([one[name] for one in side]) for name in recognizers} for side in (own, left))
    looks = {
        name: None if np.isnan(known).all() else round(float(np.nanmean(known)), 4)
        for name, known in values.items()
    }
    first, second = vectors
    return first, second, looks


@dataclass(frozen=True)
class _Window:
    """Pictures that follow one another, by their numbers, and a part of them, which is made smaller.

    box: (left, top, right, bottom), in pixels. faces: the person's, as they lie in the part.
    """

    numbers: range
    box: tuple[int, int, int, int]
    scale: float
    faces: tuple[Face, ...]

    def pictures(self, clip: Clip) -> Iterator[Pixels]:
        """The part of each picture of a clip."""
        left, top, right, bottom = self.box
        for _, pixels in clip.frames(self.numbers.start, self.numbers.stop):
            yield _resized(pixels[top:bottom, left:right], self.scale)


def _resized(pixels: Pixels, scale: float) -> Pixels:
    """A copy of a picture (H, W, 3), made smaller."""
    if scale == 1:
        return pixels.copy()
    high, wide = (max(1, round(scale * side)) for side in pixels.shape[:2])
    return np.array(Image.fromarray(pixels).resize((wide, high), Image.Resampling.BILINEAR))


def _window(clip: Clip, tracks: Tracks) -> _Window:
    """Where a person is seen for long enough, and moves most."""
    count = round(np.clip(A_SECOND * clip.seconds, FEWEST, MOST))
    track, numbers = max(
        (one for track in tracks.tracks for one in _liveliest(track, count)),
        key=lambda one: (len(one[1]), one[2]),
    )[:2]
    faces = [face for number in numbers if (face := track.face(number))]
    boxes = np.stack([reaching(face.box, AROUND) for face in faces])
    left, top, right, bottom = clipped(np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)]), clip.size)
    scale = min(1.0, LARGEST / max(right - left, bottom - top))
    moved = tuple(face.transformed(1.0, -left, -top).transformed(scale, 0.0, 0.0) for face in faces)
    return _Window(numbers, (left, top, right, bottom), scale, moved)


def _liveliest(track: MeshTrack, count: int) -> Iterable[tuple[MeshTrack, range, float]]:
    """Of each run of pictures in which a face is seen `count` of them, or all: where its shape moves most."""
    for first, last in runs(track.indexes[track.seen]):
        moves = np.concatenate([[0.0], _moved(track, first, last).cumsum()])
        long = min(count, len(moves))
        sums = moves[long - 1 :] - moves[: len(moves) - long + 1]
        start = first + int(sums.argmax())
        yield track, range(start, start + long), float(sums.max())


def _moved(track: MeshTrack, first: int, last: int) -> NDArray[np.float32]:
    """How far a face's shape moves from each picture to the next, of some that follow one another."""
    parts = [np.zeros(0, np.float32)]
    for start in range(first, last, BLOCK):
        shapes = normalised(track.meshes(range(start, min(start + BLOCK, last) + 1)))
        parts.append(np.linalg.norm(np.diff(shapes, axis=0), axis=(1, 2)))
    return np.concatenate(parts)
