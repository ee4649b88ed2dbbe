"""What recognisers make of a person through the frames of a protected video, and whether the change flickers.

A machine that watches takes the best frame, or the mean of all: that most frames escape it says little.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, computed_field
from torch import Tensor
from torch.nn import functional

from ..attacks.faces.boxes import clipped, padded
from ..attacks.faces.detection import find_faces
from ..attacks.faces.sampling import cut_around, part_around
from ..core.extras import needs
from ..core.types import Face, Pixels
from ..weights.registry import card
from .detectors import same_place
from .verification import UsedByAttack, embedding, used_by

Vectors: TypeAlias = Mapping[str, Tensor]  # of N frames, by recogniser: unit vectors (N, D)
AROUND = 1.0  # of a face's longer side: how far around it a face is looked for again
LEAST = 12  # pixels: the side of the smallest part whose optical flow DIS can tell


class TrackMatch(BaseModel):
    """What one recogniser makes of a person in N frames of a video, compared with clean frames of the person.

    used_by_attack: as in `Match`.
    threshold: the cosine in [-1, 1] above which it takes two for one person.
    before, after: the share of the frames that it matches.
    best, mean: the largest cosine of a protected frame, and that of the mean of all of them.
    """

    model_config = ConfigDict(frozen=True)

    recognizer: str
    used_by_attack: UsedByAttack
    threshold: float
    before: float
    after: float
    best: float
    mean: float

    @computed_field
    @property
    def best_matched(self) -> bool:
        """Whether at least one protected frame gives the person away."""
        return self.after > 0

    @computed_field
    @property
    def mean_matched(self) -> bool:
        """Whether the mean of the protected frames does."""
        return self.mean > self.threshold


def seen(frames: Iterable[tuple[Pixels, Face]], recognizers: Sequence[str]) -> dict[str, Tensor]:
    """What recognisers see of a face in frames (H, W, 3): unit vectors (N, D) by recogniser.

    It is found afresh near the place that is given; where nothing is found, that place is looked at.
    """
    rows = {name: list[Tensor]() for name in recognizers}
    for pixels, face in frames:
        part, there = part_around(pixels, face, AROUND)
        (image,), (place,) = cut_around((part,), (same_place(there, find_faces(part)) or there,))
        for name in recognizers:
            rows[name].append(embedding(name, image, place))
    return {name: torch.stack(vectors) for name, vectors in rows.items()}


def match(
    before: Vectors,
    after: Vectors,
    surrogates: frozenset[str] = frozenset(),
    other: Vectors | None = None,
) -> tuple[TrackMatch, ...]:
    """What each recogniser makes of N frames of a person before and after.

    Each frame is compared with the mean of clean frames: those of the other half of the same video, or those
    of another one.

    Args:
        before, after: the same frames, in the order of time.
        surrogates: the recognisers that the attack used.
        other: of another video of the person.
    """
    return tuple(
        _match(name, before[name], after[name], surrogates, None if other is None else other[name])
        for name in before
    )


def _match(
    name: str, before: Tensor, after: Tensor, surrogates: frozenset[str], other: Tensor | None
) -> TrackMatch:
    half = len(before) // 2
    if other is None and half:
        references = torch.stack(
            [_mean(before[half:])] * half + [_mean(before[:half])] * (len(before) - half)
        )
    else:
        references = _mean(before if other is None else other).expand(len(before), -1)
    threshold = card(name).thresholds["far1"]
    clean, left = ((vectors * references).sum(1) for vectors in (before, after))
    return TrackMatch(
        recognizer=name,
        used_by_attack=used_by(name, surrogates),
        threshold=threshold,
        before=round(float((clean > threshold).float().mean()), 4),
        after=round(float((left > threshold).float().mean()), 4),
        best=round(float(left.max()), 4),
        mean=round(float(_mean(after) @ _mean(before if other is None else other)), 4),
    )


def _mean(vectors: Tensor) -> Tensor:
    return functional.normalize(vectors.mean(0), dim=0)


class Flicker(BaseModel):
    """Root mean squares over frames of what the movement of the clean video does not explain, of 255.

    own: in the clean video; after: in the protected one; change: in the change alone.
    movement: how far the movement (optical flow) of the protected video lies from that of the clean one, in
        pixels (tOF of Chu et al. 2020, arXiv 1811.09393).
    """

    model_config = ConfigDict(frozen=True)

    own: float
    after: float
    change: float
    movement: float

    @property
    def ratio(self) -> float | None:
        """How many times its own a clip flickers afterwards; None where it is still."""
        return round(self.after / self.own, 3) if self.own else None


def flicker(frames: Iterable[tuple[Pixels, Pixels, Face]]) -> Flicker:
    """How much a face flickers, before and after, in consecutive frames (H, W, 3).

    The picture before is moved along the clean video's optical flow (DIS, Kroeger et al. 2016,
    arXiv 1603.03590), and what is left between it and the next one is measured within the face's box. Where
    less than `LEAST` pixels of that are to be seen, nothing is.

    Raises:
        BadSettings: OpenCV is not installed.
    """
    with needs("video"):
        cv2: Any = import_module("cv2")
    found, last = list[tuple[float, ...]](), None
    flow_of = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc

    def grey(part: Pixels) -> Pixels:
        return cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)

    for before, after, face in frames:
        left, top, right, bottom = clipped(padded(face.box, face.side / 4), before.shape[1::-1])
        if last is not None and min(right - left, bottom - top) >= LEAST:
            clean, changed, clean_now, changed_now = (
                np.ascontiguousarray(one[top:bottom, left:right]) for one in (*last, before, after)
            )
            flow = flow_of(grey(clean_now), grey(clean), None)  # where each pixel was
            rows, columns = np.indices(flow.shape[:2], np.float32)
            places = columns + flow[..., 0], rows + flow[..., 1]
            old, new = (
                cv2.remap(one.astype(np.float32), *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
                for one in (clean, changed)
            )
            rest, left_over = clean_now - old, changed_now - new
            moved = flow_of(grey(changed_now), grey(changed), None) - flow
            found.append(
                (
                    *(float(np.square(one).mean()) for one in (rest, left_over, left_over - rest)),
                    float(np.linalg.norm(moved, axis=2).mean()),
                )
            )
        last = before, after
    if not found:
        return Flicker(own=0, after=0, change=0, movement=0)
    squares: NDArray[np.float64] = np.array(found)
    own, protected, change = np.sqrt(squares[:, :3].mean(0)).round(3).tolist()
    movement = round(float(squares[:, 3].mean()), 4)
    return Flicker(own=own, after=protected, change=change, movement=movement)
