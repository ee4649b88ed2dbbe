"""The engine without an attack: what its prior alone makes of a face, the floor of every figure."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.progress import finish
from ..core.types import Sighting, Stage, Step, Steps, Track
from . import Protected
from .engine import invert_faces
from .face_context import align_crop
from .paste import paste
from .priors import prior
from .settings import Settings


def protect(tracks: Sequence[Track], settings: Settings, target: Sighting | None = None) -> Steps[Protected]:
    """Replace faces by their reconstruction: inverted, with learned embeddings, and denoised again."""
    used = prior(settings.prior, settings.size, settings.device)
    sightings = [sighting for track in tracks for sighting in track.sightings]
    frames = {sighting.frame: sighting.frame.pixels for sighting in sightings}
    for number, sighting in enumerate(sightings, 1):
        frame = sighting.frame
        crop = align_crop(frame.pixels, sighting.face, used.template, used.size, used.device)
        change = finish(invert_faces(used, crop.pixels, settings)).reconstruction - crop.pixels
        frames[frame] = paste(frames[frame], change, crop.placement, frame.grey)
        yield Step(Stage.RECONSTRUCTING, number, len(sightings))
    results = tuple(frame.with_pixels(pixels) for frame, pixels in frames.items())
    return Protected(results, tuple(tracks), ({},) * len(tracks), settings)
