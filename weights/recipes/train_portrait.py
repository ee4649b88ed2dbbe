"""Train the packaged portrait prior from public photographs, on two CPU cores.

    python weights/recipes/train_portrait.py crops FACES RUN        # cut aligned crops out of FACES/training
    python weights/recipes/train_portrait.py autoencoder RUN        # about 20 minutes
    python weights/recipes/train_portrait.py denoiser RUN --hours 2 # more hours, better weights
    python weights/recipes/train_portrait.py export RUN             # -> weights/packaged and its card

Every stage is seeded, writes a checkpoint every few minutes, goes on from it when started again, and logs
its figures on held-out training photos to RUN/log.jsonl. Only FACES/training is read: the official portraits,
generated people and research set described in the README there. `python scripts/measure_prior.py` measures the
result on photographs that the training never saw.
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.progress import track
from torch import Tensor
from veil.attacks.faces import find_faces, fit, warp
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
    matrix = fit(faces[0], portrait.TEMPLATE, portrait.SIZE)
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


if __name__ == "__main__":
    app()
