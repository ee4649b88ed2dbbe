"""The whole story: a face goes in, its adversarial latent is found, and the change comes back into the photo.

Follows arXiv 2503.10350 (CVPR 2025) with the corrections that ARCHITECTURE.md lists: invert only as deep as
is edited, walk the original's way once, add the change instead of replacing the face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..attacks import recognizer
from ..attacks.ensemble import Ensemble
from ..attacks.faces import fit, warp
from ..core.errors import BadSettings
from ..core.images import to_pixels, to_tensor
from ..core.progress import Run
from ..core.types import Array, Crop, Face, Photo, Pixels, Work
from . import Protected
from .embeddings import learn
from .inversion import invert, levels
from .latent import Optimisation, Start, optimise, start
from .paste import feather, paste, shifted, spread, window
from .priors import Prior, prior
from .settings import Settings

MARGIN = 0.35  # of the crop's side: what recognisers may look at around it
DETAIL = 2.0  # pixels of the canvas for one of the prior's crop, at most: finer than any recogniser looks


@dataclass(frozen=True)
class Canvas:
    """The part of a photo around one face, no larger than recognisers need: what the objective looks at."""

    image: Tensor  # (1, 3, H, W)
    face: Face
    to_canvas: Array  # (2, 3), from the prior's crop


def protect(
    photo: Photo, faces: Sequence[Face], settings: Settings, target: tuple[Photo, Face] | None = None
) -> Work[Protected]:
    """Protect faces one after the other; see `privacy.protect`."""
    if (settings.goal == "impersonate") != (target is not None):
        raise BadSettings(
            "Impersonation needs a target, and only impersonation.", "Name a photo of the target."
        )
    used, surrogates = prior(settings.prior), [recognizer(name) for name in settings.surrogates]
    pixels, similarity = photo.pixels, list[dict[str, float]]()
    for number, face in enumerate(faces, 1):
        crop = cut(used, photo.pixels, face)
        canvas = canvas_of(crop, photo.pixels)
        objective = Ensemble(
            surrogates,
            canvas.image,
            face=canvas.face,
            target=(to_tensor(target[0].pixels), target[1]) if target else None,
            own_identity=settings.own_identity,
            balance=settings.balance,
            views=settings.views,
            seed=settings.seed,
        )
        label = f"face {number} of {len(faces)}: " if len(faces) > 1 else ""
        change = yield from _labelled(find_change(used, crop, canvas, settings, objective), label)
        pixels = paste(pixels, change, crop.to_photo, photo.grey)
        similarity.append(objective.similarity(canvas_of(crop, pixels).image))
    return Protected(photo.with_pixels(pixels), tuple(faces), tuple(similarity), settings)


def find_change(
    prior: Prior, crop: Crop, canvas: Canvas, settings: Settings, objective: Ensemble
) -> Work[Tensor]:
    """The change (1, 3, S, S) of one face's crop that the objective asks for, within the limits."""
    begin = yield from find_start(prior, crop, settings)
    mask = feather(prior.size)
    high, wide = canvas.image.shape[-2:]

    def compose(change: Tensor) -> Tensor:
        return (canvas.image + spread(mask * change, canvas.to_canvas, wide, high)).clamp(0, 1)

    origin = begin.reconstruction if settings.compose else crop.pixels
    optimisation = Optimisation(prior, begin, settings, compose, objective, origin)
    return (yield from optimise(optimisation, lambda change: to_pixels(compose(change))))


def find_start(prior: Prior, crop: Crop, settings: Settings) -> Work[Start]:
    """Invert a crop to the working depth and learn the embeddings that lead it back."""
    timesteps = levels(prior, settings.schedule, settings.depth)
    with torch.no_grad():
        latent = prior.encode(crop.pixels)
    trajectory = invert(prior, latent, timesteps)
    embeddings = yield from learn(
        prior, trajectory, timesteps, settings.embedding_steps, settings.embedding_rate
    )
    return start(prior, trajectory[-1], timesteps, embeddings)


def cut(prior: Prior, pixels: Pixels, face: Face) -> Crop:
    """The prior's crop of a face."""
    to_photo = fit(face, prior.template, prior.size)
    left, top, right, bottom = window(to_photo, prior.size, pixels.shape[1], pixels.shape[0], 0.05)
    part = to_tensor(pixels[top:bottom, left:right])
    return Crop(warp(part, shifted(to_photo, left, top), prior.size, "border"), face, to_photo)


def canvas_of(crop: Crop, pixels: Pixels) -> Canvas:
    """The canvas of a crop's face, cut out of the pixels of its photo."""
    size = crop.pixels.shape[-1]
    left, top, right, bottom = window(crop.to_photo, size, pixels.shape[1], pixels.shape[0], MARGIN)
    part = Image.fromarray(pixels[top:bottom, left:right])
    detail = float(np.linalg.det(crop.to_photo[:, :2])) ** 0.5  # pixels of the photo for one of the crop
    wide = max(1, round(part.width * min(1.0, DETAIL / detail)))
    scale = wide / part.width
    part = part.resize((wide, max(1, round(part.height * scale))), Image.Resampling.BOX)
    rest = (scale - 1) / 2
    face = crop.face.moved(scale, rest - left * scale, rest - top * scale)
    return Canvas(to_tensor(np.asarray(part)), face, shifted(crop.to_photo, left, top, scale))


def _labelled(work: Work[Tensor], label: str) -> Work[Tensor]:
    """The same work, `label` before the name of each stage."""
    run = Run(work)
    for step in run:
        yield replace(step, stage=label + step.stage)
    return run.result
