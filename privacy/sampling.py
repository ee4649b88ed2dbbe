"""People whom a prior makes up: faces from noise alone, such as strangers who fill a gallery."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from ..core.images import to_pixels
from ..core.types import Photo
from .inversion import ddim_step
from .priors import prior
from .turning import turned

STEPS = 20  # more of them change little: DDIM's are deterministic
# Standard deviations and bounds of how far heads turn and nod, in degrees, beyond what the prior does: with
# them heads are held as differently as in real photos (scripts/spread_of_strangers.py).
TURN, NOD, BOUNDS = 11.0, 9.0, (25.0, 18.0)


@torch.no_grad()
def made_up(seed: int, name: str = "portrait") -> Photo:
    """A person who does not exist, another for each seed: a crop (S, S, 3) of the prior's size, with the head
    turned by angles that the seed draws.

    The networks are small and were shown 1,800 people, so look whether one of these is close before you
    take a face for nobody's.

    Raises:
        UnknownName, WeightsMissing, WeightsCorrupt: as `privacy.priors.prior` does.
    """
    used = prior(name)
    latent = used.encode(torch.zeros(1, 3, used.size, used.size, device=used.device))
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed))
    latent = noise.to(latent)
    deepest = len(used.scheduler.alphas_cumprod) - 1
    for start, end in pairwise(np.linspace(deepest, 0, STEPS + 1).round().astype(int).tolist()):
        latent = ddim_step(used, latent, used.noise(latent, start, used.unconditional), start, end)
    drawn = np.random.default_rng(seed).normal(scale=(TURN, NOD))
    turn, nod = np.clip(drawn, np.negative(BOUNDS), BOUNDS).tolist()
    return Photo(turned(to_pixels(used.decode(latent)), turn, nod), f"{name}-{seed}")
