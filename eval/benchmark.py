"""A benchmark: a dataset x methods x recognisers x disturbances, from one declarative file to rows.

Every photo is protected by every method, once for each recogniser that is left out of the surrogates, saved,
disturbed and recognised again. What the judge must not know, the engine and its purifiers, is handed in.
"""

from __future__ import annotations

import dataclasses
import json
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import version
from io import BytesIO
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, Literal, Protocol

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..attacks import RECOGNIZERS, independent, packaged
from ..attacks.faces import ARCFACE, find_faces
from ..core.errors import BadSettings, DeviceFull, NoFace, VeilError, WeightsCorrupt, WeightsMissing
from ..core.files import atomic_write
from ..core.images import open_photo, to_tensor
from ..core.registry import Registry, unknown
from ..core.types import Array, Face, Photo, Pixels, Stage, Step, Steps
from ..weights.registry import card, cards
from . import FACE_MEASURES, MEASURES, METRICS, SET_MEASURES, resumable
from .bootstrap import RATES
from .calibration import made_of, overlap
from .datasets import Sample, balanced, checksum, main_face, samples
from .detectors import DETECTORS, Detector
from .disturbances import Disturbance
from .verification import embedding

CLEAN = "identity"  # the method that changes nothing: every benchmark has it
ROWS = ".npz"  # a finished photo: its rows, and what the recognisers saw
PICTURE = ".png"
PASSING = (DeviceFull, WeightsCorrupt, WeightsMissing)  # what may go better the next time


class TunedSetting(BaseModel):
    """The setting of a method that is searched until its quality is that of `Match`, between two values; from
    `start`, or from the middle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    setting: str
    low: float = Field(gt=0)
    high: float = Field(gt=0)
    start: float | None = Field(None, gt=0)


class MethodSpec(BaseModel):
    """One method under test: its `name` in the tables; the rest as the engine knows it.

    attacks: whether it uses surrogates; one that does not is run once, not once for each left-out recogniser.
    pool: its own surrogates, of which one is left out, in place of the benchmark's.
    disturbances: its own, in place of the benchmark's.
    curve: methods of one curve are joined in plots; one that names none stands by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[\w.+-]+$")
    method: str = "veil"
    preset: str = "balanced"
    settings: dict[str, Any] = {}
    attacks: bool = True
    pool: tuple[str, ...] = ()
    disturbances: tuple[str, ...] = ()
    knob: TunedSetting | None = None
    curve: str = ""


