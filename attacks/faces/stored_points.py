"""Points of faces in temporary files: an hour of them takes gigabytes, of which memory holds a few frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from os import SEEK_END
from tempfile import TemporaryFile
from typing import Any, TypeAlias
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

Mesh: TypeAlias = NDArray[np.float32]  # (468, 2), in pixels of the frame
SHAPE = (468, 2)
BYTES = 468 * 2 * 4  # of a mesh
BLOCK = 256  # meshes that are read at one time


class PointFile:
    """Meshes (468, 2) in a file that has no name and is deleted with this; they are only ever added to it."""

    def __init__(self) -> None:
        self._file = TemporaryFile()
        finalize(self, self._file.close)
        self._count = 0

    def add(self, mesh: Mesh) -> int:
        """Write a mesh; the place at which it lies."""
        self._file.seek(0, SEEK_END)
        self._file.write(np.asarray(mesh, np.float32).tobytes())
        self._count += 1
        return self._count - 1

    def extend(self, meshes: Iterable[Mesh]) -> StoredPoints:
        """Write meshes one after the other."""
        start = self._count
        for mesh in meshes:
            self.add(mesh)
        return StoredPoints(self, start, self._count - start)

    def read(self, start: int, count: int) -> NDArray[np.float32]:
        """So many meshes (N, 468, 2) from a place on."""
        self._file.seek(start * BYTES)
        return np.frombuffer(bytearray(self._file.read(count * BYTES)), np.float32).reshape(count, *SHAPE)


@dataclass(frozen=True, eq=False)
class StoredPoints:
    """Meshes of a file as an array (N, 468, 2), of which as much is read as is asked for."""

    file: PointFile
    start: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, which: int | slice | list[int] | NDArray[Any]) -> NDArray[np.float32]:
        places = np.arange(self.start, self.start + self.count)[which]
        if isinstance(which, slice) and which.step is None:
            return self.file.read(int(places[0]) if len(places) else 0, len(places))
        meshes = [self.file.read(place, 1)[0] for place in np.atleast_1d(places).tolist()]
        return np.array(meshes, np.float32).reshape(*places.shape, *SHAPE)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        return np.asarray, (self[:],)  # another process has not got the file


Points: TypeAlias = NDArray[np.float32] | StoredPoints  # (N, 468, 2)


def blocks(points: Points) -> Iterator[NDArray[np.float32]]:
    """Meshes (N, 468, 2), BLOCK at a time."""
    for start in range(0, len(points), BLOCK):
        yield points[start : start + BLOCK]


def backwards(points: Points) -> Iterator[Mesh]:
    """Each mesh, from the last to the first."""
    for end in range(len(points), 0, -BLOCK):
        yield from points[max(end - BLOCK, 0) : end][::-1]


class StoredMeshes(MutableMapping[int, Mesh]):
    """Meshes by frame, which lie in a file."""

    def __init__(self, file: PointFile, known: Mapping[int, Mesh]) -> None:
        self._file = file
        self._places = {frame: file.add(mesh) for frame, mesh in known.items()}

    def __getitem__(self, frame: int) -> Mesh:
        return self._file.read(self._places[frame], 1)[0]

    def __setitem__(self, frame: int, mesh: Mesh) -> None:
        self._places[frame] = self._file.add(mesh)

    def __delitem__(self, frame: int) -> None:
        del self._places[frame]

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, frame: object) -> bool:
        return frame in self._places
