"""Train the packaged portrait prior from public photographs, on two CPU cores.

    python weights/recipes/train_portrait.py crops FACES RUN        # cut aligned crops out of FACES/training
    python weights/recipes/train_portrait.py autoencoder RUN        # about 10 minutes
    python weights/recipes/train_portrait.py denoiser RUN --hours 2 # more hours, better weights
    python weights/recipes/train_portrait.py export RUN             # -> weights/packaged/portrait.safetensors

Every stage is seeded, writes a checkpoint every few minutes, goes on from it when started again, and logs
its figures on held-out training photos to RUN/log.jsonl. Only FACES/training is read: the official portraits,
generated people and research set described in the README there. `python scripts/measure_prior.py` measures
the result on photographs that the training never saw.
"""

import copy
import hashlib
import json
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.progress import track
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from veil.attacks.faces.detection import find_faces
from veil.attacks.faces.sampling import warp
from veil.attacks.faces.transforms import template_transform
from veil.eval.metrics.psnr import psnr
from veil.privacy.priors import portrait

app = typer.Typer(add_completion=False, help=__doc__)
SEED = 20261124
VARIANTS = 4  # of each photo: the first as it is, the others jittered
HELD_OUT = 20  # every twentieth photo is kept for validation
REPEATS = {"faker": 4}  # the generated people carry the diversity: show them more often
Run = Annotated[Path, typer.Argument(help="Folder of this training: crops, checkpoints, log.")]


def log(run: Path, **figures: object) -> None:
    """Print one line of figures and append it to the log."""
    line = json.dumps(figures)
    print(line, flush=True)
    with (run / "log.jsonl").open("a") as file:
        file.write(line + "\n")


# --- crops ------------------------------------------------------------------------------------------------


def jittered(matrix: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Turn, scale and shift a crop's transform (2, 3) a little about the crop's centre."""
    angle, scale = rng.normal(0, np.radians(4)), np.exp(rng.normal(0, 0.05))
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    turn = np.array([[cos, -sin], [sin, cos]])
    middle = np.full(2, portrait.SIZE / 2)
    shift = rng.normal(0, 0.02 * portrait.SIZE, 2)
    return np.hstack(
        [matrix[:, :2] @ turn, (matrix[:, :2] @ (middle + shift - turn @ middle) + matrix[:, 2])[:, None]]
    )


def variants(path: Path, rng: np.random.Generator) -> NDArray[np.uint8] | None:
    """The crops (VARIANTS, 128, 128, 3) of the most prominent face, or None without one."""
    pixels = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    faces = find_faces(pixels, 40)
    if not faces:
        return None
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
    matrix = template_transform(faces[0], portrait.TEMPLATE, portrait.SIZE)
    crops: list[Tensor] = []
    for index in range(VARIANTS):
        crop = warp(image, jittered(matrix, rng) if index else matrix, portrait.SIZE, "border")
        if index:  # other light: a gamma, and a gain for each colour
            gains = torch.from_numpy(rng.normal(1, 0.04, (1, 3, 1, 1))).float()
            crop = (crop.clamp(0, 1) ** float(np.exp(rng.normal(0, 0.2))) * gains).clamp(0, 1)
        crops.append(crop)
    return (torch.cat(crops).permute(0, 2, 3, 1) * 255).round().byte().numpy()


@app.command()
def crops(faces: Path, run: Run) -> None:
    """Cut aligned crops out of every photo of FACES/training."""
    run.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    cut: list[NDArray[np.uint8]] = []
    names: list[str] = []
    for path in track(sorted((faces / "training").rglob("*.jpg")), "crops"):
        found = variants(path, rng)
        if found is None:
            log(run, stage="crops", without_face=path.name)
            continue
        cut.append(found)
        names.append(f"{path.parent.name}/{path.name}")
    np.save(run / "crops.npy", np.stack(cut))
    (run / "names.json").write_text(json.dumps(names))
    log(run, stage="crops", photos=len(names), crops=len(names) * VARIANTS)


def split(run: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the photos to train on (repeated by weight) and of the held-out ones."""
    names: list[str] = json.loads((run / "names.json").read_text())
    everyone = np.arange(len(names))
    held = everyone % HELD_OUT == 0
    times = [0 if out else REPEATS.get(name.split("/")[0], 1) for name, out in zip(names, held, strict=True)]
    return np.repeat(everyone, times), everyone[held]


def flipped(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror about half of a batch (B, C, H, W)."""
    mirror = torch.rand(len(batch), 1, 1, 1, generator=generator) < 0.5
    return torch.where(mirror, batch.flip(-1), batch)


class Session:
    """A stage's network, optimiser, average of weights and random numbers, kept in one checkpoint."""

    def __init__(self, file: Path, network: nn.Module, rate: float, keep: float) -> None:
        self.file, self.network, self.keep = file, network, keep
        self.optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-4)
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.generator = torch.Generator().manual_seed(SEED)
        self.step, self.seconds = 0, 0.0  # seconds: processor time, all cores together
        if file.exists():
            state = torch.load(file, weights_only=True)
            network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.generator.set_state(state["generator"])
            self.step, self.seconds = state["step"], state["seconds"]
        self._since = time.process_time()

    def spent(self) -> float:
        """Processor seconds of all cores, over all runs of this stage."""
        return self.seconds + time.process_time() - self._since

    def advance(self, loss: Tensor, rate: float) -> None:
        """One optimiser step at learning rate `rate`; the average follows."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(self.keep, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mine, theirs in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mine.lerp_(theirs, 1 - keep)

    def save(self) -> None:
        """Write the checkpoint beside, then move it into place."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.spent(),
        }
        torch.save(state, self.file.with_suffix(".part"))
        self.file.with_suffix(".part").replace(self.file)