class QualityTarget(BaseModel):
    """Make the mean of `metric` over the first `photos` equal for all methods that have a knob.

    To the mean of the method `like`, or to `value`, within a share `tolerance`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = "psnr"
    like: str = ""
    value: float = 0.0
    photos: int = Field(6, ge=1)
    tolerance: float = Field(0.02, gt=0)
    rounds: int = Field(6, ge=2)


class Spec(BaseModel):
    """A benchmark file.

    judges: left out of the surrogates in turn; with `surrogates`, these attack and all judges judge.
    pool: whose members that are no kin of the judge left out are the surrogates; by default all packaged.
    leave_out: for each person every judge, or one of them: every judge once among as many people as there are
        judges. As much work for more people tells more, since what befalls one person's photos goes together.
    photos: how many people at most; per_group: how many for each gender and race.
    only_recognised: take only people whose two clean photos every judge takes for one person.
    targets: for impersonation, a folder with enrol/ (attacked) and probe/ (measured), paired by order.
    rate: the rate of false accepts at which recognisers decide.
    disturbances: before recognition; or the name of a detector that takes the place of ours.
    measures: of quality, beside PSNR and SSIM; lpips and fid need weights that are not packaged, t_acc and
        t_ned the extra "ocr".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    dataset: str
    judges: tuple[str, ...] = Field(min_length=1)
    surrogates: tuple[str, ...] = ()
    pool: tuple[str, ...] = ()
    methods: tuple[MethodSpec, ...] = Field(min_length=1)
    disturbances: tuple[str, ...] = ("none",)
    photos: int | None = Field(None, ge=1)
    per_group: int | None = Field(None, ge=1)
    leave_out: Literal["each", "turns"] = "each"
    only_recognised: bool = False
    goal: Literal["dodge", "impersonate"] = "dodge"
    targets: str = ""
    rate: Literal["far10", "far1", "far01"] = "far1"
    seeds: tuple[int, ...] = (0,)
    match: QualityTarget | None = None
    measures: tuple[str, ...] = ("ms_ssim", "chroma", "brightness", "colourfulness", *FACE_MEASURES)

    def surrogate_sets(self, method: MethodSpec) -> dict[str, tuple[str, ...]]:
        """The surrogates of a method by the recogniser left out; "all" where there is one set of them."""
        if not method.attacks or self.surrogates:
            return {"all": self.surrogates or self.judges}
        pool = method.pool or self.pool or packaged()
        return {judge: tuple(name for name in pool if independent(name, judge)) for judge in self.judges}

    def turn(self, method: MethodSpec, index: int) -> str:
        """The fold of a method whose turn it is at the person with an index.

        Its order is drawn anew each time round: groups and targets take turns, too, and must not meet the
        same fold each time.
        """
        folds = list(self.surrogate_sets(method))
        turn, place = divmod(index, len(folds))
        return Random(turn).sample(folds, len(folds))[place]

    def unseen(self, method: MethodSpec, fold: str) -> tuple[str, ...]:
        """The judges that know nothing of a fold's surrogates."""
        used = self.surrogate_sets(method)[fold] if method.attacks else ()
        return tuple(judge for judge in self.judges if all(independent(judge, name) for name in used))


class Protect(Protocol):
    """Protects one face; `values` are all settings of the method."""

    def __call__(
        self, photo: Photo, face: Face, values: Mapping[str, Any], target: tuple[Photo, Face] | None
    ) -> Photo: ...


@dataclass(frozen=True)
class EngineHooks:
    """What is handed to the judge.

    protect: protects one face of a photo.
    resolve: all settings of a method, checked: (method, preset, settings) -> settings that JSON can hold.
    disturbances: the judge's own and those that need the engine.
    """

    protect: Protect
    resolve: Callable[[str, str, Mapping[str, Any]], dict[str, Any]]
    disturbances: Registry[Disturbance]


@dataclass(frozen=True)
class Task:
    """One photo, to be protected by one method against one fold's surrogates and then judged."""

    sample: Sample
    method: str
    fold: str
    judges: tuple[str, ...]
    values: dict[str, Any]
    disturbances: tuple[str, ...]
    seed: int = 0
    target: tuple[Path, Path] | None = None
    rate: str = "far1"
    measures: tuple[str, ...] = ()
    quality_only: bool = False
    curve: str = ""

    @property
    def key(self) -> str:
        """Where its result lies."""
        parts = [self.sample.identity, self.fold, *([self.target[0].stem] if self.target else [])]
        return f"{self.method}/{'-'.join([*parts, str(self.seed)])}"


def read(path: Path) -> Spec:
    """Read a benchmark file.

    Raises:
        BadSettings: it is missing, no TOML, or says what is not allowed; the message names it.
    """
    try:
        return Spec.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadSettings(f"There is no file {path}.", "Those of veil lie in benchmarks/.") from error
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{path} is not TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise BadSettings(f"{path}: {name!r} does not fit: {first['msg']}.") from error


