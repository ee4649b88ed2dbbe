"""The whole story: a face goes in, its adversarial latent is found, and the change comes back into the photo.

Follows arXiv 2503.10350 (CVPR 2025) with the corrections that ARCHITECTURE.md lists: invert only as deep as
is edited, walk the original's way once, add the change instead of replacing the face.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..attacks import surrogate
from ..attacks.ensemble import Ensemble
from ..core.errors import BadSettings
from ..core.images import to_pixels, to_tensor
from ..core.progress import Run
from ..core.types import Crop, Face, Photo, Work
from . import Protected
from .canvas import Canvas, canvas_of, cut
from .embeddings import learn
from .inversion import invert, levels
from .latent import Optimisation, Start, optimise, start
from .paste import paste
from .priors import Prior, prior
from .settings import Settings

Find = Callable[[Crop, Canvas, Ensemble], Work[Tensor]]  # -> the change of the crop (1, 3, S, S)


def protect(
    photo: Photo, faces: Sequence[Face], settings: Settings, target: tuple[Photo, Face] | None = None
) -> Work[Protected]:
    """Protect faces by the diffusion engine; see `privacy.protect`."""
    used = prior(settings.prior, settings.size, settings.device)

    def find(crop: Crop, canvas: Canvas, objective: Ensemble) -> Work[Tensor]:
        return find_change(used, crop, canvas, settings, objective)

    def crop_of(face: Face) -> Crop:
        return cut(photo.pixels, face, used.template, used.size, used.device)

    return (yield from in_turn(photo, faces, settings, target, crop_of, find))


def in_turn(
    photo: Photo,
    faces: Sequence[Face],
    settings: Settings,
    target: tuple[Photo, Face] | None,
    crop_of: Callable[[Face], Crop],
    find: Find,
) -> Work[Protected]:
    """Protect faces one after the other: cut the crop, find its change, paste that into the photo.

    Raises:
        BadSettings: impersonation without a target, or a target without impersonation.
    """
    if (settings.goal == "impersonate") != (target is not None):
        raise BadSettings(
            "Impersonation needs a target, and only impersonation.", "Name a photo of the target."
        )
    surrogates = [surrogate(name) for name in settings.surrogates]
    pixels, similarity, leads = photo.pixels, list[dict[str, float]](), list[float]()
    for number, face in enumerate(faces, 1):
        crop = crop_of(face)
        canvas = canvas_of(crop, photo.pixels)
        objective = Ensemble(
            surrogates,
            canvas.image,
            face=canvas.face,
            target=(to_tensor(target[0].pixels).to(canvas.image), target[1]) if target else None,
            own_identity=settings.own_identity,
            balance=settings.balance,
            views=settings.views,
            seed=settings.seed,
        )
        label = f"face {number} of {len(faces)}: " if len(faces) > 1 else ""
        change = yield from _labelled(find(crop, canvas, objective), label)
        pixels = paste(pixels, change, crop.to_photo, photo.grey)
        alike, lead = objective.verdict(canvas_of(crop, pixels).image)
        similarity.append(alike)
        leads.append(lead)
    return Protected(photo.with_pixels(pixels), tuple(faces), tuple(similarity), settings, tuple(leads))


def find_change(
    prior: Prior, crop: Crop, canvas: Canvas, settings: Settings, objective: Ensemble
) -> Work[Tensor]:
    """The change (1, 3, S, S) of one face's crop that the objective asks for, within the limits."""
    begin = yield from find_start(prior, crop, settings)
    origin = begin.reconstruction if settings.compose else crop.pixels
    optimisation = Optimisation(prior, begin, settings, canvas, objective, origin)
    return (yield from optimise(optimisation, lambda change: to_pixels(canvas.with_change(change))))


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


def _labelled(work: Work[Tensor], label: str) -> Work[Tensor]:
    """The same work, `label` before the name of each stage."""
    run = Run(work)
    for step in run:
        yield replace(step, stage=label + step.stage)
    return run.result
