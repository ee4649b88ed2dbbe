"""Distractors: strangers who fill a gallery, from other datasets or made up, as the judges see them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ...core.errors import BadSettings, NoFace, VeilError
from ...core.images import open_photo, to_tensor
from ...core.types import Array, Photo, Steps
from ...core.writing import png
from ...weights.registry import card
from .. import resumable
from ..datasets import checksum, dataset, main_face, samples
from ..verification import embedding
from .hooks import EngineHooks
from .results import PICTURE, ROWS, TRANSIENT, forget_transient_failures, pack, unpack
from .spec import MADE_UP, Spec

FOLDER = "distractors"  # of a run, that holds what was seen of each
GATHERED = "distractors.npz"  # all of them
SAME = "far01"  # two made-up people whom most judges take for one at this rate of false accepts are one
Source: TypeAlias = Path | int  # a photo, or the seed of somebody made up


@dataclass(frozen=True, eq=False)
class Distractors:
    """Strangers, one photo of each.

    people: DATASET/IDENTITY of each of M; vectors: by recogniser, unit vectors (M, D).
    """

    people: tuple[str, ...]
    vectors: Mapping[str, Array]


def check_distractors(spec: Spec, faces: Path) -> None:
    """Check, before the work, that the distractors of a benchmark can be gathered, and are asked for.

    Raises:
        BadPhoto: there is no dataset.
        BadSettings: there are no pairings, whose galleries they fill; or it is not said how many are made up.
    """
    if spec.distractors and not spec.pairings:
        raise BadSettings("Distractors fill the galleries of pairings.", "Say `pairings = true`.")
    for name in spec.distractors:
        next(_jobs(name, faces))


def gather(
    spec: Spec, hooks: EngineHooks, faces: Path, folder: Path, workers: int = 1, cluster: str | None = None
) -> Steps[dict[str, dict[str, int]]]:
    """Let the judges see the distractors of a benchmark, and write down what `read_distractors` reads.

    Yields a step a photo; what was seen is kept.

    Args:
        faces: the folder of datasets.
        folder: of the run.
        workers, cluster: as `resumable.run` takes them.

    Returns:
        For each of the spec's `distractors` how many are "used", and how many are not, by the reason.

    Raises:
        BadPhoto: there is no dataset.
        BadSettings: none of them shows a face.
        as `resumable.run` does.
    """
    store = resumable.Store(folder / FOLDER, ROWS)
    jobs, taken = dict[str, dict[str, Source]](), set[str]()
    for name in spec.distractors:  # those of prior:20 are among those of prior:30
        jobs[name] = {key: source for key, source in _jobs(name, faces) if key not in taken}
        taken |= jobs[name].keys()
    everyone = [job for some in jobs.values() for job in some.items()]
    forget_transient_failures(store, [key for key, _ in everyone])
    work = partial(_seen, hooks.make_person, spec.judges)
    yield from resumable.run(everyone, work, store, workers, cluster)
    people, vectors = list[str](), list[dict[str, Array]]()
    counts: dict[str, dict[str, int]] = {}
    for name, some in jobs.items():
        kept, counts[name] = _usable(store, some, one_each=name.startswith(f"{MADE_UP}:"))
        people += [key.rpartition("-")[0] or key for key in kept]
        vectors += kept.values()
    if not people:
        raise BadSettings("No distractor shows a face.", "Name other datasets in `distractors`.")
    arrays: dict[str, Any] = {judge: np.stack([one[judge] for one in vectors]) for judge in spec.judges}
    file = BytesIO()
    np.savez(
        file, people=np.array(people), **{name: made.astype(np.float16) for name, made in arrays.items()}
    )
    resumable.replace(folder / GATHERED, file.getvalue())
    return counts


def read_distractors(folder: Path) -> Distractors | None:
    """The distractors of a run, where it has any."""
    if not (folder / GATHERED).exists():
        return None
    with np.load(folder / GATHERED) as file:
        people, judges = tuple(file["people"].tolist()), {*file.files} - {"people"}
        vectors = {name: file[name].astype(float) for name in judges}
    return Distractors(
        people, {name: one / np.linalg.norm(one, axis=1, keepdims=True) for name, one in vectors.items()}
    )


def _usable(
    store: resumable.Store, keys: Iterable[str], one_each: bool
) -> tuple[dict[str, dict[str, Array]], dict[str, int]]:
    """What was seen of distractors by their keys, and how many are used or not, by the reason.

    one_each: whether somebody is left out who looks like one before, as made-up people may.
    """
    kept, counts = dict[str, dict[str, Array]](), {"used": 0}
    for key in keys:
        rows, vectors = unpack(store.path(key, ROWS))
        why = rows[0]["error"]
        if not why and one_each and _known(vectors, kept.values()):
            why = "looks like another"
        if not why:
            kept[key] = vectors
        counts[why or "used"] = counts.get(why or "used", 0) + 1
    return kept, counts


def _known(vectors: Mapping[str, Array], others: Collection[Mapping[str, Array]]) -> bool:
    """Whether most recognisers take a face for one and the same of others."""
    if not others:
        return False
    votes = np.zeros(len(others))
    for name, vector in vectors.items():
        votes += np.stack([one[name] for one in others]) @ vector > card(name).thresholds[SAME]
    return bool(votes.max() > len(vectors) / 2)


def _jobs(name: str, faces: Path) -> Iterator[tuple[str, Source]]:
    """One photo of each, by what it is kept under."""
    source, _, count = name.partition(":")
    if source == MADE_UP:
        if not count:
            raise BadSettings(f"{name!r} does not say how many people are made up.", f"Say {MADE_UP}:340.")
        yield from ((f"{MADE_UP}/{seed:05}", seed) for seed in range(int(count)))
        return
    for one in samples(dataset(faces, source)):
        yield f"{source}/{one.identity}-{checksum(one.photo)[:8]}", one.photo


def _seen(make: Callable[[int], Photo], judges: tuple[str, ...], source: Source) -> dict[str, bytes]:
    """How judges see somebody, or why they do not; with the picture of whom was made up."""
    files: dict[str, bytes] = {}
    try:
        photo = open_photo(source) if isinstance(source, Path) else make(source)
        if isinstance(source, int):
            files[PICTURE] = png(photo.pixels)
        if not (face := main_face(photo.pixels)):
            raise NoFace(f"No face was found in {photo.name}.")
        image = to_tensor(photo.pixels)
        vectors = {name: embedding(name, image, face).double().numpy() for name in judges}
        return files | {ROWS: pack([{"error": ""}], vectors)}
    except VeilError as error:
        row = {"error": type(error).__name__, "passing": isinstance(error, TRANSIENT)}
        return files | {ROWS: pack([row], {})}
