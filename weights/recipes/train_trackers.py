"""Train an adversary's purifier and detector on what the public tool makes of other people's photos.

    python weights/recipes/train_trackers.py cloak FACES RUN                    # RUN/cloaked/strong/PHOTO.png
    python weights/recipes/train_trackers.py cloak FACES RUN --strength balanced
    python weights/recipes/train_trackers.py purifier FACES RUN                 # RUN/purifier.safetensors
    python weights/recipes/train_trackers.py detector FACES RUN                 # RUN/detector.safetensors
    python weights/recipes/train_trackers.py cloak FACES RIVAL \\
        --benchmark benchmarks/rival.toml --method tip-im+views                # another method's, for its own

What is cloaked is by the tool's defaults, so that `sface` is not attacked. Nothing of it is packaged:
`scripts/trackers.py` asks what is left of a cloak then. Seeded; whatever was cut goes on where it was;
figures on held-out training people in RUN/log.jsonl. Only FACES/training is read, one photo of each person.
"""

from itertools import islice, zip_longest
from pathlib import Path
from random import Random
from typing import Annotated

import numpy as np
import torch
import typer
from PIL import Image
from torch import Generator, Tensor
from torch.nn import functional
from train_portrait import SEED, Session, flipped, log

from veil.attacks import recognizer
from veil.core.images import open_photo, to_tensor
from veil.core.types import Face, Photo, Sighting
from veil.core.writing import png
from veil.eval import resumable
from veil.eval.benchmark import MethodSpec, read
from veil.eval.datasets import main_face
from veil.eval.disturbances.codec import coded
from veil.eval.trackers import adversary_weights, detector, purifier
from veil.eval.trackers.crops import SIZE, TEMPLATE, cut
from veil.eval.trackers.rates import area_under_curve
from veil.privacy.settings import EFFORTS
from veil.ui.engine_hooks import ENGINE_HOOKS

app = typer.Typer(add_completion=False, help=__doc__)
LARGEST = 400  # pixels of a photo's longer side
HELD_OUT = 10  # every tenth person is kept for validation
SHIFT = 4  # pixels by which crops stray, as another detector might find faces
EVERY = 500  # steps between two checkpoints
KNOWN = "mobilefacenet"  # the recogniser that the adversary has
PIXELS = 50.0  # how much pixels count beside its cosine: what fits that alone helps no other recogniser
Run = Annotated[Path, typer.Argument(help="Folder of this training: cloaked photos, checkpoints, log.")]


# --- cloaked photos ---------------------------------------------------------------------------------------


def people(faces: Path) -> list[Path]:
    """A photo of each person of FACES/training, from its folders in turn, the order drawn by the seed."""
    folders = dict[str, list[Path]]()
    seen = set[str]()
    for path in sorted((faces / "training").rglob("*.jpg")):
        person = path.stem.removesuffix("_03").removesuffix("_08")  # London: two photos of each
        if person not in seen:
            folders.setdefault(path.parent.name, []).append(path)
        seen.add(person)
    for paths in folders.values():
        Random(SEED).shuffle(paths)
    return [path for turn in zip_longest(*folders.values()) for path in turn if path]


def small(path: Path) -> Photo:
    """A photo, no larger than `LARGEST`."""
    picture = Image.fromarray(open_photo(path).pixels)
    picture.thumbnail((LARGEST, LARGEST))
    return Photo(np.asarray(picture), path.name)


def name_of(path: Path) -> str:
    """What the cloak and the crops of a photo are called."""
    return f"{path.parent.name}-{path.stem}"


@app.command()
def cloak(
    faces: Path,
    run: Run,
    strength: str = "strong",
    count: int = 120,
    effort: str = "quick",
    benchmark: Annotated[Path | None, typer.Option(help="A benchmark, one of whose methods cloaks.")] = None,
    method: Annotated[str, typer.Option(help="Which, in place of a strength.")] = "",
) -> None:
    """Cloak photos of FACES/training with the public tool's defaults; what lies there is passed over."""
    chosen = MethodSpec(name=strength, preset=strength, settings=EFFORTS[effort])
    if benchmark:
        chosen = next(one for one in read(benchmark).methods if one.name == method)
    values = ENGINE_HOOKS.resolve(chosen.method, chosen.preset, chosen.settings)
    folder = run / "cloaked" / chosen.name
    folder.mkdir(parents=True, exist_ok=True)
    for path in islice(people(faces), count):
        place = folder / f"{name_of(path)}.png"
        photo = small(path)
        if not place.exists() and (face := main_face(photo.pixels)):
            made = ENGINE_HOOKS.protect(photo, face, values, None)
            resumable.replace(place, png(made.pixels))


def crops(faces: Path, run: Path) -> tuple[Tensor, Tensor]:
    """Crops before and after (N, 2, 3, SIZE, SIZE) as bytes: to train on, and of people who are held out.

    They are cut once: RUN/crops/STRENGTH/PHOTO.npy.
    """
    parts: tuple[list[Tensor], list[Tensor]] = [], []
    for place, path in enumerate(people(faces)):
        for after in sorted((run / "cloaked").glob(f"*/{name_of(path)}.png")):
            kept = run / "crops" / after.parent.name / f"{name_of(path)}.npy"
            if not kept.exists():
                kept.parent.mkdir(parents=True, exist_ok=True)
                np.save(kept, pair(small(path), open_photo(after)))
            parts[place % HELD_OUT == 0].append(torch.from_numpy(np.load(kept)))
    return torch.stack(parts[0]), torch.stack(parts[1])


def pair(before: Photo, after: Photo) -> np.ndarray:
    """The crops (2, 3, SIZE, SIZE) of the main face of a photo, before and after."""
    face = main_face(before.pixels)
    assert face
    both = torch.cat([cut(Sighting(photo, face)) for photo in (before, after)])
    return (255 * both.clamp(0, 1)).round().byte().numpy()


