"""What a benchmark is handed, since the judge must not know the engine: how to protect, and how to purify."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...attacks.faces.detection import find_faces
from ...attacks.faces.tracks import Tracks
from ...core.registry import Registry, unknown
from ...core.types import Face, Photo, Pixels
from ..detectors import DETECTORS, Detector
from ..disturbances import Disturbance


class Protect(Protocol):
    """Protects one face of a photo; `values` are all settings of the method, `target` whom to look like,
    `album` protected photos of the person, from which the result is kept apart, `references` others as they
    are, which say better who it is."""

    def __call__(
        self,
        photo: Photo,
        face: Face,
        values: Mapping[str, Any],
        target: tuple[Photo, Face] | None,
        album: Sequence[tuple[Photo, Face]],
        references: Sequence[tuple[Photo, Face]] = (),
    ) -> Photo: ...


class ProtectClip(Protocol):
    """Finds the changes of all tracks of a clip; `frames_of` reads frames (H, W, 3) by their numbers.

    Returns what draws them into a frame, by its number, and the worst surrogate's margin in any track.
    """

    def __call__(
        self,
        frames_of: Callable[[Collection[int]], Iterator[tuple[int, Pixels]]],
        tracks: Tracks,
        values: Mapping[str, Any],
    ) -> tuple[Callable[[Pixels, int], Pixels], float]: ...


@dataclass(frozen=True)
class EngineHooks:
    """What is handed to the judge.

    protect: protects one face of a photo.
    resolve: all settings of a method, checked: (method, preset, settings) -> settings that JSON can hold.
    current_names: settings as files of before name them -> the same settings by today's names.
    disturbances: the judge's own and those that need the engine.
    make_person: a portrait of somebody who does not exist, another for each seed.
    protect_clip: protects all tracks of a clip.
    """

    protect: Protect
    resolve: Callable[[str, str, Mapping[str, Any]], dict[str, Any]]
    current_names: Callable[[Mapping[str, Any]], dict[str, Any]]
    disturbances: Registry[Disturbance]
    make_person: Callable[[int], Photo]
    protect_clip: ProtectClip

    def condition(self, name: str) -> tuple[Disturbance, Detector]:
        """What happens to a photo before it is recognised, and how faces are found in it.

        Raises:
            UnknownName: no disturbance and no detector has this name.
        """
        if name in DETECTORS:
            return self.disturbances["none"], DETECTORS[name]
        if name not in self.disturbances:
            raise unknown("disturbance", name, (*self.disturbances, *DETECTORS))
        return self.disturbances[name], find_faces
