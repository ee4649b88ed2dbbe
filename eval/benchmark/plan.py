"""Who is photographed, and every task: a photo, a method, the recogniser left out, a seed, a target."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...core.errors import BadSettings
from ...core.images import open_photo, to_tensor
from ...core.types import Stage, Step, Steps
from ...weights.registry import card
from .. import CLEAN, resumable
from ..datasets import Sample, balanced, dataset, main_face, samples
from ..verification import embedding
from .hooks import EngineHooks
from .manifest import claim_photos
from .results import PICTURE, ResultKey
from .spec import MethodSpec, Spec

Target = tuple[Path, Path]  # two photos of one person: the one that is attacked, the one that is measured


@dataclass(frozen=True)
class Task:
    """One photo, to be protected by one method against one set of surrogates and then judged.

    values: all settings of the method.
    quality_only: measure quality, and ask no recogniser.
    of_probe: the photo of the sample is what is the other photo elsewhere (`Task.swapped`).
    album: where the first photo lies once it is protected, from which this one is to be kept apart.
    """

    sample: Sample
    method: str
    left_out: str
    judges: tuple[str, ...]
    values: dict[str, Any]
    disturbances: tuple[str, ...]
    seed: int = 0
    target: Target | None = None
    rate: str = "far1"
    measures: tuple[str, ...] = ()
    quality_only: bool = False
    curve: str = ""
    of_probe: bool = False
    album: Path | None = None

    @property
    def key(self) -> ResultKey:
        """Where its result lies."""
        target = self.target[0].stem if self.target else ""
        return ResultKey(self.sample.identity, self.method, self.left_out, target, self.seed, self.of_probe)

    def swapped(self, album: Path | None = None) -> Task:
        """The same of the other photo of the person, which is compared with the first as it was.

        With the same seed: two visits to veil have the same settings, the seed among them.
        """
        assert self.sample.probe
        sample = replace(self.sample, photo=self.sample.probe, probe=self.sample.photo)
        return replace(self, sample=sample, of_probe=True, album=album)


def plan(
    spec: Spec,
    hooks: EngineHooks,
    people: list[Sample],
    faces: Path,
    tuned: Mapping[str, float],
    store: resumable.Store,
) -> Iterator[Task]:
    """Everything that has to be done, photo by photo, so that a run that is cut short is complete in part.

    Args:
        faces: the folder of datasets, in which targets lie, too.
        tuned: by the name of a method, what its setting was tuned to.
        store: of the run's results.
    """
    targets: list[Target | None] = [None]
    if spec.targets:
        enrol, probe = (sorted((faces / spec.targets / kind).iterdir()) for kind in ("enrol", "probe"))
        targets = list(zip(enrol, probe, strict=True))
    for seed in spec.seeds:
        for index, sample in enumerate(people):
            target = targets[index % len(targets)]
            for method in spec.all_methods():
                left_outs = (
                    spec.surrogate_sets(method)
                    if spec.leave_out == "each"
                    else [spec.left_out_for(method, index)]
                )
                for left_out in left_outs:
                    value = tuned.get(method.name)
                    task = make_task(spec, hooks, sample, method, left_out, value, seed, target)
                    yield task
                    if spec.pairings and sample.probe and method.name != CLEAN:
                        yield task.swapped(store.path(str(task.key), PICTURE) if method.album else None)


def make_task(
    spec: Spec,
    hooks: EngineHooks,
    sample: Sample,
    method: MethodSpec,
    left_out: str,
    value: float | None = None,
    seed: int = 0,
    target: Target | None = None,
) -> Task:
    """One task; `value` is what the method's setting was tuned to, where it was.

    Raises:
        UnknownName, BadSettings: as `EngineHooks.resolve` does.
    """
    impersonates = target is not None and method.attacks
    changes = {
        **method.settings,
        **({method.knob.setting: value} if method.knob and value is not None else {}),
        "surrogates": spec.surrogate_sets(method)[left_out],
        "seed": seed,
        "goal": "impersonate" if impersonates else "dodge",
    }
    return Task(
        sample=sample,
        method=method.name,
        left_out=left_out,
        judges=spec.independent_judges(method, left_out),
        values=hooks.resolve(method.method, method.preset, changes),
        disturbances=method.disturbances or spec.disturbances,
        seed=seed,
        target=target,
        rate=spec.rate,
        measures=spec.measures,
        curve=method.curve or method.name,
    )


def candidates(spec: Spec, faces: Path) -> list[Sample]:
    """Who may take part in a benchmark.

    Args:
        faces: the folder of datasets.

    Raises:
        BadPhoto: there is no dataset.
        BadSettings: pairings are asked for, and nobody has two photos.
    """
    everyone = samples(dataset(faces, spec.dataset))
    if spec.per_group:
        everyone = balanced(everyone, spec.per_group)
    if spec.pairings and not any(one.probe for one in everyone):
        raise BadSettings(
            f"Pairings need two photos of a person, and {spec.dataset!r} has one of each.",
            "Take `pairings` out, or name a dataset with a folder of photos for each person.",
        )
    return everyone


def choose_people(spec: Spec, everyone: list[Sample], folder: Path) -> Steps[list[Sample]]:
    """The people of a benchmark: the first that show a face and, if asked for, whom every judge knows.

    Args:
        everyone: who may take part.
        folder: of the run, which remembers photos and verdicts.

    Raises:
        BadPhoto: a photo cannot be read.
        BadSettings: the folder holds results of other photos of one of the people.
    """
    wanted = min(spec.photos or len(everyone), len(everyone))
    known = folder / "photos.json"
    if not spec.only_recognised:
        claim_photos(known, everyone[:wanted])
        return everyone[:wanted]
    file = folder / "people.json"
    verdicts: dict[str, bool] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    claim_photos(known, [one for one in everyone if one.identity in verdicts])
    chosen: list[Sample] = []
    for done, one in enumerate(everyone, 1):
        if len(chosen) == wanted:
            break
        if one.identity not in verdicts:
            verdicts[one.identity] = recognised(one, spec)
            yield Step(Stage.CHOOSING_PEOPLE, done, len(everyone))
        if verdicts[one.identity]:
            chosen.append(one)
    resumable.replace(file, json.dumps(verdicts).encode())
    claim_photos(known, [one for one in everyone if one.identity in verdicts])
    return chosen


def recognised(sample: Sample, spec: Spec) -> bool:
    """Whether every judge takes the two clean photos of a person for one person."""
    if not sample.probe:
        return False
    photos = [open_photo(path).pixels for path in (sample.photo, sample.probe)]
    found = [main_face(pixels) for pixels in photos]
    if found[0] is None or found[1] is None:
        return False
    pairs = [(to_tensor(pixels), face) for pixels, face in zip(photos, found, strict=True) if face]
    for judge in spec.judges:
        one, other = (embedding(judge, *pair) for pair in pairs)
        if float(one @ other) <= card(judge).thresholds[spec.rate]:
            return False
    return True
