"""A purifier: a U-Net that was trained on pairs (photo, the same cloaked by the public tool) of other people.

PuFace (Wei et al., arXiv 2406.02253). Its weights are an adversary's, and are not packaged:
weights/recipes/train_purifier.py trains it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor, nn
from torch.nn import functional

from ...core.types import Photo, Sighting
from . import Outcome, Task, tracker
from .adversary_weights import load
from .crops import SIZE, cut, pasted
from .template import seen_afresh

FACTOR = 4  # pixels to a side of what the U-Net takes for one
CHANNELS = 3 * FACTOR**2


class Purifier(nn.Module):
    """Crops (B, 3, SIZE, SIZE) in [0, 1] -> what to add to them, so that the cloak is gone."""

    def __init__(self) -> None:
        super().__init__()
        network: Any = UNet2DModel(
            sample_size=SIZE // FACTOR,
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            block_out_channels=(32, 64, 96),
            layers_per_block=1,
            down_block_types=("DownBlock2D",) * 3,
            up_block_types=("UpBlock2D",) * 3,
            norm_num_groups=16,
            add_attention=False,
        )
        nn.init.zeros_(network.conv_out.weight)
        nn.init.zeros_(network.conv_out.bias)
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        change = self.network(functional.pixel_unshuffle(2 * crops - 1, FACTOR), 0).sample
        return functional.pixel_shuffle(change, FACTOR)


@torch.no_grad()
def purified(network: Purifier, sighting: Sighting) -> Sighting:
    """The picture of a face without its cloak, as the network has learnt to take it away."""
    pixels = pasted(sighting, network(cut(sighting)))
    return Sighting(Photo(pixels, sighting.frame.name), sighting.face)


@tracker("a purifier that was trained on cloaks")
def track(file: str, task: Task) -> Outcome:
    """Purify every query, then compare it with templates.

    Raises:
        WeightsMissing, WeightsCorrupt: the purifier's file is not there, or not one of this network's.
    """
    network, photos = load(Purifier(), Path(file))
    pictures = [purified(network, shot.pictures[0]) for shot in task.queries]
    return replace(seen_afresh(task, pictures), others=photos)