# --- autoencoder ------------------------------------------------------------------------------------------


def start_linear(network: portrait.PortraitAutoencoder, faces: Tensor) -> None:
    """Set the linear part to the principal components of 4x4 patches, of unit variance; the rest to 0."""
    factor = portrait.FACTOR
    patches = functional.pixel_unshuffle(2 * faces - 1, factor).permute(0, 2, 3, 1).reshape(-1, 3 * factor**2)
    centre = patches.mean(0)
    variance, axes = torch.linalg.eigh(torch.cov(patches.T))
    basis = axes.T.flip(0)[: portrait.CHANNELS]
    linear = {network.analysis[-1]: basis, network.synthesis.patches: basis.T}
    with torch.no_grad():
        for last in (*linear, network.encoder[-1], network.decoder[-1].patches):  # pyright: ignore
            for tensor in last.parameters():
                tensor.zero_()
            if last in linear:
                last.weight[..., 1, 1] = linear[last]
        network.mean.copy_((basis @ centre).reshape(1, -1, 1, 1))
        network.scale.copy_(variance.flip(0)[: portrait.CHANNELS].sqrt().reshape(1, -1, 1, 1))


def slopes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Differences between neighbouring pixels, across and down."""
    return x.diff(dim=-1), x.diff(dim=-2)


def grid(change: Tensor) -> Tensor:
    """How much steeper a change is across the borders of 4x4 patches than inside of them."""
    across, down = (slope.square().mean((0, 1)) for slope in slopes(change))
    by_column = across.mean(0)[: portrait.SIZE - portrait.FACTOR].reshape(-1, portrait.FACTOR).mean(0)
    by_row = down.mean(1)[: portrait.SIZE - portrait.FACTOR].reshape(-1, portrait.FACTOR).mean(0)
    return sum(
        ((part - part.mean()).square().mean().sqrt() / part.mean() for part in (by_column, by_row)),
        torch.zeros(()),
    )


@app.command()
def autoencoder(run: Run, steps: int = 1500, batch: int = 12, rate: float = 1.5e-3) -> None:
    """Train the autoencoder on the crops, then encode all of them."""
    torch.manual_seed(SEED)
    crops = torch.from_numpy(np.load(run / "crops.npy")).permute(0, 1, 4, 2, 3)
    train, held = (torch.from_numpy(indices) for indices in split(run))
    network = portrait.PortraitAutoencoder()
    start_linear(network, crops[train[::3], 0].float() / 255)
    session = Session(run / "autoencoder.pt", network, rate, 0.99)
    test = crops[held, 0].float() / 255
    while session.step < steps:
        rows = train[torch.randint(len(train), (batch,), generator=session.generator)]
        variant = torch.randint(VARIANTS, (batch,), generator=session.generator)
        x = flipped(crops[rows, variant].float() / 255, session.generator)
        with torch.autocast("cpu", torch.bfloat16):
            z = network.encode(x)
            y = network.decode(z + 0.05 * torch.randn(z.shape, generator=session.generator))
        loss = (y - x).abs().mean() + 3 * (y - x).square().mean()
        loss = loss + 0.5 * sum((a - b).abs().mean() for a, b in zip(slopes(y), slopes(x), strict=True))
        if session.step % 4 == 0:
            with torch.autocast("cpu", torch.bfloat16):
                nudged = network.decode(z.detach() + 0.3 * torch.randn(z.shape, generator=session.generator))
            loss = loss + 0.002 * grid(nudged - y.detach())
        progress = session.step / steps
        session.advance(
            loss, rate * min(1, session.step / 100 + 0.01) * (0.5 + 0.5 * np.cos(np.pi * progress))
        )
        if session.step % 100 == 0 or session.step == steps:
            with torch.no_grad():
                kept = session.average
                code = kept.encode(test)
                nudge = 0.3 * torch.randn(code.shape, generator=torch.Generator().manual_seed(1))
                seams = float(grid(kept.decode(code + nudge) - kept.decode(code)))
                log(
                    run,
                    stage="autoencoder",
                    step=session.step,
                    loss=round(float(loss), 5),
                    psnr=round(float(psnr(kept.decode(code), test).mean()), 2),
                    grid=round(seams, 3),
                    processor_seconds=round(session.spent()),
                )
            session.save()
    encode(run, session.average, crops)


@torch.no_grad()
def encode(run: Run, network: nn.Module, crops: Tensor) -> None:
    """Scale the latents to unit variance a channel; keep those of all crops and their mirror images."""
    assert isinstance(network, portrait.PortraitAutoencoder)
    sample = torch.cat([network.encode(part.float() / 255) for part in crops[:, 0].split(64)])
    spread, centre = torch.std_mean(sample, (0, 2, 3), keepdim=True)
    network.mean.add_(centre * network.scale)
    network.scale.mul_(spread)
    latents = torch.empty(2, *crops.shape[:2], portrait.CHANNELS, 32, 32, dtype=torch.float16)
    for index in track(range(len(crops)), "latents"):
        x = crops[index].float() / 255
        latents[0, index], latents[1, index] = network.encode(x), network.encode(x.flip(-1))
    torch.save({"autoencoder": network.state_dict(), "latents": latents}, run / "latents.pt")


# --- denoiser ---------------------------------------------------------------------------------------------


def noisy(z: Tensor, noise: Tensor, timestep: Tensor, kept: Tensor) -> Tensor:
    """The forward process: latents z (B, C, h, w) at timestep (B,), given the schedule's cumulated alphas."""
    alpha = kept[timestep].reshape(-1, 1, 1, 1)
    return alpha.sqrt() * z + (1 - alpha).sqrt() * noise


