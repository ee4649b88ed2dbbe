"""Faces through the frames of a video: the points of their meshes, which is all that is kept of them."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from ...core.files import atomic_write
from ...core.types import Face
from ..networks.facemesh import five_points
from .hands import Hand, Hands
from .stored_points import BLOCK, SHAPE, Mesh, PointFile, Points, backwards, blocks

GAP = 30  # frames: the longest time for which a face is filled in between two places where it was seen
CANDIDATES = 600  # frames, at most, whose shapes are compared
CARRIED = 6  # frames for which a face goes on after it was lost, and before it was found
# The One Euro filter's lowest cutoff, and by how much that rises with speed, in frames and eye distances.
CUTOFF, HASTE = 0.05, 8.0


def face_of(mesh: Mesh) -> Face:
    """The face of a mesh (468, 2): the box around it, and the five points that it stands for."""
    box = np.concatenate([mesh.min(0), mesh.max(0)]).astype(float)
    points = five_points(mesh.astype(float))
    across, down = points[1] - points[0]
    return Face(box, points, turn=round(float(np.arctan2(down, across)) / (np.pi / 2)) % 4)


@dataclass(frozen=True, eq=False)
class MeshTrack:
    """One person in one shot of a video.

    person: from 1; the same person has the same number in other shots.
    shot: from 0.
    indexes: (N,), the numbers of the frames, rising.
    points: (N, 468, 2), in pixels of these frames, smoothed in time; of a long video they lie in a file.
    seen: (N,), whether the face was found there, or carried on from frames beside.
    hands: those near the face, which may lie before it.
    """

    person: int
    shot: int
    indexes: NDArray[np.int64]
    points: Points
    seen: NDArray[np.bool_]
    hands: Hands = field(default_factory=Hands)

    def mesh(self, index: int) -> Mesh | None:
        """The mesh (468, 2) in a frame, where there is one."""
        place = int(np.searchsorted(self.indexes, index))
        there = place < len(self.indexes) and self.indexes[place] == index
        return self.points[place] if there else None

    def meshes(self, indexes: Collection[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """The meshes (K, 468, 2) in frames in which there is one."""
        return self.points[np.searchsorted(self.indexes, np.array(indexes, np.int64))]

    def face(self, index: int) -> Face | None:
        """The face in a frame, where there is one."""
        mesh = self.mesh(index)
        return None if mesh is None else face_of(mesh)

    def between(self, start: int, stop: int) -> MeshTrack:
        """The frames from `start` to before `stop` alone."""
        first, end = np.searchsorted(self.indexes, (start, stop))
        some = slice(int(first), int(end))
        indexes, points, seen = (np.array(each[some]) for each in (self.indexes, self.points, self.seen))
        return replace(self, indexes=indexes, points=points, seen=seen, hands=self.hands.between(start, stop))

    @cached_property
    def side(self) -> float:
        """The shorter side of the face, in pixels, where it is largest."""
        return max(float((some.max(1) - some.min(1)).min(1).max()) for some in blocks(self.points))

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """The first and the last frame of each time in which the face was lost, and carried on."""
        return runs(self.indexes[~self.seen])

    @cached_property
    def key(self) -> int:
        """The frame that shows the face best: among those in which it is seen, the usual shape, and large."""
        seen = spread(np.flatnonzero(self.seen))
        shapes = normalised(self.points[seen])
        strange = np.linalg.norm(shapes - np.median(shapes, 0), axis=(1, 2))
        sides = np.linalg.norm(self.points[seen].std(1), axis=1)
        return int(self.indexes[seen[np.argmin(strange / strange.mean().clip(1e-6) - sides / sides.max())]])


@dataclass(frozen=True, eq=False)
class Tracks:
    """All faces of a video of `count` frames, by person and shot.

    shots: the first frame of each.
    """

    tracks: tuple[MeshTrack, ...]
    shots: tuple[int, ...]
    count: int

    @property
    def people(self) -> tuple[int, ...]:
        """The numbers of the people, those first who are shown most."""
        return tuple(dict.fromkeys(track.person for track in self.tracks))

    def of(self, people: Collection[int]) -> Tracks:
        """The same video, with these people alone."""
        return replace(self, tracks=tuple(track for track in self.tracks if track.person in people))

    def alone(self, place: int) -> Tracks:
        """The same video, with the track at this place alone."""
        return replace(self, tracks=self.tracks[place : place + 1])

    def between(self, start: int, stop: int) -> Tracks:
        """The same tracks, in the frames from `start` to before `stop` alone."""
        return replace(self, tracks=tuple(track.between(start, stop) for track in self.tracks))

    @property
    def lost(self) -> list[tuple[int, int, int]]:
        """(person, first frame, last frame) of each time in which a face was lost, and carried on."""
        return [(track.person, first, last) for track in self.tracks for first, last in track.gaps]

    def save(self, path: Path) -> None:
        """Write them into a file, whole or not at all."""
        parts = {
            f"{name}-{number}": getattr(track, name)
            for number, track in enumerate(self.tracks)
            for name in ("person", "shot", "indexes", "seen")
        }
        for number, track in enumerate(self.tracks):
            parts[f"hands-{number}"], parts[f"fingers-{number}"] = track.hands.indexes, track.hands.points
        with atomic_write(path, replace=True) as (part,):
            with part.open("wb") as file:
                np.savez(file, shots=np.array(self.shots, int), count=self.count, **parts)
            with ZipFile(part, "a") as archive:
                for number, track in enumerate(self.tracks):
                    _write_points(archive, f"points-{number}.npy", track.points)

    @classmethod
    def load(cls, path: Path) -> Tracks:
        """Read what `save` wrote.

        Raises:
            OSError, KeyError, ValueError: it is not there, or not that.
        """
        with arrays(path) as file:
            points, numbers = PointFile(), sum(name.startswith("person-") for name in file.files)
            tracks = [
                MeshTrack(
                    int(file[f"person-{number}"]),
                    int(file[f"shot-{number}"]),
                    file[f"indexes-{number}"],
                    points.extend(_read_points(file, f"points-{number}.npy")),
                    file[f"seen-{number}"],
                    Hands(file[f"hands-{number}"], file[f"fingers-{number}"]),
                )
                for number in range(numbers)
            ]
            return cls(tuple(tracks), tuple(file["shots"].tolist()), int(file["count"]))


def _write_points(archive: ZipFile, name: str, points: Points) -> None:
    """Write meshes (N, 468, 2) as `numpy.savez` does, without holding all of them."""
    kind = np.lib.format.dtype_to_descr(np.dtype(np.float32))
    with archive.open(name, "w", force_zip64=True) as part:
        about = {"descr": kind, "fortran_order": False, "shape": (len(points), *SHAPE)}
        np.lib.format.write_array_header_1_0(part, about)
        for some in blocks(points):
            part.write(some.tobytes())


def _read_points(file: NpzFile, name: str) -> Iterator[Mesh]:
    """Read what `_write_points` wrote, mesh by mesh."""
    archive: Any = file.zip
    with archive.open(name) as part:
        np.lib.format.read_magic(part)
        shape, _, kind = np.lib.format.read_array_header_1_0(part)
        if shape[1:] != SHAPE or kind != np.float32:
            raise ValueError("no points of faces")
        for start in range(0, shape[0], BLOCK):
            some = (min(BLOCK, shape[0] - start), *SHAPE)
            yield from np.frombuffer(part.read(4 * int(np.prod(some))), np.float32).reshape(some)


@contextmanager
def arrays(path: Path) -> Generator[NpzFile]:
    """The arrays of a file that `numpy.savez` wrote; nothing in it is ever run.

    Raises:
        OSError, ValueError: it is not there, or not that.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            yield file
    except (BadZipFile, EOFError) as error:
        raise ValueError(f"not an .npz file: {error}") from error


