"""The whole story: a face goes in, its adversarial latent is found, and the change comes back into the photo.

Follows arXiv 2503.10350 (CVPR 2025) with the corrections that docs/method.md lists: invert only as deep as
is edited, denoise the original once, add the change instead of replacing the face.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..attacks import Recognizer, surrogate
from ..attacks.ensemble import Ensemble, FaceImage, person_embeddings
from ..core.errors import BadSettings
from ..core.images import to_tensor
from ..core.progress import WithResult
from ..core.types import Item, Photo, Pixels, Sighting, Steps, Track
from . import Protected
from .embeddings import learn
from .face_context import Crop, align_crop, context_of
from .inversion import invert, levels
from .latent import InvertedFaces, Optimisation, optimise, reconstruct
from .paste import feather, paste
from .penalties import change_energy
from .priors import Prior, prior
from .settings import Settings
from .subject import Subject

CropOf: TypeAlias = Callable[[Sighting], Crop]
# What surrogates see of the photos of albums; it goes with them.
_ALBUMS: WeakKeyDictionary[Sighting, dict[tuple[str, ...], list[Tensor]]] = WeakKeyDictionary()
FindChange: TypeAlias = Callable[[Sequence[Subject]], Steps[Tensor]]  # -> of their crops (B, 3, S, S)


def protect(tracks: Sequence[Track], settings: Settings, target: Sighting | None = None) -> Steps[Protected]:
    """Protect people by the diffusion engine; see `privacy.protect`."""
    used = prior(settings.prior, settings.size, settings.device)

    def crop_of(sighting: Sighting) -> Crop:
        return align_crop(sighting.frame.pixels, sighting.face, used.template, used.size, used.device)

    def find(subjects: Sequence[Subject]) -> Steps[Tensor]:
        return find_change(used, subjects, settings)

    return (yield from protect_in_batches(tracks, settings, target, crop_of, find, used.batch))


def protect_in_batches(
    tracks: Sequence[Track],
    settings: Settings,
    target: Sighting | None,
    crop_of: CropOf,
    find: FindChange,
    batch: int = 1,
) -> Steps[Protected]:
    """Protect people, `batch` at a time: cut the crops, find their changes, paste those into the frames.

    Args:
        crop_of: cuts the canonical crop of a sighting.
        find: finds the changes of the crops of up to `batch` subjects.

    Raises:
        BadSettings: impersonation without a target, or a target without impersonation.
    """
    if (settings.goal == "impersonate") != (target is not None):
        raise BadSettings(
            "Impersonation needs a target, and only impersonation.", "Name a photo of the target."
        )
    surrogates = [surrogate(name) for name in settings.surrogates]
    frames = {sighting.frame: sighting.frame.pixels for track in tracks for sighting in track.sightings}
    subjects, sizes = list[Subject](), list[float]()
    for first in range(0, len(tracks), batch):
        some = [subject_of(track, crop_of, surrogates, settings, target) for track in tracks[first:][:batch]]
        changes = yield from _numbered(find(some), Item(first + 1, first + len(some), len(tracks)))
        for subject, change in zip(some, changes, strict=True):
            for sighting, crop in zip(subject.track.sightings, subject.crops, strict=True):
                frame = sighting.frame
                frames[frame] = paste(frames[frame], change[None], crop.placement, frame.grey)
            blended = feather(change.shape[-1], change.device) * change[None]
            sizes.append(255 * float(change_energy(blended).sqrt()) / settings.ceiling)
        subjects += some
    # on the final pixels: the change of a neighbour may reach into a face that was pasted before it
    verdicts = [verdict(subject, frames) for subject in subjects]
    return Protected(
        tuple(frame.with_pixels(pixels) for frame, pixels in frames.items()),
        tuple(tracks),
        tuple(similarity for similarity, _ in verdicts),
        settings,
        tuple(margin for _, margin in verdicts),
        tuple(sizes),
    )


def subject_of(
    track: Track,
    crop_of: CropOf,
    surrogates: Sequence[Recognizer],
    settings: Settings,
    target: Sighting | None = None,
) -> Subject:
    """What there is of one person; the person's own embeddings are made here, once, of all sightings and
    references."""
    crops = tuple(crop_of(sighting) for sighting in track.sightings)
    contexts = tuple(
        context_of(crop, sighting.frame.pixels, sighting.frame.grey)
        for crop, sighting in zip(crops, track.sightings, strict=True)
    )
    own = [(context.image, context.face) for context in contexts]
    own += [elsewhere(one, crops[0]) for one in track.references]
    aim = [elsewhere(target, crops[0])] if target else None
    album = [seen_of(surrogates, one, crops[0]) for one in track.album]
    return Subject(track, crops, contexts, objective_of(surrogates, own, aim, settings, album))


def elsewhere(sighting: Sighting, crop: Crop) -> FaceImage:
    """A sighting in another frame, where the crop lies."""
    return to_tensor(sighting.frame.pixels).to(crop.pixels), sighting.face


def seen_of(surrogates: Sequence[Recognizer], sighting: Sighting, crop: Crop) -> list[Tensor]:
    """The embeddings (D,) of a sighting of an album, by surrogate: made once, however many photos follow."""
    known = _ALBUMS.setdefault(sighting, {})
    key = (*(one.name for one in surrogates), str(crop.pixels.device))
    if key not in known:
        known[key] = person_embeddings(surrogates, [elsewhere(sighting, crop)])
    return known[key]


def objective_of(
    surrogates: Sequence[Recognizer],
    own: Sequence[FaceImage],
    target: Sequence[FaceImage] | None,
    settings: Settings,
    album: Sequence[Sequence[Tensor]] = (),
) -> Ensemble:
    """The objective that the settings ask for, of a person whom clean images show.

    Args:
        album: of each protected photo of an album the embeddings (D,), by surrogate.
    """
    return Ensemble(
        surrogates,
        person_embeddings(surrogates, own),
        album=[torch.stack(vectors) for vectors in zip(*album, strict=True)] or None,
        target=person_embeddings(surrogates, target) if target else None,
        source_weight=settings.source_weight,
        standardise_cosines=settings.standardise_cosines,
        easy_surrogate_bias=settings.easy_surrogate_bias,
        album_slack=settings.album_slack,
        views=settings.views,
        seed=settings.seed,
    )


def verdict(subject: Subject, frames: dict[Photo, Pixels]) -> tuple[dict[str, float], float]:
    """What surrogates make of a subject in the pixels (H, W, 3) of protected frames: the largest cosine to
    the own embedding by surrogate, and the worst margin, of all sightings."""
    found = list[tuple[dict[str, float], float]]()
    for sighting, crop in zip(subject.track.sightings, subject.crops, strict=True):
        context = context_of(crop, frames[sighting.frame])
        found.append(subject.objective.verdict(context.image, context.face))
    cosines = [cosine for cosine, _ in found]
    return {name: max(one[name] for one in cosines) for name in cosines[0]}, min(
        margin for _, margin in found
    )


def find_change(prior: Prior, subjects: Sequence[Subject], settings: Settings) -> Steps[Tensor]:
    """The changes (B, 3, S, S) of subjects' crops that their objectives ask for, below the ceiling."""
    images = torch.cat([subject.crop.pixels for subject in subjects])
    inverted = yield from invert_faces(prior, images, settings)
    origin = inverted.reconstruction if settings.add_change else images
    return (yield from optimise(Optimisation(prior, inverted, settings, subjects, origin)))


def invert_faces(prior: Prior, images: Tensor, settings: Settings) -> Steps[InvertedFaces]:
    """Invert crops (B, 3, S, S) to the working depth and learn the embeddings that lead them back (section
    3.2 of the paper)."""
    timesteps = levels(prior, settings.schedule, settings.depth)
    with torch.no_grad():
        latent = prior.encode(images)
    trajectory = invert(prior, latent, timesteps)
    embeddings = yield from learn(
        prior, trajectory, timesteps, settings.embedding_steps, settings.embedding_rate
    )
    return reconstruct(prior, trajectory[-1], timesteps, embeddings)


def _numbered(work: Steps[Tensor], item: Item) -> Steps[Tensor]:
    """The same work, each step naming whom it is about, where there are several."""
    run = WithResult(work)
    for step in run:
        yield replace(step, item=item) if item.total > 1 else step
    return run.result
