"""What a benchmark is handed: the engine, its settings and its purifiers; the judge itself knows none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import ValidationError

from ..attacks.faces.tracks import Tracks
from ..attacks.pixel import ATTACKS
from ..core.progress import finish
from ..core.refusals import refused
from ..core.types import Face, Photo, Pixels, Sighting, Track
from ..eval.benchmark import EngineHooks
from ..eval.disturbances import DISTURBANCES
from ..privacy import METHODS
from ..privacy import protect as engine
from ..privacy.pixel import PixelSettings
from ..privacy.purification import PURIFIERS
from ..privacy.sampling import made_up
from ..privacy.settings import Settings, renamed, settings
from ..privacy.video import FramesOf, find_changes, render
from .workflow import device


def protect(
    photo: Photo,
    face: Face,
    values: Mapping[str, Any],
    target: tuple[Photo, Face] | None,
    album: Sequence[tuple[Photo, Face]] = (),
    references: Sequence[tuple[Photo, Face]] = (),
) -> Photo:
    """Protect one face of a photo."""
    aim = Sighting(*target) if target else None
    beside = (tuple(Sighting(*one) for one in some) for some in (album, references))
    track = Track((Sighting(photo, face),), *beside)
    return finish(engine([track], _settings(values), aim)).photo


def protect_clip(
    frames_of: FramesOf, tracks: Tracks, values: Mapping[str, Any]
) -> tuple[Callable[[Pixels, int], Pixels], float]:
    """Find the changes of a clip's tracks; returns what draws them into a frame, and the worst margin."""
    change = finish(find_changes(frames_of, tracks, _settings(values)))
    return partial(render, change=change), min(change.margins)


def resolve(method: str, preset: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a method, checked.

    Raises:
        UnknownName: there is no such method.
        BadSettings: no such preset, or a value that is not allowed.
    """
    own = {key: value for key, value in changes.items() if key == "epsilon" and method in ATTACKS}
    rest = {key: value for key, value in changes.items() if key not in own}
    chosen = settings(preset, method=METHODS.check(method), **{"device": device(), **rest})
    return _settings(chosen.model_dump() | own).model_dump(mode="json")


def _settings(values: Mapping[str, Any]) -> Settings:
    kind = PixelSettings if values["method"] in ATTACKS else Settings
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise refused(error, kind, "setting") from error


ENGINE_HOOKS = EngineHooks(protect, resolve, renamed, DISTURBANCES | PURIFIERS, made_up, protect_clip)
