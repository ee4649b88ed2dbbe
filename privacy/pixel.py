"""Pixel attacks as methods: with the engine's objective, its context of the face and its blend at the border.

So a comparison with the engine compares the way in which the change is made, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from pydantic import Field
from torch import Tensor

from ..attacks.faces.transforms import template_transform
from ..attacks.pixel import ATTACKS, Budget
from ..core.types import Sighting, Steps, Track
from . import Protected
from .engine import protect_in_batches
from .face_context import Crop, align_crop
from .placement import Placement
from .priors import resolve_device
from .priors.portrait import SIZE, TEMPLATE
from .settings import Settings
from .subject import Subject

EPSILON = 8 / 255
FINEST = 2 * SIZE  # pixels: the side of the largest crop whose pixels are changed one by one


class PixelSettings(Settings):
    """Settings, and how far a pixel attack may move each value, in [0, 1]."""

    epsilon: float = Field(EPSILON, gt=0, le=1, description="how far each value may move")


def protect(
    attack: str, tracks: Sequence[Track], settings: Settings, target: Sighting | None = None
) -> Steps[Protected]:
    """Protect people by a pixel attack; see `privacy.protect`."""
    epsilon = settings.epsilon if isinstance(settings, PixelSettings) else EPSILON
    budget = Budget(epsilon, settings.steps, settings.seed)

    def crop_of(sighting: Sighting) -> Crop:
        """The engine's crop, in about as many pixels as the frame has there."""
        face = sighting.face
        scale = Placement(template_transform(face, TEMPLATE, SIZE), SIZE).scale
        size = int(np.clip(round(SIZE * scale), SIZE, FINEST))
        return align_crop(sighting.frame.pixels, face, TEMPLATE, size, resolve_device(settings.device))

    def find(subjects: Sequence[Subject]) -> Steps[Tensor]:
        (subject,) = subjects
        image = subject.crop.pixels.clamp(0, 1)
        return ATTACKS[attack](image, lambda changed: subject.loss(changed - image), budget)

    return (yield from protect_in_batches(tracks, settings, target, crop_of, find))


identity = partial(protect, "identity")
random_noise = partial(protect, "random-noise")
pgd = partial(protect, "pgd")
mi_fgsm = partial(protect, "mi-fgsm")
ti_dim = partial(protect, "ti-dim")
tip_im = partial(protect, "tip-im")