def check(spec: Spec, tools: EngineHooks) -> None:
    """Check everything that a file says before the long work begins.

    Raises:
        UnknownName: of a method, recogniser, setting or disturbance.
        BadSettings: a judge shares weights with a surrogate, or what is told does not fit together.
    """
    pools = [name for method in spec.methods for name in method.pool]
    for name in (*spec.judges, *spec.surrogates, *spec.pool, *pools):
        RECOGNIZERS.check(name)
    for name in spec.judges:
        for rate in (spec.rate, *RATES):
            card(name).thresholds[rate]  # a recogniser that was never calibrated says so
    for name in spec.measures:
        _try_out(name)
    if spec.match and spec.match.metric not in {*METRICS, *spec.measures} - {*SET_MEASURES}:
        raise BadSettings(
            f"{spec.match.metric!r} is not measured on each photo.", "Name it among the measures."
        )
    for name in (*spec.disturbances, *(name for method in spec.methods for name in method.disturbances)):
        condition(tools, name)
    for judge in spec.judges:
        for name in spec.surrogates:
            if not independent(judge, name):
                raise BadSettings(
                    f"{judge!r} cannot judge an attack on {name!r}: they share their weights.",
                    "Take one of the two out.",
                )
    names = [method.name for method in spec.methods]
    if len(set(names)) < len(names):
        raise BadSettings("Two methods have one name.", "Give each a name of its own.")
    if (spec.goal == "impersonate") != bool(spec.targets):
        raise BadSettings("Impersonation needs targets, and only impersonation.", "Name their folder.")
    for method in spec.methods:
        tools.resolve(method.method, method.preset, method.settings)
        if method.knob:
            tools.resolve(
                method.method, method.preset, {**method.settings, method.knob.setting: method.knob.low}
            )
    if spec.match and spec.match.like not in ("", *names):
        raise BadSettings(
            f"There is no method {spec.match.like!r} to match.", f"There are: {', '.join(names)}."
        )


def _try_out(measure: str) -> None:
    """Measure blank pictures, so that what is missing on this machine is told before the long work."""
    blank, face = torch.zeros(1, 3, 64, 64), Face(np.array([16.0, 16, 48, 48]), 64 * ARCFACE)
    if measure in SET_MEASURES:
        SET_MEASURES[measure]([blank], [blank])
    elif measure in FACE_MEASURES:
        FACE_MEASURES[measure](blank, blank, face)
    elif measure in MEASURES:
        MEASURES[measure](blank, blank)
    else:
        raise unknown("metric", measure, (*MEASURES, *FACE_MEASURES, *SET_MEASURES))


def condition(tools: EngineHooks, name: str) -> tuple[Disturbance, Detector]:
    """What happens to a photo before it is recognised, and how faces are found in it.

    Raises:
        UnknownName: no disturbance and no detector has this name.
    """
    if name in DETECTORS:
        return tools.disturbances["none"], DETECTORS[name]
    if name not in tools.disturbances:
        raise unknown("disturbance", name, (*tools.disturbances, *DETECTORS))
    return tools.disturbances[name], find_faces


def methods(spec: Spec) -> tuple[MethodSpec, ...]:
    """The methods, with the one that changes nothing first."""
    clean = MethodSpec(name=CLEAN, method="identity", attacks=False)
    return (clean, *(method for method in spec.methods if method.name != CLEAN))


def tasks(
    spec: Spec, tools: EngineHooks, people: list[Sample], faces: Path, matched: Mapping[str, float]
) -> Iterator[Task]:
    """Everything that has to be done, photo by photo, so that a run that is cut short is complete in part."""
    targets: list[tuple[Path, Path] | None] = [None]
    if spec.targets:
        enrol, probe = (sorted((faces / spec.targets / kind).iterdir()) for kind in ("enrol", "probe"))
        targets = list(zip(enrol, probe, strict=True))
    for seed in spec.seeds:
        for index, one in enumerate(people):
            for method in methods(spec):
                folds = (
                    spec.surrogate_sets(method) if spec.leave_out == "each" else [spec.turn(method, index)]
                )
                for fold in folds:
                    target = targets[index % len(targets)]
                    yield task(spec, tools, one, method, fold, matched.get(method.name), seed, target)


