"""Measure the packaged recognisers on real faces, and derive the thresholds that stand on their cards.

    python weights/recipes/measure_recognizers.py --calibrate LFW --evaluate PAIRS --cache FOLDER

`LFW` has a folder of photos a person; thresholds are the cosines that 10, 1 and 0.1 % of its pairs of
different people exceed. `PAIRS` has pairs.csv (identity, protect, probe) and is only measured. Faces are
found once and kept in `FOLDER`. Prints a table for each set; the thresholds of the first go into cards.toml.
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from veil.attacks import RECOGNIZERS, Recognizer, recognizer
from veil.attacks.faces import find_faces
from veil.core.types import Array, Face, Pixels

RATES = {"far10": 0.1, "far1": 0.01, "far01": 0.001}


@dataclass(frozen=True)
class Photos:
    """Photos (paths) and who is on each."""

    paths: list[Path]
    people: list[str]


def lfw(folder: Path) -> Photos:
    """A folder a person."""
    paths = sorted(folder.glob("*/*.jpg"))
    return Photos(paths, [path.parent.name for path in paths])


def pairs(folder: Path) -> Photos:
    """Two photos a person, named in pairs.csv."""
    rows = list(csv.DictReader((folder / "pairs.csv").open()))
    both = [(folder / row[column], row["identity"]) for column in ("protect", "probe") for row in rows]
    return Photos([path for path, _ in both], [person for _, person in both])


def pixels(path: Path) -> Pixels:
    return np.array(Image.open(path).convert("RGB"))


def main_face(photo: Pixels) -> Face | None:
    """The largest face nearest to the centre; others may stand in the background."""
    middle = np.array(photo.shape[1::-1]) / 2
    away = lambda face: np.linalg.norm(face.box.reshape(2, 2).mean(0) - middle) - face.side  # noqa: E731
    return min(find_faces(photo), key=away, default=None)


def find(photos: Photos, cache: Path) -> list[Face | None]:
    """The face of each photo, remembered in the file `cache`."""
    known: dict[str, list[list[float]]] = json.loads(cache.read_text()) if cache.exists() else {}
    for path in photos.paths:
        if (key := "/".join(path.parts[-2:])) not in known:
            face = main_face(pixels(path))
            known[key] = [face.box.tolist(), face.points.ravel().tolist()] if face else []
    cache.write_text(json.dumps(known))
    found = [known["/".join(path.parts[-2:])] for path in photos.paths]
    return [Face(np.array(one[0]), np.reshape(one[1], (5, 2))) if one else None for one in found]


def embed(model: Recognizer, paths: list[Path], faces: list[Face]) -> Array:
    """Unit vectors (N, D)."""
    with torch.inference_mode():
        rows = [
            model.embed(model.align(torch.from_numpy(pixels(path)).permute(2, 0, 1)[None] / 255, face))
            for path, face in zip(paths, faces, strict=True)
        ]
    return torch.cat(rows).double().numpy()


def split(vectors: Array, people: list[str]) -> tuple[Array, Array]:
    """The cosines of all pairs of one person, and of all pairs of two."""
    upper = np.triu_indices(len(people), 1)
    cosines = (vectors @ vectors.T)[upper]
    same = (np.array(people)[:, None] == np.array(people))[upper]
    return cosines[same], cosines[~same]


def equal_error_rate(same: Array, different: Array) -> float:
    """Where as many pairs of one person fail as pairs of two pass."""
    thresholds = np.sort(same)
    rejected = np.arange(len(same)) / len(same)
    accepted = 1 - np.searchsorted(np.sort(different), thresholds) / len(different)
    nearest = np.abs(rejected - accepted).argmin()
    return float(rejected[nearest] + accepted[nearest]) / 2


def measure(photos: Photos, cache: Path) -> None:
    """Print one set's thresholds and table."""
    found = find(photos, cache)
    seen = [index for index, face in enumerate(found) if face is not None]
    faces = [face for face in found if face is not None]
    paths, people = [photos.paths[index] for index in seen], [photos.people[index] for index in seen]
    print(f"\n{len(seen)} faces in {len(found)} photos")
    print("| recogniser | same / different | EER % | TAR@FAR1% | TAR@FAR0.1% | thresholds |")
    print("|---" * 6 + "|")
    for name in RECOGNIZERS:
        same, different = split(embed(recognizer(name), paths, faces), people)
        bounds = {key: float(np.quantile(different, 1 - rate)) for key, rate in RATES.items()}
        accepted = [100 * float((same > bounds[key]).mean()) for key in ("far1", "far01")]
        print(
            f"| {name} | {len(same)} / {len(different)} | {100 * equal_error_rate(same, different):.1f} "
            f"| {accepted[0]:.1f} | {accepted[1]:.1f} "
            f"| {{ {', '.join(f'{key} = {bound:.4f}' for key, bound in bounds.items())} }} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for option in ("--calibrate", "--evaluate", "--cache"):
        parser.add_argument(option, type=Path, required=True)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    measure(lfw(options.calibrate), options.cache / "calibrate.json")
    measure(pairs(options.evaluate), options.cache / "evaluate.json")


if __name__ == "__main__":
    main()
