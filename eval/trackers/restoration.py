"""Restoration without training: JPEG, half the size and back, then a generative prior."""

from __future__ import annotations

from ...core.types import Sighting
from ..disturbances import DISTURBANCES
from . import Outcome, Restore, Task, tracker
from .template import seen_afresh

BEFORE = ("jpeg-75", "resize-50")  # what removes the finest of a cloak, before the prior


@tracker("JPEG 75, half the size and back, our prior", pairs="first")
def track(task: Task) -> Outcome:
    """Restore every query, then compare it with templates."""
    assert task.restore, "restoration needs a prior"
    return seen_afresh(task, [restored(shot.pictures[0], task.restore) for shot in task.queries])


def restored(sighting: Sighting, restore: Restore) -> Sighting:
    """The picture of a face after all of it, the face where it lay."""
    pixels = sighting.frame.pixels
    for name in BEFORE:
        pixels = DISTURBANCES[name](pixels)
    return Sighting(sighting.frame.with_pixels(restore(pixels)), sighting.face)
