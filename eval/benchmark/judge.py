"""One task: a photo is protected, saved, disturbed and recognised again, and its quality measured."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from ...attacks.faces.boxes import clipped
from ...attacks.faces.detection import find_faces
from ...core.errors import NoFace, VeilError
from ...core.files import without_folders
from ...core.images import open_photo, to_tensor
from ...core.types import Array, Face, Photo, Pixels
from ...core.writing import png
from ...weights.registry import card
from .. import CLEAN, FACE_MEASURES, MEASURES, METRICS
from ..bootstrap import HEADLINE_RATES
from ..datasets import main_face
from ..detectors import Detector
from ..verification import embedding
from .hooks import EngineHooks
from .plan import Task
from .results import PICTURE, ROWS, TRANSIENT, Row, pack


def protect_and_judge(hooks: EngineHooks, task: Task) -> dict[str, bytes]:
    """Do a task.

    Returns:
        Files by their endings: the protected picture, then its rows and embeddings; where the task failed,
        one row that says why.
    """
    try:
        before, face = _photo_and_face(task.sample.photo, find_faces)
        began = time.perf_counter()
        target = None
        if task.target and task.values["goal"] == "impersonate":
            target = _photo_and_face(task.target[0], find_faces)
        album = [_protected_already(hooks, task)] if task.album else []
        protected = hooks.protect(before, face, task.values, target, album)
        seconds = time.perf_counter() - began
        picture = png(protected.pixels)
        after = np.array(Image.open(BytesIO(picture)).convert("RGB"))
        if task.values["method"] != CLEAN and np.array_equal(after, before.pixels):
            raise VeilError("The method changed nothing: it is reported, not scored.")
        shared = {
            **_labels(task),
            **measure_quality(before.pixels, after, face, task.measures),
            "seconds": round(seconds, 2),
        }
        rows, embeddings = ([{}], {}) if task.quality_only else recognise(hooks, task, before, face, after)
        return {
            PICTURE: picture,
            ROWS: pack([{**shared, **row} for row in rows], embeddings),
        }
    except VeilError as error:
        photos = [task.sample.photo, task.sample.probe, *(task.target or ())]
        told = without_folders(error.message, *filter(None, photos))
        row = {**_labels(task), "error": told, "passing": isinstance(error, TRANSIENT)}
        return {ROWS: pack([row], {})}


def _protected_already(hooks: EngineHooks, task: Task) -> tuple[Photo, Face]:
    """The first photo of a person, protected; another worker may not have finished it yet."""
    assert task.album
    assert task.sample.probe
    first, face = _photo_and_face(task.sample.probe, find_faces)
    if task.album.exists():
        return open_photo(task.album), face
    return hooks.protect(first, face, task.values, None, []), face


@lru_cache(8)  # one photo is protected by many methods in turn
def _photo_and_face(path: Path, find: Detector) -> tuple[Photo, Face]:
    photo = open_photo(path)
    face = main_face(photo.pixels, find) or main_face(photo.pixels)
    if face is None:
        raise NoFace(f"No face was found in {path.name}.")
    return photo, face


def _labels(task: Task) -> Row:
    """The columns that say what a row is about."""
    key = task.key
    return {
        "identity": key.identity,
        "photo": task.sample.photo.name,
        "target": key.target,
        **{label: task.sample.labels.get(label, "") for label in ("gender", "race", "age")},
        "method": key.method,
        "left_out": key.left_out,
        "seed": key.seed,
        "error": "",
    }


def recognise(
    hooks: EngineHooks, task: Task, before: Photo, face: Face, after: Pixels
) -> tuple[list[Row], dict[str, Array]]:
    """What the judges of a task make of the protected pixels (H, W, 3), under each disturbance.

    Faces are found afresh; where none is found, an adversary's better detector is assumed, which finds it
    where it lies in the clean photo under the same disturbance.

    Returns:
        Rows by disturbance and recogniser, with cosines to the same photo before ("same"), to another of the
        person ("probe") and of the target ("aim"), where there are such; and the embeddings (D,) that they
        come from, by DISTURBANCE/RECOGNISER, and of clean photos by KIND/RECOGNISER.
    """
    files = {"photo": task.sample.photo, "probe": task.sample.probe, "aim": task.target and task.target[1]}
    paths = {kind: path for kind, path in files.items() if path}
    embeddings = {
        f"{kind}/{name}": _clean_embedding(name, path, find_faces)
        for kind, path in paths.items()
        for name in task.judges
    }
    rows: list[Row] = []
    for disturbance in task.disturbances:
        disturb, find = hooks.condition(disturbance)
        pixels = disturb(after)
        found = main_face(pixels, find)
        assumed = main_face(disturb(before.pixels), find) if disturbance != "none" and not found else None
        for name in task.judges:
            vector = _embedding(name, to_tensor(pixels), found or assumed or face)
            embeddings[f"{disturbance}/{name}"] = vector
            clean = {kind: _clean_embedding(name, path, find) for kind, path in paths.items()}
            row = _verdict(name, task.rate, vector, clean)
            rows.append({"recognizer": name, "disturbance": disturbance, "found": found is not None, **row})
    return rows, embeddings


def _verdict(name: str, rate: str, vector: Array, clean: dict[str, Array]) -> Row:
    """A recogniser's thresholds, and its cosines between a protected photo and clean ones."""
    thresholds, photo = card(name).thresholds, clean["photo"]
    others = {kind: other for kind, other in clean.items() if kind != "photo"}
    return {
        "threshold": thresholds[rate],
        **{f"threshold_{limit}": thresholds[limit] for limit in HEADLINE_RATES},
        "same": float(vector @ photo),
        **{kind: float(vector @ other) for kind, other in others.items()},
        **{f"clean_{kind}": float(photo @ other) for kind, other in others.items()},
    }


@lru_cache(64)
def _clean_embedding(name: str, path: Path, find: Detector) -> Array:
    """How a recogniser sees a photo as it is, through a detector."""
    photo, face = _photo_and_face(path, find)
    return _embedding(name, to_tensor(photo.pixels), face)


def _embedding(name: str, image: Tensor, face: Face) -> Array:
    return embedding(name, image, face).double().numpy()


def measure_quality(
    before: Pixels, after: Pixels, face: Face, measures: Iterable[str] = ()
) -> dict[str, float]:
    """PSNR, SSIM and the given measures of one photo (H, W, 3); PSNR and SSIM over the face, too.

    Measures of the photo and of its face count, those of sets of photos are passed over.

    Raises:
        WeightsMissing, BadSettings: as a measure does that needs what is not on this machine.
    """
    images = to_tensor(before), to_tensor(after)
    left, top, right, bottom = clipped(face.box, (before.shape[1], before.shape[0]))
    parts = [image[..., top:bottom, left:right] for image in images]
    known = METRICS | MEASURES
    values: dict[str, Any] = {name: known[name](*images) for name in (*METRICS, *measures) if name in known}
    values |= {name: FACE_MEASURES[name](*images, face) for name in measures if name in FACE_MEASURES}
    values |= {f"face_{name}": METRICS[name](*parts) for name in METRICS}
    return {name: round(float(value), 5) for name, value in values.items()}
