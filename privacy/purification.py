"""An adversary's use of our own prior: purify a photo of its protection before it is recognised.

Lives beside the priors; the judge, which never imports the engine, is handed these from outside.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..attacks.faces.detection import find_faces
from ..core.registry import Registry
from ..core.types import Pixels
from .face_context import align_crop
from .inversion import ddim_step
from .paste import paste
from .priors import Prior, prior

STRIDE = 25  # timesteps that one denoising step goes down
PURIFIERS: Registry[Callable[[Pixels], Pixels]] = Registry(
    "disturbance",
    {
        "autoencoder": "veil.privacy.purification:autoencoder",
        "purify-50": "veil.privacy.purification:light",
        "purify-150": "veil.privacy.purification:middle",
        "purify-300": "veil.privacy.purification:heavy",
    },
)


@torch.no_grad()
def purified(used: Prior, images: Tensor, timestep: int, seed: int = 0) -> Tensor:
    """Crops (B, 3, S, S) in [0, 1] with noise added up to a timestep and taken away again; at 0 only decoded.

    DiffPure (Nie et al., arXiv 2205.07460) in the prior's latent space, with deterministic steps (DDIM).
    """
    latent = used.encode(images)
    if timestep:
        noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed))
        alpha_bar = used.alpha_bar(timestep)
        latent = alpha_bar**0.5 * latent + (1 - alpha_bar) ** 0.5 * noise
    steps = [*range(timestep, 0, -STRIDE), 0] if timestep else []
    for start, end in zip(steps, steps[1:], strict=False):
        latent = ddim_step(used, latent, used.noise(latent, start, used.unconditional), start, end)
    return used.decode(latent).clamp(0, 1)


def purified_photo(pixels: Pixels, timestep: int, name: str = "portrait") -> Pixels:
    """A photo (H, W, 3) whose faces are purified and pasted back."""
    used, result = prior(name), pixels.copy()
    for face in find_faces(pixels):
        crop = align_crop(pixels, face, used.template, used.size)
        change = purified(used, crop.pixels, timestep) - crop.pixels
        result = paste(result, change, crop.placement)
    return result


def autoencoder(pixels: Pixels) -> Pixels:
    """Through the prior's autoencoder and back."""
    return purified_photo(pixels, 0)


def light(pixels: Pixels) -> Pixels:
    """With noise up to timestep 50."""
    return purified_photo(pixels, 50)


def middle(pixels: Pixels) -> Pixels:
    """With noise up to timestep 150, as in DiffPure."""
    return purified_photo(pixels, 150)


def heavy(pixels: Pixels) -> Pixels:
    """With noise up to timestep 300."""
    return purified_photo(pixels, 300)