def task(
    spec: Spec,
    tools: EngineHooks,
    sample: Sample,
    method: MethodSpec,
    fold: str,
    value: float | None = None,
    seed: int = 0,
    target: tuple[Path, Path] | None = None,
) -> Task:
    """One task; `value` is what the method's knob was matched to."""
    aimed = target is not None and method.attacks
    changes = {
        **method.settings,
        **({method.knob.setting: value} if method.knob and value is not None else {}),
        "surrogates": spec.surrogate_sets(method)[fold],
        "seed": seed,
        "goal": "impersonate" if aimed else "dodge",
    }
    return Task(
        sample=sample,
        method=method.name,
        fold=fold,
        judges=spec.unseen(method, fold),
        values=tools.resolve(method.method, method.preset, changes),
        disturbances=method.disturbances or spec.disturbances,
        seed=seed,
        target=target,
        rate=spec.rate,
        measures=spec.measures,
        curve=method.curve or method.name,
    )


def run(
    spec: Spec, tools: EngineHooks, faces: Path, folder: Path, workers: int = 1, cluster: str | None = None
) -> Steps[Path]:
    """Run what is missing of a benchmark; yields a step a photo and returns the file of the rows.

    A folder may be run again for more people or fewer, and for more left-out recognisers: what is done stays
    done, unless it failed by what may pass (`PASSING`).

    Raises:
        as `check` does; BadSettings: the folder holds another benchmark, or one of other weights, thresholds
        or photos.
    """
    check(spec, tools)
    folder.mkdir(parents=True, exist_ok=True)
    _same(folder / "spec.json", spec, tools)
    store = resumable.Store(folder / "photos", ROWS)
    people = yield from choose(spec, faces, folder)
    matched = yield from match(spec, tools, people, store, faces, workers, cluster)
    everything = list(tasks(spec, tools, people, faces, matched))
    _again(store, [one.key for one in everything])
    yield from resumable.run(
        [(one.key, one) for one in everything], partial(perform, tools), store, workers, cluster
    )
    _manifest(spec, everything, people, matched, folder)
    return collect(everything, store, folder)


def _same(file: Path, spec: Spec, tools: EngineHooks) -> None:
    """Remember the benchmark of a folder, and the weights and settings that it was made with."""
    grows: Any = {
        **dict.fromkeys(("photos", "per_group", "leave_out"), True),
        "methods": {"__all__": {"curve"}},
    }
    about: dict[str, Any] = {
        "spec": json.loads(spec.model_dump_json(exclude=grows)),
        "weights": _weights(spec),
        "settings": {one.name: tools.resolve(one.method, one.preset, one.settings) for one in spec.methods},
        "thresholds": {name: dict(card(name).thresholds) for name in spec.judges},
    }
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else about
    for part in about:
        if before.get(part, about[part]) != about[part]:  # older folders do not know all parts
            words = "another benchmark" if part == "spec" else f"results of other {part}"
            raise BadSettings(f"{file.parent} holds {words}.", "Name another folder with --output.")
    resumable.replace(file, (json.dumps(about, indent=1) + "\n").encode())


