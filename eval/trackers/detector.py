"""A detector of cloaks: was this face changed by the public tool? Learnt from other people's photos.

LightShed (USENIX Security 2025) finds what such tools made before it takes it away. The weights are an
adversary's: weights/recipes/train_trackers.py trains them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from . import Outcome, Task, tracker
from .adversary_weights import load
from .crops import cut

CLOAKED = "cloaked"  # the one "person" whom it knows
FACTOR = 2  # pixels to a side of what it takes for one
WIDTHS = (24, 48, 72, 96)


class Detector(nn.Module):
    """Crops (B, 3, SIZE, SIZE) in [0, 1] -> logits (B,): above 0, they were cloaked."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 6 * FACTOR**2
        for width in WIDTHS:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU()]
            layers += [nn.Conv2d(width, width, 3, 2, 1), nn.GroupNorm(8, width), nn.SiLU()]
            channels = width
        self.features = nn.Sequential(*layers)
        self.verdict = nn.Linear(2 * channels, 1)

    def forward(self, crops: Tensor) -> Tensor:
        """Beside the crop it sees what is finer than a blur of it, ten times as strong."""
        fine = 10 * (crops - functional.avg_pool2d(crops, 5, 1, 2, count_include_pad=False))
        seen = self.features(functional.pixel_unshuffle(torch.cat([2 * crops - 1, fine], 1), FACTOR))
        return self.verdict(torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], 1))[:, 0]


@tracker("tells cloaked photos from clean ones", pairs="none", detects=True)
@torch.no_grad()
def track(file: str, task: Task) -> Outcome:
    """How sure it is that each query was cloaked; whose it is it does not say.

    Raises:
        WeightsMissing, WeightsCorrupt: the detector's file is not there, or not one of this network's.
    """
    network, photos = load(Detector(), Path(file))
    logits = [float(network(cut(shot.pictures[0]))) for shot in task.queries]
    return Outcome((CLOAKED,), np.array(logits)[:, None], others=photos)
