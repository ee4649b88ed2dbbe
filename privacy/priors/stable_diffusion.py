"""Any Stable Diffusion 1.x or 2.x in diffusers' layout as a prior (Rombach et al., arXiv 2112.10752).

The UNet works in half precision where the device has bfloat16, the autoencoder always in float32: its
rounding would show in the change. Activations are computed again for the backward pass (gradient
checkpointing), and where memory is short the UNet's weights wait in main memory, a layer at a time on the
device (accelerate's offloading). Attention is torch's own kernel, which needs less memory than slices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from accelerate import cpu_offload
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from safetensors import SafetensorError
from torch import Tensor, nn

from ...core.errors import BadSettings, WeightsCorrupt
from ...core.extras import needs
from ...weights import store
from ...weights.registry import card
from . import MAX_BATCH, Prior
from .portrait import TEMPLATE

# Bytes that a step needs with a UNet of bfloat16, as scripts/measure_stable_diffusion.py has it: weights and
# the driver's part, and for each pixel of the crop.
FIXED, A_PIXEL = 3.4e9, 16.5e3


def load(model: str, size: int | None, device: torch.device) -> Prior:
    """The pipeline in a folder, or of a hub id that was fetched before; at its own size where `size` is None.

    Raises:
        WeightsMissing, WeightsCorrupt: it is not here, or incomplete.
        BadSettings: it is no Stable Diffusion 1.x or 2.x, does not fit the size, or the extra is missing.
    """
    name = card(f"stable-diffusion:{model}").name
    folder = store.path(name)
    dtype = precision(device)
    try:
        unet = UNet2DConditionModel.from_pretrained(
            folder, subfolder="unet", torch_dtype=dtype, use_safetensors=True, local_files_only=True
        )
        vae = AutoencoderKL.from_pretrained(
            folder, subfolder="vae", torch_dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
        scheduler: Any = DDIMScheduler.from_pretrained(folder, subfolder="scheduler", local_files_only=True)
        empty = embedding_of_nothing(folder)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise WeightsCorrupt(
            f"{folder} cannot be read as a Stable Diffusion: {error}", f"Run `veil fetch {name}` again."
        ) from error
    return build(name, unet, vae, scheduler, empty, size, device)


def precision(device: torch.device) -> torch.dtype:
    """What the UNet works in; float16 is left out, since small gradients vanish in it."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32


def at_once(device: torch.device, side: int) -> int:
    """How many faces, up to `MAX_BATCH`, a GPU's free memory holds beside the UNet; elsewhere one."""
    if device.type != "cuda":
        return 1
    room = (torch.cuda.mem_get_info(device)[0] - FIXED) / (A_PIXEL * side**2)
    return min(max(int(room), 0), MAX_BATCH)


def scarce(device: torch.device, side: int) -> bool:
    """Whether a GPU has too little free memory to hold the UNet beside what a step needs."""
    return at_once(device, side) == 0


@torch.no_grad()
def embedding_of_nothing(folder: Path) -> Tensor:
    """The text encoder's embedding of the empty prompt (1, 77, D); the encoder is not needed again."""
    with needs("stable-diffusion"):
        from transformers import CLIPTextModel, CLIPTokenizer
        from transformers.utils.logging import disable_progress_bar
    disable_progress_bar()
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    encoder = CLIPTextModel.from_pretrained(
        folder / "text_encoder", use_safetensors=True, local_files_only=True, dtype=torch.float32
    )
    tokens = tokenizer("", padding="max_length", max_length=tokenizer.model_max_length, return_tensors="pt")
    return encoder.eval()(tokens.input_ids).last_hidden_state


def build(
    name: str,
    unet: UNet2DConditionModel,
    vae: AutoencoderKL,
    scheduler: DDIMScheduler,
    unconditional: Tensor,
    size: int | None,
    device: torch.device,
    *,
    checkpoint: bool = True,
    offload: bool | None = None,
) -> Prior:
    """A prior of diffusers' parts, on a device.

    Args:
        unconditional: (1, N, D), the text encoder's embedding of nothing.
        size: the side of a crop in pixels; the UNet's own where None.
        checkpoint: compute activations again for the backward pass, instead of keeping them.
        offload: keep the UNet's weights in main memory; None: where the device is `scarce`.

    Raises:
        BadSettings: the parts are not those of a Stable Diffusion 1.x or 2.x, or do not fit the size.
    """
    factor, halvings = (2 ** (len(part.config["block_out_channels"]) - 1) for part in (vae, unet))
    side = size or unet.config["sample_size"] * factor
    if unet.config["in_channels"] != vae.config["latent_channels"] or unet.config["addition_embed_type"]:
        raise BadSettings(
            f"{name} is no plain Stable Diffusion 1.x or 2.x.", "Take one that turns text into pictures."
        )
    predicts = scheduler.config["prediction_type"]
    if predicts not in ("epsilon", "v_prediction"):
        raise BadSettings(f"{name} predicts {predicts!r}, which veil cannot use.")
    if side % (factor * halvings):
        raise BadSettings(
            f"{name} has no crops of {side} pixels.", f"Take a multiple of {factor * halvings}."
        )
    away = scarce(device, side) if offload is None else offload
    batch = 1 if away else max(at_once(device, side), 1)
    for network in unet, vae:
        network.eval().requires_grad_(False)
        if checkpoint:
            network.enable_gradient_checkpointing()
        if network is unet and away:
            cpu_offload(network, device)
        else:
            nn.Module.to(network, device)
    scale = float(vae.config["scaling_factor"])

    def encode(images: Tensor) -> Tensor:
        return scale * vae.encode(2 * images - 1, return_dict=False)[0].mean

    def decode(latents: Tensor) -> Tensor:
        scaled: Any = latents / scale  # annotated as torch's legacy class there
        return (vae.decode(scaled, return_dict=False)[0] + 1) / 2

    empty = unconditional.float().to(device)
    return Prior(name, side, TEMPLATE, encode, decode, unet, scheduler, empty, batch)