def _same_photos(file: Path, people: Iterable[Sample]) -> None:
    """Remember the photos of a folder's people, who may become more; results are kept by their names only."""
    before: dict[str, list[str]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    photos = {one.identity: [checksum(path) for path in (one.photo, one.probe) if path] for one in people}
    for identity, sums in photos.items():
        if before.get(identity, sums) != sums:
            raise BadSettings(
                f"{file.parent} holds results of other photos of {identity!r}.",
                "Name another folder with --output.",
            )
    resumable.replace(file, (json.dumps(before | photos, indent=1) + "\n").encode())


def _again(store: resumable.Store, keys: Iterable[str]) -> None:
    """Forget the results that failed by what may pass."""
    for key in filter(store.has, keys):
        if any(row.get("passing") for row in load(store.path(key, ROWS))[0]):
            store.path(key, ROWS).unlink()


def _weights(spec: Spec) -> dict[str, str]:
    """The checksums of the networks of a benchmark."""
    attacks = (names for method in spec.methods for names in spec.surrogate_sets(method).values())
    used = {*spec.judges, *chain.from_iterable(attacks)}
    others = {one.name for one in cards().values() if one.packaged and one.kind != "recogniser"}
    return {name: card(name).sha256 for name in sorted(used | others)}


def choose(spec: Spec, faces: Path, folder: Path) -> Steps[list[Sample]]:
    """The people of a benchmark: the first that show a face and, if asked for, whom every judge knows."""
    everyone = samples(faces / spec.dataset)
    if spec.per_group:
        everyone = balanced(everyone, spec.per_group)
    wanted = min(spec.photos or len(everyone), len(everyone))
    known = folder / "photos.json"
    if not spec.only_recognised:
        _same_photos(known, everyone[:wanted])
        return everyone[:wanted]
    file = folder / "people.json"
    verdicts: dict[str, bool] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    _same_photos(known, [one for one in everyone if one.identity in verdicts])
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
    _same_photos(known, [one for one in everyone if one.identity in verdicts])
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


def match(
    spec: Spec,
    tools: EngineHooks,
    people: list[Sample],
    store: resumable.Store,
    faces: Path,
    workers: int,
    cluster: str | None,
) -> Steps[dict[str, float]]:
    """What the knobs have to be set to; everything that is tried is kept like other results."""
    wanted, found = spec.match, dict[str, float]()
    if not wanted:
        return found

    def quality(method: MethodSpec, value: float | None) -> Steps[float]:
        some = [
            task(spec, tools, one, method, spec.turn(method, index), value)
            for index, one in enumerate(people[: wanted.photos])
        ]
        name = f".match/{method.name}/{'as-is' if value is None else f'{value:.6g}'}"
        tried = [
            (f"{name}/{one.sample.identity}", dataclasses.replace(one, quality_only=True)) for one in some
        ]
        _again(store, [key for key, _ in tried])
        yield from resumable.run(tried, partial(perform, tools), store, workers, cluster)
        rows = [row for key, _ in tried for row in load(store.path(key, ROWS))[0] if not row["error"]]
        return float(np.mean([row[wanted.metric] for row in rows]))

    goal = wanted.value
    for method in spec.methods:
        if method.name == wanted.like:
            goal = yield from quality(method, None)
    for method in spec.methods:
        if method.knob:
            found[method.name] = yield from search(method.knob, partial(quality, method), goal, wanted)
    return found


def search(
    knob: TunedSetting, quality: Callable[[float], Steps[float]], goal: float, wanted: QualityTarget
) -> Steps[float]:
    """The knob's value at which quality, which may rise or fall with it, meets the goal: by the secant method
    in its logarithm, between values on both sides of the goal once there are such.

    Where the goal is out of reach, the nearest that was found.
    """
    low, high = float(np.log(knob.low)), float(np.log(knob.high))
    tried: dict[float, float] = {}  # how far from the goal, by the logarithm of the value
    place = float(np.log(knob.start)) if knob.start else (low + high) / 2
    for _ in range(wanted.rounds):
        if place in tried:
            break
        tried[place] = (yield from quality(round(float(np.exp(place)), 8))) - goal
        if abs(tried[place]) <= wanted.tolerance * abs(goal) / 2:
            break
        (here, miss), *others = sorted(tried.items(), key=lambda one: abs(one[1]))
        (there, other), *_ = [one for one in others if one[1] * miss < 0] or others or [(here, miss)]
        slope = (other - miss) / (there - here) if others else 0.0
        place = here - miss / slope if slope else place + (high - low) / 6
        place = min(max(place, low), high)
    return round(float(np.exp(min(tried, key=lambda one: abs(tried[one])))), 8)


def perform(tools: EngineHooks, one: Task) -> dict[str, bytes]:
    """Protect, save, disturb and judge one photo: the picture, then its rows and embeddings."""
    try:
        before, face = _face(one.sample.photo, find_faces)
        began = time.perf_counter()
        aim = _face(one.target[0], find_faces) if one.target and one.values["goal"] == "impersonate" else None
        protected = tools.protect(before, face, one.values, aim)
        seconds = time.perf_counter() - began
        picture = BytesIO()
        Image.fromarray(protected.pixels).save(picture, "PNG")
        after = np.array(Image.open(BytesIO(picture.getvalue())).convert("RGB"))
        if one.values["method"] != CLEAN and np.array_equal(after, before.pixels):
            raise VeilError("The method changed nothing: it is reported, not scored.")
        rows, vectors = judge(tools, one, before, face, after)
        shared = {
            **_about(one),
            **quality(before.pixels, after, face, one.measures),
            "seconds": round(seconds, 2),
        }
        rows = [{**shared, **row} for row in rows]
        return {PICTURE: picture.getvalue(), ROWS: packed(rows, vectors)}
    except VeilError as error:
        passing = isinstance(error, PASSING)
        return {ROWS: packed([{**_about(one), "error": error.message, "passing": passing}], {})}


@lru_cache(8)  # one photo is protected by many methods in turn
def _face(path: Path, find: Detector) -> tuple[Photo, Face]:
    photo = open_photo(path)
    face = main_face(photo.pixels, find) or main_face(photo.pixels)
    if face is None:
        raise NoFace(f"No face was found in {path.name}.")
    return photo, face


def _about(one: Task) -> dict[str, Any]:
    """The columns that say what a row is about."""
    return {
        "identity": one.sample.identity,
        "photo": one.sample.photo.name,
        "target": one.target[0].stem if one.target else "",
        **{label: one.sample.labels.get(label, "") for label in ("gender", "race", "age")},
        "method": one.method,
        "left_out": one.fold,
        "seed": one.seed,
        "error": "",
    }


def judge(
    tools: EngineHooks, one: Task, before: Photo, face: Face, after: Pixels
) -> tuple[list[dict[str, Any]], dict[str, Array]]:
    """Rows by disturbance and recogniser, and the embeddings that they come from.

    Faces are found afresh; where none is found, an adversary's better detector is assumed, which finds it
    where it lies in the clean photo under the same disturbance.
    """
    if one.quality_only:
        return [{}], {}
    files = {"photo": one.sample.photo, "probe": one.sample.probe, "aim": one.target and one.target[1]}
    paths = {kind: path for kind, path in files.items() if path}
    rows: list[dict[str, Any]] = []
    vectors = {
        f"{kind}/{name}": _clean(name, path, find_faces)
        for kind, path in paths.items()
        for name in one.judges
    }
    for disturbance in one.disturbances:
        disturb, find = condition(tools, disturbance)
        pixels = disturb(after)
        found = main_face(pixels, find)
        place = found or (main_face(disturb(before.pixels), find) if disturbance != "none" else None) or face
        for name in one.judges:
            seen = vectors[f"{disturbance}/{name}"] = _vector(name, to_tensor(pixels), place)
            others = {kind: _clean(name, path, find) for kind, path in paths.items()}
            rest = {kind: vector for kind, vector in others.items() if kind != "photo"}
            rows.append(
                {
                    "recognizer": name,
                    "disturbance": disturbance,
                    "found": found is not None,
                    "threshold": card(name).thresholds[one.rate],
                    **{f"threshold_{rate}": card(name).thresholds[rate] for rate in RATES},
                    "same": float(seen @ others["photo"]),
                    **{kind: float(seen @ vector) for kind, vector in rest.items()},
                    **{f"clean_{kind}": float(others["photo"] @ vector) for kind, vector in rest.items()},
                }
            )
    return rows, vectors


@lru_cache(64)
def _clean(name: str, path: Path, find: Detector) -> Array:
    """How a recogniser sees a photo as it is, through a detector."""
    photo, face = _face(path, find)
    return _vector(name, to_tensor(photo.pixels), face)


def _vector(name: str, image: Any, face: Face) -> Array:
    return embedding(name, image, face).double().numpy()


def quality(before: Pixels, after: Pixels, face: Face, measures: Iterable[str] = ()) -> dict[str, float]:
    """PSNR, SSIM and the given measures of one photo; PSNR and SSIM over the face."""
    images = to_tensor(before), to_tensor(after)
    left, top, right, bottom = face.clipped_box((before.shape[1], before.shape[0]))
    parts = [image[..., top:bottom, left:right] for image in images]
    known = METRICS | MEASURES
    whole = {name: known[name](*images) for name in (*METRICS, *measures) if name in known} | {
        name: FACE_MEASURES[name](*images, face) for name in measures if name in FACE_MEASURES
    }
    inside = {f"face_{name}": METRICS[name](*parts) for name in METRICS}
    return {name: round(float(value), 5) for name, value in (whole | inside).items()}


def packed(rows: list[dict[str, Any]], vectors: Mapping[str, Array]) -> bytes:
    """Rows and embeddings in one file."""
    file = BytesIO()
    arrays: dict[str, Any] = {name: vector.astype(np.float16) for name, vector in vectors.items()}
    np.savez(file, rows=np.frombuffer(json.dumps(rows).encode(), np.uint8), **arrays)
    return file.getvalue()


def load(path: Path) -> tuple[list[dict[str, Any]], dict[str, Array]]:
    """What `packed` put together."""
    with np.load(path) as file:
        rows = json.loads(file["rows"].tobytes())
        return rows, {name: file[name].astype(float) for name in file.files if name != "rows"}


COLUMNS: dict[str, type] = {
    **dict.fromkeys(
        ("identity", "photo", "target", "gender", "race", "age", "method", "curve", "left_out"), str
    ),
    **{"seed": int, "error": str, "recognizer": str, "disturbance": str, "found": bool, "threshold": float},
    **dict.fromkeys((f"threshold_{rate}" for rate in RATES), float),
    **dict.fromkeys(("same", "probe", "aim", "clean_probe", "clean_aim"), float),
    **dict.fromkeys((*METRICS, *MEASURES, *FACE_MEASURES), float),
    **dict.fromkeys((*(f"face_{name}" for name in METRICS), "seconds"), float),
}


def collect(everything: list[Task], store: resumable.Store, folder: Path) -> Path:
    """Gather all rows into rows.parquet and rows.csv, a few at a time."""
    import pyarrow as arrow
    from pyarrow import csv, parquet

    kinds: dict[type, Any] = {
        str: arrow.string(),
        int: arrow.int64(),
        float: arrow.float64(),
        bool: arrow.bool_(),
    }
    schema = arrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    file = folder / "rows.parquet"
    with (
        atomic_write(file, folder / "rows.csv", replace=True) as parts,
        parquet.ParquetWriter(parts[0], schema) as columns,
        csv.CSVWriter(parts[1], schema) as lines,
    ):
        for one in everything:
            rows = [{**row, "curve": one.curve} for row in load(store.path(one.key, ROWS))[0]]
            table = arrow.Table.from_pylist(rows, schema)
            columns.write_table(table)
            lines.write_table(table)
    return file


def _manifest(
    spec: Spec, everything: list[Task], people: list[Sample], matched: Mapping[str, float], folder: Path
) -> None:
    """Write down what it takes to make the benchmark again."""
    photos = {str(one.identity): checksum(one.photo) for one in people}
    probes = {str(one.identity): checksum(one.probe) for one in people if one.probe}
    settings: dict[str, Any] = {}
    for one in everything:
        settings.setdefault(f"{one.method}, {one.fold} left out", {**one.values, "seed": list(spec.seeds)})
    packages = ["veil", "torch", "numpy", "pillow", "facenet-pytorch", "kornia", "diffusers", "piq"]
    if {"t_acc", "t_ned"} & {*spec.measures}:
        packages += ["rapidocr", "onnxruntime"]
    manifest = {
        "spec": json.loads(spec.model_dump_json()),
        "settings": settings,
        "matched": dict(matched),
        "versions": {name: version(name) for name in packages},
        "weights": _weights(spec),
        "thresholds": {name: dict(card(name).thresholds) for name in spec.judges},
        "photos": photos,
        "probes": probes,
        "warnings": overlap(made_of(), photos, [*photos.values(), *probes.values()]),
    }
    resumable.replace(folder / "manifest.json", (json.dumps(manifest, indent=1) + "\n").encode())
