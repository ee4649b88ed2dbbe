"""Whom a method protects: what it is given of one person."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..attacks.ensemble import Ensemble
from ..core.types import Track
from .face_context import Crop, FaceContext


@dataclass(frozen=True, eq=False)
class Subject:
    """One person in the frames that show them.

    track: where the person was seen.
    crops: the canonical crop of each sighting; the change is made in the first, `crop`.
    contexts: of each sighting, what the objective sees there.
    objective: to be lowered.
    """

    track: Track
    crops: tuple[Crop, ...]
    contexts: tuple[FaceContext, ...]
    objective: Ensemble

    @property
    def crop(self) -> Crop:
        """The canonical crop of the key sighting."""
        return self.crops[0]

    @property
    def context(self) -> FaceContext:
        """The context whose turn it is: sightings take turns from one call of the objective to the next."""
        return self.contexts[self.objective.step % len(self.contexts)]

    def loss(self, change: Tensor) -> Tensor:
        """The objective (1,) of a change (1, 3, S, S) of the crop, in the sighting whose turn it is."""
        context = self.context
        return self.objective(context.with_change(change), context.face)
