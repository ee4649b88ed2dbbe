"""Pixel attacks as methods: with the engine's objective, its view of the face and its blend at the border.

So a comparison with the engine compares the way in which the change is made, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from pydantic import Field
from torch import Tensor

from ..attacks import recognizer
from ..attacks.ensemble import Ensemble
from ..attacks.faces import fit, warp
from ..attacks.pixel import ATTACKS, Budget
from ..core.images import to_tensor
from ..core.types import Crop, Face, Objective, Photo, Pixels, Work
from . import Protected
from .engine import Canvas, canvas_of
from .paste import feather, paste, shifted, spread, window
from .priors.portrait import SIZE, TEMPLATE
from .settings import Settings

EPSILON = 8 / 255
FINEST = 2 * SIZE  # pixels: the side of the largest crop whose pixels are changed one by one


class PixelSettings(Settings):
    """Settings, and how far a pixel attack may move each value, in [0, 1]."""

    epsilon: float = Field(EPSILON, gt=0, le=1)


def cut(pixels: Pixels, face: Face) -> Crop:
    """The engine's crop of a face, in about as many pixels as the photo has there."""
    to_photo = fit(face, TEMPLATE, SIZE)
    detail = float(np.linalg.det(to_photo[:, :2])) ** 0.5  # pixels of the photo for one of the crop
    size = int(np.clip(round(SIZE * detail), SIZE, FINEST))
    to_photo = fit(face, TEMPLATE, size)
    left, top, right, bottom = window(to_photo, size, pixels.shape[1], pixels.shape[0], 0.05)
    part = to_tensor(pixels[top:bottom, left:right])
    return Crop(warp(part, shifted(to_photo, left, top), size, "border"), face, to_photo)


def protect(
    attack: str,
    photo: Photo,
    faces: Sequence[Face],
    settings: Settings,
    target: tuple[Photo, Face] | None = None,
) -> Work[Protected]:
    """Protect faces one after the other by a pixel attack; see `privacy.protect`."""
    surrogates = [recognizer(name) for name in settings.surrogates]
    epsilon = settings.epsilon if isinstance(settings, PixelSettings) else EPSILON
    aim = (to_tensor(target[0].pixels), target[1]) if target else None
    pixels, similarity = photo.pixels, list[dict[str, float]]()
    for face in faces:
        crop = cut(photo.pixels, face)
        canvas = canvas_of(crop, photo.pixels)
        objective = Ensemble(
            surrogates,
            canvas.image,
            canvas.face,
            target=aim,
            own_identity=settings.own_identity,
            balance=settings.balance,
            views=settings.views,
            seed=settings.seed,
        )
        budget = Budget(epsilon, settings.steps, settings.seed)
        image = crop.pixels.clamp(0, 1)
        change = yield from ATTACKS[attack](image, composed(canvas, image, objective), budget)
        pixels = paste(pixels, change, crop.to_photo, photo.grey)
        similarity.append(objective.similarity(canvas_of(crop, pixels).image))
    return Protected(photo.with_pixels(pixels), tuple(faces), tuple(similarity), settings)


def composed(canvas: Canvas, image: Tensor, objective: Objective) -> Objective:
    """The objective of a crop (1, 3, S, S) whose change from `image` is blended into the canvas."""
    mask = feather(image.shape[-1])
    high, wide = canvas.image.shape[-2:]

    def seen(changed: Tensor) -> Tensor:
        layer = spread(mask * (changed - image), canvas.to_canvas, wide, high)
        return objective((canvas.image + layer).clamp(0, 1))

    return seen


identity = partial(protect, "identity")
random_noise = partial(protect, "random-noise")
pgd = partial(protect, "pgd")
mi_fgsm = partial(protect, "mi-fgsm")
ti_dim = partial(protect, "ti-dim")
tip_im = partial(protect, "tip-im")
