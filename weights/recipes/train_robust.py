"""Fine-tune recognisers so that small changes do not turn what they see, without labels, for trials only.

    python weights/recipes/train_robust.py crops FACES RUN         # cut crops out of FACES/training
    python weights/recipes/train_robust.py train mobileface RUN    # RUN/radius-1/mobileface.safetensors
    python weights/recipes/train_robust.py train mobilefacenet RUN
    python scripts/try_ideas.py FACES runs/ideas --robust RUN/radius-1

A copy of a recogniser learns to see in a face that is changed within a radius, in the way that is worst for
it, what the recogniser sees in it unchanged (FARE, Schlarmann et al. 2024, arXiv 2402.12336). So embeddings
stay about where they were, and thresholds with them. Nothing of it is packaged: `scripts/try_ideas.py` asks
what attacks on such copies, or likeness to them, are worth. Seeded; a checkpoint every 100 steps, from which
a run that was cut goes on; figures on held-out training photos in RUN/log.jsonl. Only FACES/training is read.
"""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image, ImageOps
from rich.progress import track
from safetensors.torch import save_file
from torch import Generator, Tensor
from torch.nn import functional
from train_portrait import SEED, Run, Session, flipped, log, split

from veil.attacks import Recognizer, recognizer
from veil.attacks.faces.detection import find_faces
from veil.attacks.views import jittered
from veil.core.images import to_tensor

app = typer.Typer(add_completion=False, help=__doc__)
LARGEST = 700  # pixels of a photo's longer side: enough for crops of 112
VARIANTS = 2  # crops of each photo: as it is found, and strayed as another detector might find it
SIDE = 112  # pixels of a crop, to which radii are stated; those of larger crops grow with their side
CLEAN = 0.25  # how much the crops as they are count beside the attacked ones; so does their share of a batch
EVERY = 100  # steps between two checkpoints
WARM = 200  # steps in which the radius grows
TESTED = 64  # held-out crops


@app.command()
def crops(
    faces: Path, run: Run, name: Annotated[list[str] | None, typer.Option(help="Recognisers.")] = None
) -> None:
    """Cut the crops that recognisers see (by default mobileface, mobilefacenet) of all FACES/training."""
    run.mkdir(parents=True, exist_ok=True)
    generator = Generator().manual_seed(SEED)
    ones = {one: recognizer(one) for one in name or ("mobileface", "mobilefacenet")}
    cut: dict[str, list[np.ndarray]] = {one: [] for one in ones}
    names: list[str] = []
    for path in track(sorted((faces / "training").rglob("*.jpg")), "crops"):
        photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        photo.thumbnail((LARGEST, LARGEST))
        found = find_faces(np.asarray(photo), 40)
        if not found:
            log(run, stage="crops", without_face=path.name)
            continue
        image = to_tensor(np.asarray(photo))
        places = [found[0], *(jittered(found[0], generator) for _ in range(VARIANTS - 1))]
        for one, used in ones.items():
            both = torch.cat([used.align(image, face) for face in places]).clamp(0, 1)
            cut[one].append((255 * both).round().byte().numpy())
        names.append(f"{path.parent.name}/{path.name}")
    for one in ones:
        np.save(run / f"{one}.npy", np.stack(cut[one]))
    (run / "names.json").write_text(json.dumps(names))
    log(run, stage="crops", photos=len(names), recognisers=list(ones))


def copied(name: str) -> Any:
    """A copy of a recogniser with a network of its own."""
    one: Any = recognizer(name)
    return replace(one, network=deepcopy(one.network))


def varied(crops: Tensor, generator: Generator) -> Tensor:
    """Crops (B, 3, S, S) in [0, 1], some mirrored, in other light, and in one batch of two coarser."""
    gamma = (0.25 * torch.randn(len(crops), 1, 1, 1, generator=generator)).exp()
    gains = 1 + 0.06 * torch.randn(len(crops), 3, 1, 1, generator=generator)
    lit = (flipped(crops, generator) ** gamma * gains).clamp(0, 1)
    scale = (1.0, 1.0, 0.7, 0.5)[int(torch.randint(4, (), generator=generator))]
    small = functional.interpolate(lit, scale_factor=scale, mode="bilinear", antialias=True)
    return functional.interpolate(small, size=crops.shape[-2:], mode="bilinear")


