"""Several cloaks of one photo, averaged: what differs from one to the other fades."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...core.types import Sighting
from . import Outcome, Shot, Task, tracker
from .template import seen_afresh


@tracker("averages cloaks", pairs="none", averages=True)
def track(task: Task) -> Outcome:
    """Compare the mean of each query's pictures, which have one size, with templates."""
    outcome = seen_afresh(task, [averaged(shot) for shot in task.queries])
    return replace(outcome, photos=outcome.photos + max(len(shot.pictures) for shot in task.queries))


def averaged(shot: Shot) -> Sighting:
    """The mean picture, the face as it lies in the first."""
    mean = np.mean([picture.frame.pixels for picture in shot.pictures], 0)
    first = shot.pictures[0]
    return Sighting(first.frame.with_pixels(np.rint(mean).astype(np.uint8)), first.face)
