"""A whole benchmark, from its file's words to the file of its rows."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ...core.types import Steps
from .. import resumable
from .checks import check
from .distractors import check_distractors, gather
from .hooks import EngineHooks
from .judge import protect_and_judge
from .manifest import MANIFEST, claim_folder, write_manifest
from .matching import match_quality
from .plan import candidates, choose_people, plan
from .results import forget_transient_failures, open_store, write_tables
from .spec import Spec


def run(
    spec: Spec, hooks: EngineHooks, faces: Path, folder: Path, workers: int = 1, cluster: str | None = None
) -> Steps[Path]:
    """Run what is missing of a benchmark; yields a step a photo and returns the Parquet file of its rows.

    A folder may be run again for more people or fewer, and for more left-out recognisers: what is done stays
    done, unless it failed by what may go better the next time (`results.TRANSIENT`).

    Args:
        faces: the folder of datasets.
        folder: of the run; it is made where there is none.
        workers, cluster: as `resumable.run` takes them.

    Raises:
        UnknownName, BadSettings, WeightsMissing: as `check` and `check_distractors` do.
        BadSettings: the folder holds another benchmark, or one of other weights, settings, thresholds or
            photos; or nobody has the two photos that pairings need.
        BadPhoto: there is no dataset.
    """
    check(spec, hooks)
    check_distractors(spec, faces)
    everyone = candidates(spec, faces)
    folder.mkdir(parents=True, exist_ok=True)
    claim_folder(folder / "spec.json", spec, hooks)
    store = open_store(folder)
    people = yield from choose_people(spec, everyone, folder)
    tuned = yield from match_quality(spec, hooks, people, store, workers, cluster)
    tasks = list(plan(spec, hooks, people, faces, tuned, store))
    keys = [str(task.key) for task in tasks]
    forget_transient_failures(store, keys)
    jobs = list(zip(keys, tasks, strict=True))
    yield from resumable.run(jobs, partial(protect_and_judge, hooks), store, workers, cluster)
    settings: dict[str, dict[str, Any]] = {}
    for task in tasks:
        values = {**task.values, "seed": list(spec.seeds)}
        settings.setdefault(f"{task.method}, {task.left_out} left out", values)
    distractors: dict[str, dict[str, int]] = {}
    if spec.distractors:
        distractors = yield from gather(spec, hooks, faces, folder, workers, cluster)
    write_manifest(folder / MANIFEST, spec, settings, people, tuned, distractors=distractors)
    curves = {task.key: task.curve for task in tasks if not task.of_probe}
    return write_tables(curves, store, folder, spec.pairings)
