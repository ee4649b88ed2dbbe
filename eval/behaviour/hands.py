"""Hands: whether they are found again, where their points lie, and what becomes of them before the face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...attacks.faces.hands import drift_of, over_face
from ...core.types import Array
from .figures import Measured, measure
from .reading import Reading


@measure("hands", "the hands", independent=False)
def hands(before: Reading, after: Reading) -> Sequence[Measured]:
    """The drift of the points, over all and before the face; none where no hand is found before."""
    drifts: list[float] = []
    before_face: list[float] = []
    lost = 0
    for index, (old, new) in enumerate(zip(before.hands, after.hands, strict=True)):
        for hand in old:
            drift = min((drift_of(hand, other) for other in new), default=float("inf"))
            if drift > 1:  # it is another hand
                lost += 1
                continue
            drifts.append(drift)
            if over_face(hand, before.mesh[index]):
                before_face.append(drift)
    total = len(drifts) + lost
    if not total:
        return []
    share = 100 / len(before.times[:: before.rarely])
    frames = sum(any(over_face(hand, mesh) for hand in old) for old, mesh in _frames(before))
    figures = [
        Measured("found again", 100 * len(drifts) / total, "%", "higher"),
        Measured("drift", 100 * float(np.mean(drifts)) if drifts else float("nan"), "% of a palm", "lower"),
        Measured("frames with a hand over the face", share * frames, "%", ""),
    ]
    if before_face:
        figures.append(
            Measured("drift over the face", 100 * float(np.mean(before_face)), "% of a palm", "lower")
        )
    return figures


def _frames(reading: Reading) -> Sequence[tuple[tuple[Array, ...], Array]]:
    return [*zip(reading.hands, reading.mesh, strict=True)]
