"""Which of seven expressions is read. The engine uses this network too: it is no independent judge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .figures import Measured, measure
from .reading import Reading


@measure("expression (a network that the engine uses too)", "which expression is read", independent=False)
def emotion(before: Reading, after: Reading) -> Sequence[Measured]:
    """How often the same one is read, and how much probability goes to others."""
    both = before.found & after.found
    old, new = before.expressions[both], after.expressions[both]
    same = 100 * (old.argmax(1) == new.argmax(1)).mean() if len(old) else float("nan")
    moved = 50 * np.abs(new - old).sum(1).mean() if len(old) else float("nan")
    return [
        Measured("the same one", float(same), "% of frames", "higher"),
        Measured("probability moved", float(moved), "%", "lower"),
    ]
