"""What a run was made of, so that its folder takes no other benchmark in, and that it can be made again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ...core.errors import BadSettings
from ...weights.registry import card, cards
from .. import resumable
from ..calibration import made_of, overlap
from ..datasets import Sample, checksum
from .hooks import EngineHooks
from .spec import CommonSpec

PACKAGES = ("veil", "torch", "numpy", "pillow", "facenet-pytorch", "kornia", "diffusers", "piq")
TEXT_PACKAGES = ("rapidocr", "onnxruntime")  # of t_acc and t_ned
MANIFEST = "manifest.json"
OTHER_FOLDER = "Name another folder with --output."


def claim_folder(file: Path, spec: CommonSpec, hooks: EngineHooks) -> None:
    """Remember in a file the benchmark of a folder, and the weights and settings that it is made with.

    A folder may be run again for other people, recognisers left out, pairings and curves. Settings are
    compared by today's names; what folders of before do not know, networks among it, is passed over.

    Raises:
        BadSettings: the folder holds another benchmark, or results of other weights, settings or thresholds.
    """
    may_change: Any = {
        **dict.fromkeys(("photos", "per_group", "leave_out", "pairings", "distractors"), True),
        "methods": {"__all__": {"curve"}},
    }
    about: dict[str, Any] = {
        "spec": json.loads(spec.model_dump_json(exclude=may_change)),
        "weights": weights_of(spec),
        "settings": {one.name: hooks.resolve(one.method, one.preset, one.settings) for one in spec.methods},
        "thresholds": _thresholds(spec),
    }
    about = _by_current_names(about, hooks)
    before = about
    if file.exists():
        before = _by_current_names(json.loads(file.read_text(encoding="utf-8")), hooks)
    before = {**before, "weights": about["weights"] | before.get("weights", {})}
    for part in about:
        if before.get(part, about[part]) != about[part]:
            words = "another benchmark" if part == "spec" else f"results of other {part}"
            title, parts = before["spec"]["title"], ", ".join(_differing(before[part], about[part]))
            raise BadSettings(f"{file.parent} holds {words}: {title!r}; other: {parts}.", OTHER_FOLDER)
    resumable.replace(file, _json(about))


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The names whose values differ."""
    return [name for name in {**before, **now} if before.get(name) != now.get(name)]


def _by_current_names(about: Mapping[str, Any], hooks: EngineHooks) -> dict[str, Any]:
    """What a folder is about, its settings by today's names."""
    spec, settings = about["spec"], about.get("settings")
    methods = [_method_by_current_names(method, hooks) for method in spec["methods"]]
    found = {**about, "spec": {**spec, "methods": methods}}
    if settings is not None:
        found["settings"] = {name: hooks.current_names(values) for name, values in settings.items()}
    return found


def _method_by_current_names(method: Mapping[str, Any], hooks: EngineHooks) -> dict[str, Any]:
    found = {**method, "settings": hooks.current_names(method["settings"])}
    if tuned := method["knob"]:
        (name,) = hooks.current_names({tuned["setting"]: None})
        found["knob"] = {**tuned, "setting": name}
    return found


def people_in(folder: Path) -> frozenset[str]:
    """The people, or clips, of the tables in a folder."""
    file = folder / MANIFEST
    return frozenset(json.loads(file.read_text(encoding="utf-8"))["photos"] if file.exists() else ())


def claim_photos(file: Path, people: Iterable[Sample]) -> None:
    """Remember in a file the photos of a folder's people, who may become more.

    Raises:
        BadSettings: the folder holds results, which are kept by names only, of other photos of a person.
    """
    before: dict[str, list[str]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    photos = {one.identity: [checksum(path) for path in (one.photo, one.probe) if path] for one in people}
    for identity, sums in photos.items():
        if before.get(identity, sums) != sums:
            raise BadSettings(f"{file.parent} holds results of other photos of {identity!r}.", OTHER_FOLDER)
    resumable.replace(file, _json(before | photos))


def weights_of(spec: CommonSpec) -> dict[str, str]:
    """The SHA-256 of the networks of a benchmark, by name."""
    attacks = (names for method in spec.methods for names in spec.surrogate_sets(method).values())
    used = {*spec.judges, *chain.from_iterable(attacks)}
    others = {one.name for one in cards().values() if one.packaged and one.kind != "recogniser"}
    return {name: card(name).sha256 for name in sorted(used | others)}


def write_manifest(
    file: Path,
    spec: CommonSpec,
    settings: Mapping[str, Mapping[str, Any]],
    people: Iterable[Sample],
    tuned: Mapping[str, float],
    packages: Sequence[str] = (),
    distractors: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
) -> None:
    """Write down what it takes to make a benchmark again.

    Args:
        settings: all settings, by method and recogniser left out.
        tuned: by the name of a method, what its setting was tuned to.
        packages: that it needs beside `PACKAGES`.
        distractors: how many of each kind fill galleries, and how many do not and why.
    """
    photos, probes = dict[str, str](), dict[str, str]()
    for one in people:
        photos[one.identity] = checksum(one.photo)
        if one.probe:
            probes[one.identity] = checksum(one.probe)
    packages = [*PACKAGES, *packages, *(TEXT_PACKAGES if {"t_acc", "t_ned"} & {*spec.measures} else ())]
    manifest = {
        "spec": json.loads(spec.model_dump_json()),
        "settings": settings,
        "matched": dict(tuned),
        "versions": {name: version(name) for name in packages},
        "weights": weights_of(spec),
        "thresholds": _thresholds(spec),
        "photos": photos,
        "probes": probes,
        "distractors": dict(distractors),
        "warnings": overlap(made_of(), photos, [*photos.values(), *probes.values()]),
    }
    resumable.replace(file, _json(manifest))


def _thresholds(spec: CommonSpec) -> dict[str, dict[str, float]]:
    return {name: dict(card(name).thresholds) for name in spec.judges}


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()