@torch.no_grad()
def noise_errors(network: portrait.PortraitDenoiser, z: Tensor, null: bool = True) -> dict[int, float]:
    """Mean squared error of the predicted noise at some timesteps, with fixed noise."""
    kept = portrait.scheduler().alphas_cumprod
    errors: dict[int, float] = {}
    for level in (50, 100, 150, 300, 600):
        noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(level))
        timestep = torch.full((len(z),), level)
        tokens = network.null.expand(len(z), -1, -1) if null else network.tokens(z)
        parts = zip(
            noisy(z, noise, timestep, kept).split(25), timestep.split(25), tokens.split(25), strict=True
        )
        errors[level] = round(
            float((torch.cat([network(*part) for part in parts]) - noise).square().mean()), 4
        )
    return errors


@app.command()
def denoiser(
    run: Run,
    hours: float = 2.0,
    batch: int = 16,
    rate: float = 6e-4,
    packaged: Annotated[bool, typer.Option("--packaged", help="Go on from the packaged weights.")] = False,
) -> None:
    """Train the denoiser for so many hours of two cores (processor time / 2), counted over all runs."""
    torch.manual_seed(SEED)
    if packaged and not (run / "latents.pt").exists():
        crops = torch.from_numpy(np.load(run / "crops.npy")).permute(0, 1, 4, 2, 3)
        encode(run, portrait.networks()[0], crops)
    latents = torch.load(run / "latents.pt", weights_only=True)["latents"]
    train, held = (torch.from_numpy(indices) for indices in split(run))
    start = portrait.networks()[1] if packaged else portrait.PortraitDenoiser()
    session = Session(run / "denoiser.pt", start, rate, 0.999)
    network, draw = session.network, session.generator
    assert isinstance(network, portrait.PortraitDenoiser)
    kept, test = portrait.scheduler().alphas_cumprod, latents[0, held, 0].float()
    budget = hours * 2 * 3600
    while (progress := session.spent() / budget) < 1:
        rows = train[torch.randint(len(train), (batch,), generator=draw)]
        mirror = torch.randint(2, (batch,), generator=draw)
        z = latents[mirror, rows, torch.randint(VARIANTS, (batch,), generator=draw)].float()
        timestep = (1000 * torch.rand(batch, generator=draw) ** 1.5).long()
        noise = torch.randn(z.shape, generator=draw)
        tokens = torch.where(torch.rand(batch, 1, 1, generator=draw) < 0.5, network.null, network.tokens(z))
        with torch.autocast("cpu", torch.bfloat16):
            predicted = network(noisy(z, noise, timestep, kept), timestep, tokens)
        loss = (predicted.float() - noise).square().mean()
        pace = min(1, session.step / 200 + 0.01) * max(0.02, min(1.0, 2 * (1 - progress)))
        session.advance(loss, rate * pace)
        if session.step % 250 == 0:
            errors = noise_errors(session.average, test)  # pyright: ignore
            log(
                run,
                stage="denoiser",
                step=session.step,
                errors=errors,
                processor_seconds=round(session.spent()),
            )
            session.save()
    session.save()


@app.command()
def export(run: Run, folder: Path = Path("weights/packaged")) -> None:
    """Write both networks as fp16 safetensors and print what belongs on the card."""
    parts = {
        "autoencoder": torch.load(run / "latents.pt", weights_only=True)["autoencoder"],
        "denoiser": torch.load(run / "denoiser.pt", weights_only=True)["average"],
    }
    tensors = {
        f"{part}.{name}": t.half().contiguous() for part, state in parts.items() for name, t in state.items()
    }
    file = folder / "portrait.safetensors"
    save_file(tensors, file)
    data = file.read_bytes()
    typer.echo(f'file = "{file.name}"\nbytes = {len(data)}\nsha256 = "{hashlib.sha256(data).hexdigest()}"')


if __name__ == "__main__":
    app()
