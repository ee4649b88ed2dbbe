"""Priors: generative models of faces behind one type, so that the engine never asks which one it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from ...core.errors import BadSettings
from ...core.registry import Registry
from ...core.types import Array
from ...weights.registry import card

if TYPE_CHECKING:
    import torch
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Prior:
    """A latent diffusion model of aligned faces of `size` pixels a side.

    template: where the five points lie in its crops (5, 2), in fractions of the side.
    encode: (B, 3, S, S) in [0, 1] -> (B, C, h, w); decode: back, not clamped.
    unet, scheduler: as in diffusers; predicts the noise, or the velocity where the scheduler says so.
    unconditional: the embedding (1, N, D) that stands for no condition.
    batch: how many faces of a photo it is given at a time.

    Tensors go in and come out as float32 on the device of `unconditional`, whatever the networks are in.
    """

    name: str
    size: int
    template: Array
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    unet: UNet2DConditionModel
    scheduler: DDIMScheduler
    unconditional: Tensor
    batch: int = 1

    def __post_init__(self) -> None:
        from ..attention import Attention

        self.unet.set_attn_processor(Attention())

    @property
    def device(self) -> torch.device:
        """Where its networks are."""
        return self.unconditional.device

    def noise(self, latent: Tensor, timestep: int, embedding: Tensor) -> Tensor:
        """The noise in latents (B, C, h, w) at a timestep, given embeddings (1 or B, N, D)."""
        dtype = self.unet.dtype
        step = latent.new_full((1,), timestep).long()  # diffusers would copy a number to a GPU, and wait
        tokens = embedding.expand(len(latent), -1, -1).to(dtype)
        predicted = self.unet(latent.to(dtype), step, tokens).sample.to(latent)
        if self.scheduler.config["prediction_type"] == "epsilon":
            return predicted
        alpha_bar = self.alpha_bar(timestep)  # velocity: Salimans & Ho, arXiv 2202.00512, appendix D
        return alpha_bar**0.5 * predicted + (1 - alpha_bar) ** 0.5 * latent

    def alpha_bar(self, timestep: int) -> float:
        """The cumulative product of alphas at a timestep: the share of the signal."""
        return float(self.scheduler.alphas_cumprod[timestep])


MAX_BATCH = 4  # faces at a time
# (its size, the model's own where None; where to put it) -> the prior
Load = Callable[["int | None", "torch.device"], Prior]
PRIORS: Registry[Load] = Registry(
    "prior",
    {
        "portrait": "veil.privacy.priors.portrait:load",
        "stable-diffusion:": "veil.privacy.priors.stable_diffusion:load",
    },
)


def prior(name: str, size: int | None = None, device: str = "cpu") -> Prior:
    """Load a prior, once: frozen and in evaluation mode, on a device such as "cpu" or "cuda:1".

    Raises:
        UnknownName: no prior has this name.
        BadSettings: no such device is here, the prior does not come in this size, or an extra is missing.
        WeightsMissing, WeightsCorrupt: its file is not here, or not what its card says.
    """
    return _loaded(card(PRIORS.check(name)).name, size, device)


@cache
def _loaded(name: str, size: int | None, device: str) -> Prior:
    return PRIORS[name](size, resolve_device(device))


def resolve_device(device: str) -> torch.device:
    """The device of this name.

    Raises:
        BadSettings: there is none here.
    """
    import torch

    try:
        where = torch.device(device)
        torch.empty(0, device=where)
    except (RuntimeError, AssertionError) as error:  # what torch raises differs between its builds
        raise BadSettings(
            f"This machine has no device {device!r} for torch.",
            "Name another in VEIL_DEVICE: cpu, cuda, mps.",
        ) from error
    return where
