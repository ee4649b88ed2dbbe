"""Photographs to judge by: who is on them, and which two show the same person.

A dataset is a folder with one folder a person, whose name is its path in the dataset, or a folder with
`pairs.csv` (identity, protect, probe and, optionally, doubtful_label), or a plain folder of photos of as many
people. File names like UTKFace's, age_gender_race_date, give labels.
"""

from __future__ import annotations

import csv
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import file_digest
from itertools import zip_longest
from pathlib import Path

import numpy as np

from ..attacks.faces.detection import find_faces
from ..core.errors import BadPhoto
from ..core.types import Face, Pixels
from .detectors import Detector

ONE_EACH = "Name a folder that has one folder a person."
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
UTKFACE = re.compile(r"(?P<age>\d+)_(?P<gender>[01])_(?P<race>[0-4])_\d+")
GENDERS = ("male", "female")
RACES = ("white", "black", "asian", "indian", "other")
AGES = ((0, "under 30"), (30, "30 to 49"), (50, "50 and over"))


@dataclass(frozen=True)
class Sample:
    """A photo to protect, and another photo of the same person where there is one."""

    identity: str
    photo: Path
    probe: Path | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


def dataset(faces: Path, name: str) -> Path:
    """The folder of a dataset of a benchmark.

    Raises:
        BadPhoto: it is not there.
    """
    if (faces / name).is_dir():
        return faces / name
    raise BadPhoto(
        f"There is no dataset {name!r} in {str(faces)!r}.", "Name the folder that holds it with --faces."
    )


def samples(folder: Path) -> list[Sample]:
    """One photo to protect for each person of a dataset, in the order of the names.

    Raises:
        BadPhoto: there is no dataset there.
    """
    if (folder / "pairs.csv").exists():
        with (folder / "pairs.csv").open(encoding="utf-8", newline="") as file:
            return [
                Sample(row["identity"], folder / row["protect"], folder / row["probe"])
                for row in csv.DictReader(file)
                if row.get("doubtful_label", "0") == "0"
            ]
    people: defaultdict[str, list[Path]] = defaultdict(list)
    for identity, path in album(folder):
        people[identity].append(path)
    return [
        Sample(identity, paths[0], paths[1] if len(paths) > 1 else None, labels(paths[0]))
        for identity, paths in people.items()
    ]


def album(folder: Path) -> list[tuple[str, Path]]:
    """Every photo of a dataset, and who is on it.

    Raises:
        BadPhoto: there is no dataset there.
    """
    if (folder / "pairs.csv").exists():
        pairs = samples(folder)
        return [(one.identity, path) for one in pairs for path in (one.photo, one.probe) if path]
    if not folder.is_dir():
        raise BadPhoto(f"There is no folder {folder}.", ONE_EACH)
    paths = sorted(path for path in _files(folder) if path.suffix.lower() in PICTURES)
    if not paths:
        raise BadPhoto(f"There are no photos in {folder}.", ONE_EACH)
    return [
        (path.stem if path.parent == folder else path.parent.relative_to(folder).as_posix(), path)
        for path in paths
    ]


def _files(folder: Path) -> Iterator[Path]:
    """All files of a folder, and of those that it links to; of no folder twice."""
    seen = set[str]()
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(place, name) for name in names)


def labels(path: Path) -> dict[str, str]:
    """The gender, race and age that a file name like UTKFace's tells."""
    told = UTKFACE.match(path.name)
    if not told:
        return {}
    age = [name for least, name in AGES if int(told["age"]) >= least][-1]
    return {"gender": GENDERS[int(told["gender"])], "race": RACES[int(told["race"])], "age": age}


def balanced(everyone: list[Sample], each: int) -> list[Sample]:
    """At most `each` samples for each combination of gender and race, of all ages: the first of every
    combination, then the second."""
    groups: defaultdict[tuple[str, str], defaultdict[str, list[Sample]]]
    groups = defaultdict(lambda: defaultdict(list))
    for one in everyone:
        gender, race, age = (one.labels.get(label, "") for label in ("gender", "race", "age"))
        groups[gender, race][age].append(one)
    return _in_turn([_in_turn(ages.values())[:each] for ages in groups.values()])


def _in_turn(lists: Iterable[Sequence[Sample]]) -> list[Sample]:
    """The first of every list, then the second of those that have one, and so on."""
    return [one for rank in zip_longest(*lists) for one in rank if one]


def main_face(pixels: Pixels, find: Detector = find_faces) -> Face | None:
    """Whom a photo (H, W, 3) is of: the largest face nearest to its middle, since others may stand behind."""
    middle = np.array(pixels.shape[1::-1]) / 2

    def away(face: Face) -> float:
        return float(np.linalg.norm(face.box.reshape(2, 2).mean(0) - middle)) - face.side

    return min(find(pixels), key=away, default=None)


def checksum(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