def spread(frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Frames (N,), or CANDIDATES of them at regular intervals where they are more."""
    return frames[np.linspace(0, len(frames) - 1, min(len(frames), CANDIDATES)).round().astype(int)]


def runs(frames: NDArray[np.int64]) -> list[tuple[int, int]]:
    """The first and last of each run of consecutive numbers, which rise."""
    parts = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)
    return [(int(part[0]), int(part[-1])) for part in parts if len(part)]


def normalised(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Meshes (N, 468, 2) about their middle, in units of their size, and with the eyes level."""
    centred = points - points.mean(1, keepdims=True)
    scaled = centred / np.sqrt(np.square(centred).mean((1, 2), keepdims=True)).clip(1e-6)
    across = scaled[:, 263] - scaled[:, 33]  # from one outer corner of the eyes to the other
    cos, sin = (across / np.linalg.norm(across, axis=1, keepdims=True).clip(1e-6)).T
    return np.einsum("npi,nij->npj", scaled, np.stack([[cos, -sin], [sin, cos]]).transpose(2, 0, 1))


def track_of(
    person: int,
    shot: int,
    meshes: Mapping[int, Mesh],
    first: int,
    end: int,
    size: tuple[int, int],
    hands: Iterable[Mapping[int, Hand]] = (),
    file: PointFile | None = None,
) -> MeshTrack:
    """The track of a person who was seen with these meshes and hands, by frame, in a shot from `first` up to
    `end`; its points are written into a file, by default one of their own.

    Short gaps are filled, and where a face is lost within the picture of `size` (width, height) it is carried
    on a little, from both sides.
    """
    seen = np.array(sorted(meshes))
    frames = list[int]()
    for start, last in runs(seen):
        before = start - frames[-1] - 1 if frames else start - first
        if frames and before <= GAP:
            frames += range(frames[-1] + 1, start)
        elif not at_border(meshes[start], size):
            frames += range(start - min(before, CARRIED), start)
        frames += range(start, last + 1)
        following = seen[seen > last]
        room = (following[0] if len(following) else end) - last - 1
        if room and not (len(following) and room <= GAP) and not at_border(meshes[last], size):
            frames += range(last + 1, last + 1 + min(room, CARRIED))
    numbers = np.unique(np.array(frames))
    filled = PointFile().extend(_filled(numbers, seen, meshes))
    parts = (np.searchsorted(numbers, run) for run in runs(numbers))
    each = (replace(filled, start=int(start), count=int(last - start) + 1) for start, last in parts)
    points = (file or PointFile()).extend(mesh for part in each for mesh in smoothed(part))
    return MeshTrack(person, shot, numbers, points, np.isin(numbers, seen), Hands.of(hands, first, end))


def at_border(mesh: Mesh, size: tuple[int, int]) -> bool:
    """Whether a face is about to leave a picture of (width, height), or comes in."""
    near = 0.1 * (mesh.max(0) - mesh.min(0)).max()
    return bool((mesh.min(0) < near).any() or (mesh.max(0) > np.array(size) - near).any())


def _filled(frames: NDArray[np.int64], seen: NDArray[np.int64], meshes: Mapping[int, Mesh]) -> Iterator[Mesh]:
    """Meshes for all frames: those known for frames `seen`, and what lies between them on straight lines."""
    for frame in frames.tolist():
        after = int(np.searchsorted(seen, frame).clip(0, len(seen) - 1))
        before = max(after - 1, 0) if seen[after] > frame else after
        share = np.float32((frame - seen[before]) / max(seen[after] - seen[before], 1)).clip(0, 1)
        yield (1 - share) * meshes[int(seen[before])] + share * meshes[int(seen[after])]


def smoothed(points: Points) -> Iterator[Mesh]:
    """Meshes (N, 468, 2) of consecutive frames without their tremor, one by one.

    The One Euro filter (Casiez et al. 2012, doi:10.1145/2207676.2208639) forwards and backwards, so that
    what moves does not lag behind.
    """
    eyes = [np.linalg.norm(some[:, 263] - some[:, 33], axis=1) for some in blocks(points)]
    unit = float(np.concatenate(eyes).mean()) or 1.0
    behind = PointFile().extend(_one_euro(backwards(points), unit))
    ahead = _one_euro((mesh for some in blocks(points) for mesh in some), unit)
    for one, other in zip(ahead, backwards(behind), strict=True):
        yield (one + other) * np.float32(0.5)


def _one_euro(points: Iterable[Mesh], unit: float) -> Iterator[Mesh]:
    following, speed = iter(points), np.zeros((SHAPE[0], 1), np.float32)
    result = next(following)
    yield result
    for mesh in following:
        moved = np.linalg.norm(mesh - result, axis=-1, keepdims=True) / unit
        speed += 0.5 * (moved - speed)
        rate = 2 * np.pi * (CUTOFF + HASTE * speed)
        result = result + rate / (1 + rate) * (mesh - result)
        yield result
