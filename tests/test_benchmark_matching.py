"""The search for settings at which methods have equal quality."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from veil.attacks.faces.detection import find_faces
from veil.core.errors import BadSettings
from veil.core.images import open_photo, to_tensor
from veil.core.progress import finish
from veil.core.types import Face, Photo, Stage, Step, Steps
from veil.eval import FACE_MEASURES
from veil.eval.benchmark import QualityTarget, TunedSetting, check, open_store, read
from veil.eval.benchmark.matching import match_quality, tune
from veil.eval.datasets import samples
from veil.ui.engine_hooks import ENGINE_HOOKS

pytestmark = pytest.mark.usefixtures("one_thread")


def test_methods_are_matched_in_quality(rows: pd.DataFrame) -> None:
    tried = rows[rows["identity"].isin(["person-0"])]
    for method in ("pgd", "random-noise"):
        assert tried.loc[tried["method"] == method, "psnr"].mean() == pytest.approx(34, rel=0.02)


@pytest.mark.parametrize("start", [None, 0.003, 0.0316])
@pytest.mark.parametrize(("goal", "expected"), [(30.0, 10**-1.5), (60.0, 0.001), (61.0, 0.001), (5.0, 0.5)])
def test_the_search_meets_its_goal_or_the_nearer_end(
    goal: float, expected: float, start: float | None
) -> None:
    tried: list[float] = []

    def quality(value: float) -> Steps[float]:
        yield Step(Stage.MEASURING, 1, 1)
        tried.append(value)
        return float(-20 * np.log10(value)) + (0.5 if value > 0.05 else 0)

    target = QualityTarget(value=goal, tolerance=0.002)
    tuned = TunedSetting(setting="epsilon", low=0.001, high=0.5, start=start)
    assert finish(tune(tuned, quality, goal, target)) == pytest.approx(expected, rel=0.01)
    assert len(tried) == len(set(tried)) <= (1 if start == 0.0316 and goal == 30 else 5)


@pytest.mark.parametrize("power", [-3, -1, 1, 3])  # likeness saturates, and falls as a budget rises, or rises
@pytest.mark.parametrize("start", [None, 0.006])
@pytest.mark.parametrize("goal", [2.0, 3.0, 4.0])
def test_the_search_bears_a_measure_that_saturates(goal: float, start: float | None, power: int) -> None:
    def likeness(value: float) -> float:
        return 1 + 4 / (1 + (value / 0.03) ** power)

    def quality(value: float) -> Steps[float]:
        yield Step(Stage.MEASURING, 1, 1)
        return likeness(value)

    tuned = TunedSetting(setting="epsilon", low=0.005, high=0.1, start=start)  # as our files have it
    found = finish(tune(tuned, quality, goal, QualityTarget(value=goal)))
    assert likeness(found) == pytest.approx(goal, rel=0.02)


def brighter(photo: Photo, face: Face, values: Mapping[str, Any], *others: object) -> Photo:
    """A stand-in for an attack: the photo brightened by its budget."""
    return photo.with_pixels((photo.pixels * (1 - values["epsilon"])).round().astype(np.uint8))


def seen(before: torch.Tensor, after: torch.Tensor, face: Face) -> torch.Tensor:
    """A stand-in for likeness: from 5 down to 1."""
    return 1 + 4 * torch.exp(-20 * (before - after).abs().mean((1, 2, 3)))


def test_methods_are_matched_in_a_measure_of_the_face(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stand_in_likeness", SimpleNamespace(seen=seen))
    monkeypatch.setitem(FACE_MEASURES._entries, "likeness", "stand_in_likeness:seen")  # pyright: ignore
    target = QualityTarget(metric="likeness", value=3.0, photos=2)
    spec = read(faces / "six.toml").model_copy(update={"match": target, "measures": ("points",)})
    with pytest.raises(BadSettings, match="not measured"):
        check(spec, ENGINE_HOOKS)
    spec = spec.model_copy(update={"measures": ("likeness",)})
    check(spec, ENGINE_HOOKS)
    store = open_store(tmp_path)
    people = samples(faces / "people")[:2]
    hooks = replace(ENGINE_HOOKS, protect=brighter)
    found = finish(match_quality(spec, hooks, people, store, 0))
    assert set(found) == {"pgd", "random-noise"}
    photos = [open_photo(one.photo) for one in people]
    for value in found.values():
        pairs = [
            (one, brighter(one, find_faces(one.pixels)[0], {"epsilon": value}, None, None)) for one in photos
        ]
        reached = [
            seen(*(to_tensor(one.pixels) for one in pair), find_faces(pair[0].pixels)[0]) for pair in pairs
        ]
        assert float(torch.cat(reached).mean()) == pytest.approx(3, rel=0.02)
