"""The script that asks which measure tells what viewers see: its statistics, and the ratings it reads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from skimage.data import astronaut
from torch.nn import functional

from veil.attacks.faces.detection import largest_face
from veil.core.images import to_tensor
from veil.eval.metrics.likeness import likeness
from veil.eval.metrics.naturalness import naturalness

ROOT = Path(__file__).parents[1]
RATINGS = ROOT / "benchmarks" / "ratings"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script, with those that lie beside it."""
    sys.path.insert(0, str(ROOT / "scripts"))
    import validate_likeness

    yield validate_likeness
    sys.path.remove(str(ROOT / "scripts"))


@pytest.fixture
def pictures() -> pd.DataFrame:
    """Two candidates' values of 20 people in three versions: the first tells the truth, with noise."""
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([list(map(str, range(20))), list("abc")], names=["photo", "version"])
    truth = rng.normal(size=len(index))
    return pd.DataFrame(
        {"good": truth + 0.3 * rng.normal(size=60), "poor": rng.normal(size=60)}, index
    ).assign(truth=truth)


def test_correlations_agree_with_scipy(script: ModuleType, pictures: pd.DataFrame) -> None:
    values, truth = pictures[["good", "poor"]].to_numpy(), pictures["truth"].round().to_numpy()
    found = script.correlations(values, truth, list(pictures.index.get_level_values("photo")), draws=200)
    expected = [spearmanr(column, truth)[0] for column in values.T]
    assert found[:, 0] == pytest.approx(expected)
    assert (found[:, 1] < found[:, 0]).all()
    assert (found[:, 0] < found[:, 2]).all()


def test_a_learner_is_asked_only_about_what_it_has_not_seen(
    script: ModuleType, pictures: pd.DataFrame
) -> None:
    def watched(values: pd.DataFrame, truth: np.ndarray) -> Callable[[pd.DataFrame], np.ndarray]:
        def rule(new: pd.DataFrame) -> np.ndarray:
            for level in ("photo", "version"):
                old, asked = (set(part.index.get_level_values(level)) for part in (values, new))
                assert not old & asked
            return new["good"].to_numpy()

        assert len(values) == len(truth)
        return rule

    told = script.nested(watched, pictures, pictures["truth"].to_numpy())
    assert told.tolist() == pictures["good"].tolist()


def test_a_choice_by_learning_finds_the_measure_that_tells(
    script: ModuleType, pictures: pd.DataFrame
) -> None:
    truth = pictures["truth"].to_numpy()
    for name in ("best candidate", "20 best candidates, ridge"):
        told = script.nested(script.LEARNERS[name], pictures[["good", "poor"]], truth)
        assert spearmanr(told, truth)[0] > 0.8


def test_a_strict_viewer_counts_like_another(script: ModuleType, pictures: pd.DataFrame) -> None:
    rows = pictures.reset_index()
    mild = np.arange(len(rows)) % 2
    rows = rows.assign(viewer=mild, likeness=rows["truth"] + 5 * mild, naturalness=3)
    near, means = script.centred(pictures, rows)
    assert spearmanr(rows["good"], rows["likeness"])[0] < 0.7
    assert spearmanr(near["good"], means["likeness"])[0] > 0.9


def test_agreement_counts_each_pair_of_viewers(script: ModuleType) -> None:
    ratings = pd.DataFrame(
        {
            "photo": ["1", "1", "1", "2", "2", "3"],
            "version": ["a"] * 6,
            "likeness": [3, 3, 4, 1, 3, 5],
        }
    )
    assert "equal 25%, within one 75% (4 pairs)" in script.agreement(ratings, "likeness")
    assert "one viewer" in script.agreement(ratings.iloc[5:], "likeness")


@pytest.mark.slow
def test_candidates_see_a_change_and_the_metrics_are_among_them(script: ModuleType) -> None:
    pixels = np.ascontiguousarray(astronaut()[:256, 96:352])
    face, image = largest_face(pixels), to_tensor(pixels)
    noise = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    changed = (image + 0.08 * functional.interpolate(noise, scale_factor=8, mode="bicubic")).clamp(0, 1)
    before, after = script.Look(image, face), script.Look(changed, face)
    quick = {name: see for name, see in script.candidates().items() if "purified" not in name}
    with torch.no_grad():
        alike, apart = (
            {name: see(script.Pair(before, one)) for name, see in quick.items()} for one in (before, after)
        )
    assert [name for name in quick if not apart[name] < alike[name] - 1e-6] == []
    assert apart["structure 1.5 mean"] == pytest.approx(float(likeness(image, changed, face)), abs=1e-5)
    assert apart["mdsi box"] == pytest.approx(float(naturalness(image, changed, face)) - 1, abs=1e-5)


def test_the_committed_ratings_are_whole(script: ModuleType) -> None:
    ratings = script.answers(RATINGS)
    assert list(ratings) == ["round", "photo", "version", "likeness", "naturalness", "viewer", "what"]
    assert ratings[["likeness", "naturalness"]].isin([1, 2, 3, 4, 5]).all(axis=None)
    assert not ratings.duplicated(["viewer", "photo", "version"]).any()
    assert set(ratings["version"]) - {script.UNTOUCHED} <= set(script.attacked(RATINGS))
    assert all(f"| {number} |" in (RATINGS / "README.md").read_text() for number in ratings["round"].unique())
