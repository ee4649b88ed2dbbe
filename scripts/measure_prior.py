"""Measure the packaged portrait prior on photographs that its training never saw.

    python scripts/measure_prior.py FACES [--every 1]

FACES holds celebahq_pairs. Prints the autoencoder's PSNR, the PSNR after inversion, learned embeddings and
denoising, both over the 128 pixel crops of every photo (or every N-th), and the mean squared error of the
predicted noise with the unconditional embedding on 100 crops (every fifth photo) at fixed noise.
"""

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

from pathlib import Path

import numpy as np
import torch
import typer
from PIL import Image
from rich.progress import track
from torch import Tensor

from veil.attacks.faces.detection import largest_face
from veil.core.progress import finish
from veil.eval.metrics.psnr import psnr
from veil.privacy.embeddings import learn
from veil.privacy.face_context import align_crop
from veil.privacy.inversion import denoise, invert, levels
from veil.privacy.priors import Prior, prior
from veil.privacy.settings import Settings


def crops(faces: Path, used: Prior) -> Tensor:
    """The aligned crop of every photo (N, 3, S, S): a/ of each pair, then b/, in the order of their names."""
    found: list[Tensor] = []
    for path in track(sorted((faces / "celebahq_pairs").glob("[ab]/*.png")), "crops"):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        found.append(align_crop(pixels, largest_face(pixels), used.template, used.size).pixels)
    return torch.cat(found)


def interval(values: Tensor) -> str:
    """Mean and 95 % bootstrap interval."""
    rng = np.random.default_rng(0)
    means = rng.choice(values.numpy(), (1000, len(values))).mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    least = float(values.min())
    return f"{float(values.mean()):.2f} dB [{low:.2f}, {high:.2f}] (n = {len(values)}, least {least:.2f})"


@torch.no_grad()
def noise_error(used: Prior, latents: Tensor, level: int) -> float:
    """Mean squared error of the predicted noise at one timestep, with noise seeded by it."""
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(level))
    kept = used.alpha_bar(level)
    noisy = kept**0.5 * latents + (1 - kept) ** 0.5 * noise
    predicted = torch.cat([used.noise(part, level, used.unconditional) for part in noisy.split(25)])
    return float((predicted - noise).square().mean())


def reconstructed(used: Prior, images: Tensor, settings: Settings) -> Tensor:
    """Images (B, 3, S, S) after inversion, learned embeddings and denoising."""
    timesteps = levels(used, settings.schedule, settings.depth)
    with torch.no_grad():
        latents = used.encode(images)
    trajectory = invert(used, latents, timesteps)
    steps, rate = settings.embedding_steps, settings.embedding_rate
    embeddings = finish(learn(used, trajectory, timesteps, steps, rate)) if steps else []
    embeddings = embeddings or [used.unconditional] * settings.depth
    with torch.no_grad():
        return used.decode(denoise(used, trajectory[-1], timesteps, embeddings))


def main(faces: Path, every: int = 1, batch: int = 10) -> None:
    """Print the figures."""
    torch.manual_seed(0)
    used = prior("portrait")
    everyone = crops(faces, used)
    some = everyone[::every]
    with torch.no_grad():
        latents = torch.cat([used.encode(part) for part in everyone.split(50)])
        decoded = torch.cat([used.decode(part) for part in latents.split(50)])
    print(f"autoencoder            {interval(psnr(decoded.clamp(0, 1), everyone))}")
    some_latents = latents[::5]
    for level in (50, 100, 150, 300, 600):
        error = noise_error(used, some_latents, level)
        print(f"noise error at t = {level:<4}{error:.3f} (n = {len(some_latents)})")
    for label, steps in (("plain embedding", 0), ("learned embeddings", Settings().embedding_steps)):
        settings = Settings(embedding_steps=steps)
        values = [
            psnr(reconstructed(used, part, settings).clamp(0, 1), part)
            for part in track(some.split(batch), label)
        ]
        print(f"reconstruction, {label}: {interval(torch.cat(values))}")


if __name__ == "__main__":
    typer.run(main)
