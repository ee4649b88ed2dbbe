"""A whole benchmark of clips, from its file's words to its report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ...core.errors import BadSettings
from ...core.files import some
from ...core.registry import unknown
from ...core.types import Steps
from ...core.video import ENDINGS
from .. import resumable
from ..benchmark import EngineHooks
from ..benchmark.checks import check_recognizers, measure_blank
from ..benchmark.manifest import MANIFEST, claim_folder, claim_photos, write_manifest
from ..datasets import Sample
from ..disturbances.clip_codec import ENCODINGS, NONE
from .judge import ROWS, ClipTask, protect_and_judge
from .spec import ClipSpec
from .tables import write

CLIPS = "clips"  # the folder of a run that holds what is finished
PACKAGES = ("av", "opencv-python-headless")


def run(
    spec: ClipSpec,
    hooks: EngineHooks,
    clips: Path,
    folder: Path,
    workers: int = 1,
    cluster: str | None = None,
) -> Steps[list[Path]]:
    """Run what is missing of a benchmark; yields a step a task, and returns the report and the rows.

    A folder may be run again for more clips, and for more left-out recognisers: what is done stays done,
    unless it failed by what may go better the next time.

    Args:
        clips: the folder of clips.
        folder: of the run; it is made where there is none.
        workers, cluster: as `resumable.run` takes them.

    Raises:
        UnknownName, BadSettings, WeightsMissing: what the file says cannot be done here.
        BadSettings: there are no clips, or the folder holds another benchmark, or one of other weights,
            settings, thresholds or clips.
    """
    check(spec, hooks)
    files = clips_of(spec, clips)
    folder.mkdir(parents=True, exist_ok=True)
    claim_folder(folder / "spec.json", spec, hooks)
    people = [Sample(path.stem, path, _other(spec, path, clips)) for path in files]
    claim_photos(folder / "photos.json", people)
    tasks = list(plan(spec, hooks, files, clips))
    store = resumable.Store(folder / CLIPS, ROWS)
    for task in tasks:
        if store.has(task.key) and rows_of(store, task)["clips"][0].get("passing"):
            store.path(task.key, ROWS).unlink()
    jobs = [(task.key, task) for task in tasks]
    yield from resumable.run(jobs, partial(protect_and_judge, hooks), store, workers, cluster)
    settings = {f"{task.method}, {task.left_out} left out": task.values for task in tasks}
    write_manifest(folder / MANIFEST, spec, settings, people, {}, PACKAGES)
    return write(folder, spec, [rows_of(store, task) for task in tasks])


def rows_of(store: resumable.Store, task: ClipTask) -> dict[str, list[dict[str, Any]]]:
    """The rows of a finished task, by table."""
    return json.loads(store.path(task.key, ROWS).read_text(encoding="utf-8"))


def check(spec: ClipSpec, hooks: EngineHooks) -> None:
    """Check everything that a file says.

    Raises:
        UnknownName: of a method, recogniser, setting, measure or encoding.
        BadSettings: what is told does not fit together.
        WeightsMissing: a measure needs a network that is not on this machine.
    """
    check_recognizers(spec, "far1")
    for name in spec.measures:
        measure_blank(name)
    for name in spec.encodings:
        if name not in (NONE, *ENCODINGS):
            raise unknown("encoding", name, (NONE, *ENCODINGS))
    if NONE not in spec.encodings:
        raise BadSettings("Encodings are compared with none.", f'Name "{NONE}" among them.')
    names = [method.name for method in spec.methods]
    if len(set(names)) < len(names):
        raise BadSettings("Two methods have one name.", "Give each a name of its own.")
    for method in spec.methods:
        if method.method != "veil" or method.knob or method.album or method.disturbances:
            raise BadSettings(
                f"{method.name!r} cannot be tried on clips.",
                "Clips are protected by the engine, and methods say their preset and settings alone.",
            )
        hooks.resolve(method.method, method.preset, method.settings)


def clips_of(spec: ClipSpec, folder: Path) -> list[Path]:
    """The clips of a benchmark, in the order of their names.

    Raises:
        BadSettings: there is none, or not one that is named; or two have one name.
    """
    if isinstance(spec.clips, str):
        place = folder / spec.clips
        found = (
            sorted(path for path in place.iterdir() if path.suffix.lower() in ENDINGS)
            if place.is_dir()
            else []
        )
    else:
        found = [folder / name for name in spec.clips]
    others = [folder / name for name in spec.others.values()]
    missing = [path.name for path in (*found, *others) if not path.is_file()]
    if missing or not found:
        what = f"is no clip {missing[0]}" if missing else "are no clips"
        raise BadSettings(f"There {what} in {folder}.", "Name their folder with --faces.")
    names = [path.stem for path in found]
    for field in ("start", "others"):
        for name in getattr(spec, field):
            if name not in names:
                raise BadSettings(
                    f"[{field}] names {name!r}, and there is no clip called so.",
                    f"Take it out of the file, or name another folder with --faces: here are {some(names)}.",
                )
    if len(set(names)) < len(names):
        raise BadSettings("Two clips have one name.", "Give each a name of its own.")
    return found[: spec.photos]


def plan(spec: ClipSpec, hooks: EngineHooks, files: list[Path], folder: Path) -> Iterator[ClipTask]:
    """Everything that has to be done, clip by clip, so that a run that is cut short is complete in part."""
    for index, path in enumerate(files):
        for method in spec.methods:
            for left_out in spec.left_out_for(method, index):
                used = spec.surrogate_sets(method)[left_out]
                values = hooks.resolve(method.method, method.preset, {**method.settings, "surrogates": used})
                yield ClipTask(
                    clip=path,
                    start=spec.start.get(path.stem, 0.0),
                    seconds=spec.seconds,
                    method=method.name,
                    left_out=left_out,
                    values=values,
                    names=spec.judges,
                    unseen=spec.independent_judges(method, left_out),
                    encodings=spec.encodings,
                    measures=spec.measures,
                    pictures=spec.pictures,
                    measured=spec.measured,
                    other=_other(spec, path, folder),
                )


def _other(spec: ClipSpec, path: Path, folder: Path) -> Path | None:
    """Another clip of the person of a clip, where there is one."""
    name = spec.others.get(path.stem)
    return folder / name if name else None
