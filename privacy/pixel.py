"""Pixel attacks as methods: with the engine's objective, its view of the face and its blend at the border.

So a comparison with the engine compares the way in which the change is made, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from pydantic import Field
from torch import Tensor

from ..attacks.ensemble import Ensemble
from ..attacks.faces import template_transform
from ..attacks.pixel import ATTACKS, Budget
from ..core.types import Crop, Face, Photo, Steps
from . import Protected
from .engine import protect_in_batches
from .face_context import FaceContext, align_crop, detail
from .priors import resolve_device
from .priors.portrait import SIZE, TEMPLATE
from .settings import Settings

EPSILON = 8 / 255
FINEST = 2 * SIZE  # pixels: the side of the largest crop whose pixels are changed one by one


class PixelSettings(Settings):
    """Settings, and how far a pixel attack may move each value, in [0, 1]."""

    epsilon: float = Field(EPSILON, gt=0, le=1)


def protect(
    attack: str,
    photo: Photo,
    faces: Sequence[Face],
    settings: Settings,
    target: tuple[Photo, Face] | None = None,
) -> Steps[Protected]:
    """Protect faces by a pixel attack; see `privacy.protect`."""
    epsilon = settings.epsilon if isinstance(settings, PixelSettings) else EPSILON
    budget = Budget(epsilon, settings.steps, settings.seed)

    def crop_of(face: Face) -> Crop:
        """The engine's crop, in about as many pixels as the photo has there."""
        size = int(np.clip(round(SIZE * detail(template_transform(face, TEMPLATE, SIZE))), SIZE, FINEST))
        return align_crop(photo.pixels, face, TEMPLATE, size, resolve_device(settings.device))

    def find(
        crops: Sequence[Crop], canvases: Sequence[FaceContext], objectives: Sequence[Ensemble]
    ) -> Steps[Tensor]:
        ((crop, canvas, objective),) = zip(crops, canvases, objectives, strict=True)
        image = crop.pixels.clamp(0, 1)
        return ATTACKS[attack](image, lambda x: objective(canvas.with_change(x - image)), budget)

    return (yield from protect_in_batches(photo, faces, settings, target, crop_of, find))


identity = partial(protect, "identity")
random_noise = partial(protect, "random-noise")
pgd = partial(protect, "pgd")
mi_fgsm = partial(protect, "mi-fgsm")
ti_dim = partial(protect, "ti-dim")
tip_im = partial(protect, "tip-im")
