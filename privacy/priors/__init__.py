"""Priors: generative models of faces behind one type, so that the engine never asks which one it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from ...core.registry import Registry
from ...core.types import Array

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from torch import Tensor


@dataclass(frozen=True)
class Prior:
    """A latent diffusion model of aligned faces of `size` pixels a side.

    template: where the five points lie in its crops (5, 2), in fractions of the side.
    encode: (B, 3, S, S) in [0, 1] -> (B, C, h, w); decode: back, not clamped.
    unet, scheduler: as in diffusers; predicts the noise.
    unconditional: the embedding (1, N, D) that stands for no condition.
    """

    name: str
    size: int
    template: Array
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    unet: UNet2DConditionModel
    scheduler: DDIMScheduler
    unconditional: Tensor

    def noise(self, latent: Tensor, timestep: int, embedding: Tensor) -> Tensor:
        """The noise in latents (B, C, h, w) at a timestep, given embeddings (1 or B, N, D)."""
        return self.unet(latent, timestep, embedding.expand(len(latent), -1, -1)).sample

    def kept(self, timestep: int) -> float:
        """The share of signal (cumulated alpha) at a timestep."""
        return float(self.scheduler.alphas_cumprod[timestep])


PRIORS: Registry[Callable[[], Prior]] = Registry("prior", {"portrait": "veil.privacy.priors.portrait:load"})


@cache
def prior(name: str) -> Prior:
    """Load a prior, once: frozen and in evaluation mode.

    Raises:
        UnknownName: no prior has this name.
        WeightsMissing, WeightsCorrupt: its file is not here, or not what its card says.
    """
    return PRIORS[name]()
