"""A gallery that grows: each photo that is recognised joins the template of whom it was taken for.

DynTracker (arXiv 2501.06533): a cloak that is weak once lets the next ones be recognised by their own kind.
"""

from __future__ import annotations

import numpy as np

from . import Album, Outcome, Task, tracker
from .template import albums, scored, templates


@tracker(
    "adds what it recognises",
    pairs="none",
    albums=tuple(Album(1, passing=passing) for passing in range(3)),
)
def track(task: Task) -> Outcome:
    """Add of the passing photos, in their order, those that are recognised; then compare queries."""
    known = albums(task.gallery)
    people = list(known)
    for shot in task.passing:
        cosines = templates(known) @ shot.vector
        nearest = int(cosines.argmax())
        if cosines[nearest] > task.threshold:
            known[people[nearest]] = np.vstack([known[people[nearest]], shot.vector])
    return scored(known, task.queries)