def cosines(one: Recognizer, crops: Tensor, aims: Tensor) -> Tensor:
    """A recogniser's cosines (B,) of crops (B, 3, S, S) and aims (B, D)."""
    return (one.embed(crops) * aims).sum(1)


def attack(
    one: Recognizer, crops: Tensor, aims: Tensor, radius: float, steps: int, generator: Generator
) -> Tensor:
    """The changes of crops (B, 3, S, S), no longer than `radius`, that turn their embeddings away from aims
    (B, D): projected gradient descent from a random start (Madry et al. 2018, arXiv 1706.06083)."""
    radius *= one.size / SIDE
    change = torch.randn(crops.shape, generator=generator)
    change = radius / 2 * change / _length(change)
    for _ in range(steps):
        change.requires_grad_()
        (pull,) = torch.autograd.grad(cosines(one, crops + change, aims).sum(), change)
        change = change.detach() - 1.5 / steps * radius * pull / _length(pull)
        change = change * (radius / _length(change)).clamp(max=1)
    return change


def _length(change: Tensor) -> Tensor:
    return change.flatten(1).norm(dim=1).clamp(min=1e-9)[:, None, None, None]


def advance(
    session: Session, clean: Recognizer, learner: Recognizer, crops: Tensor, radius: float, rate: float
) -> float:
    """One step on crops (B, 3, S, S) in [0, 1]: towards the clean network's embeddings; returns the loss."""
    with torch.no_grad():
        aims = clean.embed(crops)
    reach = radius * min(1.0, (session.step + 1) / WARM)
    change = attack(learner, crops, aims, reach, 2, session.generator)
    few = max(1, round(CLEAN * len(crops)))
    seen = cosines(learner, torch.cat([crops + change, crops[:few]]), torch.cat([aims, aims[:few]]))
    loss = (1 - seen[: len(crops)]).mean() + CLEAN * (1 - seen[len(crops) :]).mean()
    session.advance(loss, rate)
    return float(loss.detach())


def figures(one: Recognizer, clean: Recognizer, crops: Tensor, radius: float) -> dict[str, float]:
    """A network's mean cosine to the clean one's embeddings of held-out crops, as they are and attacked."""
    with torch.no_grad():
        aims = clean.embed(crops)
    change = attack(one, crops, aims, radius, 8, Generator().manual_seed(1))
    with torch.no_grad():
        found = {"clean": cosines(one, crops, aims), "attacked": cosines(one, crops + change, aims)}
    return {name: round(float(values.mean()), 3) for name, values in found.items()}


@app.command()
def train(
    base: str, run: Run, radius: float = 1.0, minutes: float = 12.0, batch: int = 32, rate: float = 3e-4
) -> None:
    """Train a copy for so many minutes of processor time (all cores together), counted over all runs.

    The radius is the length of a change of a crop of 112 pixels in [0, 1].
    """
    clean, learner, kept = recognizer(base), copied(base), copied(base)
    folder = run / f"radius-{radius:g}"
    folder.mkdir(exist_ok=True)
    session = Session(folder / f"{base}.pt", learner.network.requires_grad_(True), rate, 0.99)
    object.__setattr__(kept, "network", session.average)
    every = torch.from_numpy(np.load(run / f"{base}.npy"))
    rows, held = (torch.from_numpy(indices) for indices in split(run))
    test = every[held[:TESTED], 0].float() / 255

    def note(loss: float | None) -> None:
        found = figures(kept, clean, test, radius)
        spent = round(session.spent())
        log(run, base=base, radius=radius, step=session.step, loss=loss, **found, processor_seconds=spent)

    if session.step == 0:
        note(None)
    losses: list[float] = []
    while (progress := session.spent() / (60 * minutes)) < 1:
        chosen = rows[torch.randint(len(rows), (batch,), generator=session.generator)]
        variant = torch.randint(VARIANTS, (batch,), generator=session.generator)
        seen = varied(every[chosen, variant].float() / 255, session.generator)
        pace = min(1.0, (session.step + 1) / 50) * (1 - progress) ** 0.9
        losses.append(advance(session, clean, learner, seen, radius, rate * pace))
        if session.step % EVERY == 0:
            note(round(float(np.mean(losses[-EVERY:])), 4))
            session.save()
    note(None)
    session.save()
    file = folder / f"{base}.safetensors"
    state = {name: tensor.contiguous() for name, tensor in session.average.state_dict().items()}
    save_file(state, file.with_suffix(".part"))
    file.with_suffix(".part").replace(file)


if __name__ == "__main__":
    app()
