"""The whole story: a face goes in, its adversarial latent is found, and the change comes back into the photo.

Follows arXiv 2503.10350 (CVPR 2025) with the corrections that docs/method.md lists: invert only as deep as
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
from ..core.images import to_tensor
from ..core.progress import WithResult
from ..core.types import Crop, Face, Photo, Steps
from . import Protected
from .embeddings import learn
from .face_context import FaceContext, align_crop, context_of
from .inversion import invert, levels
from .latent import InvertedFaces, Optimisation, optimise, reconstruct
from .paste import feather, paste
from .penalties import change_energy
from .priors import Prior, prior
from .settings import Settings

# crops, canvases and objectives of some faces -> the changes of their crops (B, 3, S, S)
Find = Callable[[Sequence[Crop], Sequence[FaceContext], Sequence[Ensemble]], Steps[Tensor]]


def protect(
    photo: Photo, faces: Sequence[Face], settings: Settings, target: tuple[Photo, Face] | None = None
) -> Steps[Protected]:
    """Protect faces by the diffusion engine; see `privacy.protect`."""
    used = prior(settings.prior, settings.size, settings.device)

    def find(
        crops: Sequence[Crop], canvases: Sequence[FaceContext], objectives: Sequence[Ensemble]
    ) -> Steps[Tensor]:
        return find_change(used, crops, canvases, settings, objectives)

    def crop_of(face: Face) -> Crop:
        return align_crop(photo.pixels, face, used.template, used.size, used.device)

    return (yield from protect_in_batches(photo, faces, settings, target, crop_of, find, used.batch))


def protect_in_batches(
    photo: Photo,
    faces: Sequence[Face],
    settings: Settings,
    target: tuple[Photo, Face] | None,
    crop_of: Callable[[Face], Crop],
    find: Find,
    batch: int = 1,
) -> Steps[Protected]:
    """Protect faces, `batch` at a time: cut the crops, find their changes, paste those into the photo.

    Raises:
        BadSettings: impersonation without a target, or a target without impersonation.
    """
    if (settings.goal == "impersonate") != (target is not None):
        raise BadSettings(
            "Impersonation needs a target, and only impersonation.", "Name a photo of the target."
        )
    surrogates = [surrogate(name) for name in settings.surrogates]
    pixels, done, sizes = photo.pixels, list[tuple[Crop, Ensemble]](), list[float]()
    for first in range(0, len(faces), batch):
        crops = [crop_of(face) for face in faces[first : first + batch]]
        canvases = [context_of(crop, photo.pixels, photo.grey) for crop in crops]
        objectives = [
            Ensemble(
                surrogates,
                canvas.image,
                face=canvas.face,
                target=(to_tensor(target[0].pixels).to(canvas.image), target[1]) if target else None,
                source_weight=settings.source_weight,
                standardise_cosines=settings.standardise_cosines,
                easy_surrogate_bias=settings.easy_surrogate_bias,
                views=settings.views,
                seed=settings.seed,
            )
            for canvas in canvases
        ]
        work = find(crops, canvases, objectives)
        changes = yield from _labelled(work, _which(first + 1, first + len(crops), len(faces)))
        for crop, objective, change in zip(crops, objectives, changes, strict=True):
            pixels = paste(pixels, change[None], crop.to_photo, photo.grey)
            done.append((crop, objective))
            blended = feather(change.shape[-1]).to(change) * change[None]
            sizes.append(255 * float(change_energy(blended).sqrt()) / settings.ceiling)
    # on the final pixels: the change of a neighbour may reach into a face that was pasted before it
    verdicts = [objective.verdict(context_of(crop, pixels).image) for crop, objective in done]
    similarity, leads = (tuple(column) for column in zip(*verdicts, strict=True)) if verdicts else ((), ())
    return Protected(photo.with_pixels(pixels), tuple(faces), similarity, settings, leads, tuple(sizes))


def find_change(
    prior: Prior,
    crops: Sequence[Crop],
    canvases: Sequence[FaceContext],
    settings: Settings,
    objectives: Sequence[Ensemble],
) -> Steps[Tensor]:
    """The changes (B, 3, S, S) of faces' crops that their objectives ask for, within the limits."""
    images = torch.cat([crop.pixels for crop in crops])
    begin = yield from invert_faces(prior, images, settings)
    origin = begin.reconstruction if settings.add_change else images
    return (yield from optimise(Optimisation(prior, begin, settings, canvases, objectives, origin)))


def invert_faces(prior: Prior, images: Tensor, settings: Settings) -> Steps[InvertedFaces]:
    """Invert crops (B, 3, S, S) to the working depth and learn the embeddings that lead them back."""
    timesteps = levels(prior, settings.schedule, settings.depth)
    with torch.no_grad():
        latent = prior.encode(images)
    trajectory = invert(prior, latent, timesteps)
    embeddings = yield from learn(
        prior, trajectory, timesteps, settings.embedding_steps, settings.embedding_rate
    )
    return reconstruct(prior, trajectory[-1], timesteps, embeddings)


def _which(first: int, last: int, total: int) -> str:
    """What to call some of a photo's faces, by number, before what is done with them."""
    if total == 1:
        return ""
    return f"face {first} of {total}: " if first == last else f"faces {first} to {last} of {total}: "


def _labelled(work: Steps[Tensor], label: str) -> Steps[Tensor]:
    """The same work, `label` before the name of each stage."""
    run = WithResult(work)
    for step in run:
        yield replace(step, stage=label + step.stage)
    return run.result