def drawn(pairs: Tensor, batch: int, generator: Generator) -> Tensor:
    """Pairs (2, B, 3, SIZE, SIZE) in [0, 1], some mirrored, in other light, and a little astray."""
    rows = pairs[torch.randint(len(pairs), (batch,), generator=generator)].float() / 255
    gamma = (0.2 * torch.randn(batch, 1, 1, 1, 1, generator=generator)).exp()
    gains = 1 + 0.05 * torch.randn(batch, 1, 3, 1, 1, generator=generator)
    lit = (rows**gamma * gains).clamp(0, 1).flatten(1, 2)  # both photos of a pair in the same way
    wide = functional.pad(flipped(lit, generator), [SHIFT] * 4, mode="replicate")
    x, y = torch.randint(2 * SHIFT + 1, (2,), generator=generator).tolist()
    return wide[..., y : y + SIZE, x : x + SIZE].unflatten(1, (2, 3)).transpose(0, 1)


# --- the purifier -----------------------------------------------------------------------------------------


def alike(crops: Tensor, aims: Tensor) -> Tensor:
    """The known recogniser's cosines (B,) between crops and aims (B, 3, SIZE, SIZE)."""
    known, face = recognizer(KNOWN), Face(np.array([0.0, 0.0, SIZE, SIZE]), TEMPLATE * SIZE - 0.5)
    with torch.no_grad():
        wanted = known.embed(known.align(aims, face))
    return (known.embed(known.align(crops, face)) * wanted).sum(1)


@torch.no_grad()
def figures(network: torch.nn.Module, pairs: Tensor) -> dict[str, float]:
    """What is left of the change of held-out pairs (N, 2, ...), and the known recogniser's mean cosine."""
    before, after = (pairs.float() / 255).unbind(1)
    clean = after + network(after)
    left = float((clean - before).square().mean().sqrt() / (after - before).square().mean().sqrt())
    cosines = {"cloaked": alike(after, before), "purified": alike(clean, before)}
    return {"left": round(left, 4), **{name: round(float(c.mean()), 4) for name, c in cosines.items()}}


@app.command(name="purifier")
def train_purifier(faces: Path, run: Run, steps: int = 6000, batch: int = 4, rate: float = 5e-4) -> None:
    """Train the purifier: the photo before is its aim, in pixels and as the known recogniser sees it."""
    torch.manual_seed(SEED)
    session = Session(run / "purifier.pt", purifier.Purifier(), rate, 0.999)
    while session.step < steps:
        pairs, held = crops(faces, run)  # more photos may be cloaked meanwhile
        losses: list[float] = []
        for _ in range(EVERY):
            before, after = drawn(pairs, batch, session.generator)
            clean = after + session.network(after)
            half = slice(batch // 2)
            loss = PIXELS * (clean - before).abs().mean()
            if session.step % 2:  # it costs as much as all else
                loss = loss + (1 - alike(clean[half], before[half])).mean()
            pace = min(1.0, (session.step + 1) / 200) * max(0.01, 1 - session.step / steps)
            session.advance(loss, rate * pace)
            losses.append(float(loss.detach()))
        found = figures(session.average, held)
        spent = round(session.spent())
        log(run, stage="purifier", step=session.step, loss=round(float(np.mean(losses)), 4), **found,
            pairs=len(pairs), seconds=spent)  # fmt: skip
        session.save()
        adversary_weights.save(session.average, run / "purifier.safetensors", len(pairs))


# --- the detector -----------------------------------------------------------------------------------------


def coded_again(crops: Tensor, generator: Generator) -> Tensor:
    """Crops (B, 3, SIZE, SIZE) in [0, 1] as they come back from a JPEG of quality 60 to 95."""
    quality = int(torch.randint(60, 96, (), generator=generator))
    pixels = (255 * crops).round().byte().permute(0, 2, 3, 1).numpy()
    return torch.cat([to_tensor(coded(one, "JPEG", quality)) for one in pixels])


@torch.no_grad()
def told_apart(network: torch.nn.Module, pairs: Tensor) -> float:
    """The area under the curve of held-out pairs (N, 2, ...)."""
    scores = torch.cat([network(side.float() / 255) for side in pairs.unbind(1)]).double().numpy()
    people = 2 * list(range(len(pairs)))
    return area_under_curve(scores, np.arange(len(people)) >= len(pairs), people).value


@app.command(name="detector")
def train_detector(faces: Path, run: Run, steps: int = 2000, batch: int = 4, rate: float = 1e-3) -> None:
    """Train the detector on photos before and after, every second batch of them coded again."""
    torch.manual_seed(SEED)
    session = Session(run / "detector.pt", detector.Detector(), rate, 0.99)
    pairs, held = crops(faces, run)
    aims = torch.cat([torch.zeros(batch), torch.ones(batch)])
    losses: list[float] = []
    while session.step < steps:
        both = drawn(pairs, batch, session.generator).flatten(0, 1)
        seen = coded_again(both, session.generator) if session.step % 2 else both
        loss = functional.binary_cross_entropy_with_logits(session.network(seen), aims)
        session.advance(loss, rate * min(1.0, (session.step + 1) / 100) * max(0.01, 1 - session.step / steps))
        losses.append(float(loss.detach()))
        if session.step % EVERY == 0:
            log(run, stage="detector", step=session.step, loss=round(float(np.mean(losses[-EVERY:])), 4),
                auc=round(told_apart(session.average, held), 4), pairs=len(pairs),
                seconds=round(session.spent()))  # fmt: skip
            session.save()
    adversary_weights.save(session.average, run / "detector.safetensors", len(pairs))


if __name__ == "__main__":
    app()
