"""The packaged portrait prior: a small autoencoder and denoiser for aligned faces of 128 pixels.

Trained by weights/recipes/train_portrait.py; a latent diffusion model (Rombach et al., arXiv 2112.10752) cut
down to what two CPU cores can bear. Most of the autoencoder is a linear lapped transform that starts as a
principal component analysis of 4x4 patches; small residual networks at 32x32 bend it.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn
from torch.nn import functional

from ...attacks.faces.transforms import ARCFACE
from ...core.errors import BadSettings
from ...weights import store
from . import MAX_BATCH, Prior

SIZE = 128  # pixels: side of a crop
CHANNELS = 8  # of a latent
FACTOR = 4  # pixels of a crop for one of a latent
TOKENS = 16  # of the condition, and of the unconditional embedding
TOKEN_WIDTH = 64
# Where the five points lie: the ArcFace crop, wider and a little lower, so that chin and hairline are inside.
TEMPLATE = (ARCFACE - 0.5) * 0.78 + 0.5 + np.array([0, 6 / 160])


def scheduler() -> DDIMScheduler:
    """The noise schedule: Stable Diffusion's."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """3x3, of constant size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate")


class ResidualBlock(nn.Module):
    """x + f(x) at constant width; f starts as zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width)
        self.second = convolution(width, width)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.silu(self.first(functional.silu(x))))


class Lapped(nn.Module):
    """Overlapping patches of 12x12 pixels, one every 4: (B, W, 32, 32) -> (B, 3, 128, 128).

    Neighbouring patches overlap, so that a change of the latent need not leave a 4x4 grid. (A sub-pixel
    convolution, Shi et al. 2016: on a CPU several times quicker than the transposed one that it equals.)
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.patches = convolution(width, 3 * FACTOR**2)

    def forward(self, x: Tensor) -> Tensor:
        return functional.pixel_shuffle(self.patches(x), FACTOR)


class PortraitAutoencoder(nn.Module):
    """Aligned faces (B, 3, 128, 128) in [0, 1] <-> latents (B, 8, 32, 32) of unit variance a channel."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int = 64, encoder_blocks: int = 2, decoder_blocks: int = 3) -> None:
        super().__init__()
        self.analysis = nn.Sequential(nn.PixelUnshuffle(FACTOR), convolution(3 * FACTOR**2, CHANNELS))
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(FACTOR),
            convolution(3 * FACTOR**2, width),
            *(ResidualBlock(width) for _ in range(encoder_blocks)),
            nn.SiLU(),
            convolution(width, CHANNELS),
        )
        self.synthesis = Lapped(CHANNELS)
        self.decoder = nn.Sequential(
            convolution(CHANNELS, width),
            *(ResidualBlock(width) for _ in range(decoder_blocks)),
            nn.SiLU(),
            Lapped(width),
        )
        self.register_buffer("mean", torch.zeros(1, CHANNELS, 1, 1))
        self.register_buffer("scale", torch.ones(1, CHANNELS, 1, 1))

    def encode(self, x: Tensor) -> Tensor:
        """(B, 3, 128, 128) in [0, 1] -> (B, 8, 32, 32)."""
        x = 2 * x - 1
        return (self.analysis(x) + self.encoder(x) - self.mean) / self.scale

    def decode(self, z: Tensor) -> Tensor:
        """(B, 8, 32, 32) -> (B, 3, 128, 128), about [0, 1] but not clamped."""
        z = z * self.scale + self.mean
        return (self.synthesis(z) + self.decoder(z) + 1) / 2


class PortraitDenoiser(nn.Module):
    """Predicts the noise in a latent (B, 8, 32, 32), given 16 condition tokens (B, 16, 64).

    In training the tokens are half of the time a linear map of the clean latent pooled to 4x4, and half of
    the time learned null tokens: so the unconditional embedding has real leverage on what is predicted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unet = UNet2DConditionModel(
            sample_size=SIZE // FACTOR,
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(64, 128, 128),
            layers_per_block=1,
            cross_attention_dim=TOKEN_WIDTH,
        )
        self.condition = nn.Linear(CHANNELS, TOKEN_WIDTH)
        self.place = nn.Parameter(0.02 * torch.randn(1, TOKENS, TOKEN_WIDTH))
        self.null = nn.Parameter(0.02 * torch.randn(1, TOKENS, TOKEN_WIDTH))

    def tokens(self, z: Tensor) -> Tensor:
        """The condition of clean latents (B, 8, 32, 32): (B, 16, 64)."""
        pooled = functional.adaptive_avg_pool2d(z, 4).flatten(2).transpose(1, 2)
        return self.condition(pooled) + self.place

    def forward(self, z: Tensor, timestep: Tensor, tokens: Tensor) -> Tensor:
        return self.unet(z, timestep, tokens).sample


def networks() -> tuple[PortraitAutoencoder, PortraitDenoiser]:
    """The two packaged networks."""
    tensors = store.load("portrait")
    autoencoder, denoiser = PortraitAutoencoder(), PortraitDenoiser()
    for part, network in ("autoencoder.", autoencoder), ("denoiser.", denoiser):
        state = {name.removeprefix(part): t for name, t in tensors.items() if name.startswith(part)}
        network.load_state_dict(state)
    return autoencoder, denoiser


def load(size: int | None, device: torch.device) -> Prior:
    """The packaged prior, which comes in one size.

    Raises:
        BadSettings: another was asked for.
    """
    if size not in (None, SIZE):
        raise BadSettings(f"The prior 'portrait' has crops of {SIZE} pixels only.", "Leave the size out.")
    autoencoder, denoiser = networks()
    for network in autoencoder, denoiser:
        network.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
    return Prior(
        "portrait",
        SIZE,
        TEMPLATE,
        autoencoder.encode,
        autoencoder.decode,
        denoiser.unet,
        scheduler(),
        denoiser.null.detach(),
        1 if device.type == "cpu" else MAX_BATCH,  # two cores gain nothing by more
    )
