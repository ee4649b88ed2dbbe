"""Can two cloaked photos of one person be kept apart without a memory of either?

    python scripts/try_albums.py FACES RUN [--people 6]

FACES holds celebahq_pairs, whose people from the 200th on are taken, and training/faker, people who do not
exist. Both photos of each person are cloaked at `strong`, without sface and its kin, which judges.

alone: as the tool does.
decoy: all of the objective pulls towards one of those who do not exist, whom the photo itself picks by its
    checksum; one's own identity has its price still.
own album: the second photo is kept apart from its own cloak of `alone`, as if that were of an album.

Printed: by the judge, the mean cosine of each pairing and the share that is rejected at FAR 1 %. What does
not pay is not in the engine (docs/decisions/0026). A run that was cut goes on. Seed 0.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import typer

from veil.attacks import attacked
from veil.core.images import open_photo, to_tensor
from veil.core.types import Array, Face, Photo
from veil.core.writing import png
from veil.eval import resumable
from veil.eval.datasets import checksum, main_face, samples
from veil.eval.verification import embedding
from veil.ui.engine_hooks import ENGINE_HOOKS
from veil.weights.registry import card

JUDGE = "sface"
SKIPPED = 200
Shown = tuple[Photo, Face]


def shown(path: Path) -> Shown:
    """A photo, and the face that it shows."""
    photo = open_photo(path)
    face = main_face(photo.pixels)
    assert face, f"no face in {path}"
    return photo, face


def decoy(photo: Path, pool: list[Path]) -> Shown:
    """Who the checksum of a photo picks, and who of the next shows a face."""
    first = int(checksum(photo), 16)
    found = (
        (one, main_face(one.pixels)) for one in (open_photo(pool[(first + n) % len(pool)]) for n in range(20))
    )
    return next((one, face) for one, face in found if face)


def seen(path: Path, face: Face) -> Array:
    """The judge's unit vector (D,) of the face in a picture, which lies about where it lay before."""
    pixels = open_photo(path).pixels
    return embedding(JUDGE, to_tensor(pixels), main_face(pixels) or face).double().numpy()


def cloaked(
    file: Path, one: Shown, values: Any, target: Shown | None = None, album: Sequence[Shown] = ()
) -> Path:
    """Where a cloaked photo lies, which is made if it is not there."""
    if not file.exists():
        made = ENGINE_HOOKS.protect(*one, values, target, list(album))
        file.parent.mkdir(parents=True, exist_ok=True)
        resumable.replace(file, png(made.pixels))
    return file


def main(faces: Path, run: Path, people: int = 6) -> None:
    """Cloak, and print what the judge says."""
    pool = sorted((faces / "training" / "faker").iterdir())
    changes: dict[str, Any] = {"surrogates": list(attacked(JUDGE)), "seed": 0}
    alone, towards = (
        ENGINE_HOOKS.resolve("veil", "strong", changes | goal) for goal in ({}, {"goal": "impersonate"})
    )
    rows: dict[str, list[list[float]]] = {}
    everyone = [
        one for one in samples(faces / "celebahq_pairs") if int(one.identity) >= SKIPPED and one.probe
    ]
    for person in islice(everyone, people):
        clean, made = list[Array](), dict[str, list[Array]]()
        for side, path in zip("ab", (person.photo, person.probe), strict=True):
            assert path
            one = shown(path)
            clean.append(seen(path, one[1]))
            name = f"{person.identity}-{side}.png"
            first = cloaked(run / "alone" / name, one, alone)
            files = {"alone": first, "own album": first}
            files["decoy"] = cloaked(run / "decoy" / name, one, towards, decoy(path, pool))
            if side == "b":
                itself = [(open_photo(first), one[1])]
                files["own album"] = cloaked(run / "own-album" / name, one, alone, album=itself)
            for idea, file in files.items():
                made.setdefault(idea, []).append(seen(file, one[1]))
        for idea, (ours, theirs) in made.items():
            pairs = [ours @ clean[1], clean[0] @ theirs, ours @ theirs]
            rows.setdefault(idea, []).append([float(cosine) for cosine in pairs])
        print(
            person.identity, {idea: np.round(some[-1], 2).tolist() for idea, some in rows.items()}, flush=True
        )
    threshold = card(JUDGE).thresholds["far1"]
    print(f"cloaked-clean, clean-cloaked, cloaked-cloaked; rejected below {threshold:.2f}")
    for idea, some in rows.items():
        cosines = np.array(some)
        print(idea, cosines.mean(0).round(2), (cosines <= threshold).mean(0).round(2), len(cosines))


if __name__ == "__main__":
    typer.run(main)
