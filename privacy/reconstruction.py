"""The engine without an attack: what its prior alone makes of a face, the floor of every figure."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.progress import finish
from ..core.types import Face, Photo, Step, Steps
from . import Protected
from .engine import invert_faces
from .face_context import align_crop
from .paste import paste
from .priors import prior
from .settings import Settings


def protect(
    photo: Photo, faces: Sequence[Face], settings: Settings, target: tuple[Photo, Face] | None = None
) -> Steps[Protected]:
    """Replace faces by their reconstruction: inverted, with learned embeddings, and denoised again."""
    used, pixels = prior(settings.prior, settings.size, settings.device), photo.pixels
    for number, face in enumerate(faces, 1):
        crop = align_crop(photo.pixels, face, used.template, used.size, used.device)
        rebuilt = finish(invert_faces(used, crop.pixels, settings)).reconstruction
        pixels = paste(pixels, rebuilt - crop.pixels, crop.to_photo, photo.grey)
        yield Step("rebuilding", number, len(faces))
    return Protected(photo.with_pixels(pixels), tuple(faces), ({},) * len(faces), settings)
