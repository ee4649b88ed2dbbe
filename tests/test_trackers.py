"""Trackers that learn: each on embeddings or pictures whose answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from sklearn.metrics import roc_auc_score

from veil.attacks.faces.detection import find_faces
from veil.core.errors import UnknownName, WeightsCorrupt, WeightsMissing
from veil.core.types import Array, Photo, Sighting
from veil.eval.disturbances import DISTURBANCES
from veil.eval.trackers import TRACKERS, Outcome, Shot, Task, adversary_weights, crops, run
from veil.eval.trackers.detector import Detector
from veil.eval.trackers.purifier import Purifier
from veil.eval.trackers.rates import area_under_curve, rejected

ROOT = Path(__file__).parents[1]
PHOTO = astronaut()[:300, 80:360]


@pytest.fixture(scope="module")
def sighting() -> Sighting:
    return Sighting(Photo(PHOTO, "astronaut"), find_faces(PHOTO)[0])


def at(degrees: float, beside: int = 0) -> Array:
    """A unit vector (4,) in the plane of the first two axes, or in that of two others."""
    vector = np.zeros(4)
    vector[2 * beside : 2 * beside + 2] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return vector


GALLERY = [Shot("ann", at(0)), Shot("bob", at(0, beside=1))]


def grey_of(sighting: Sighting) -> Array:
    """A stand-in for a recogniser: a unit vector (2,) that tells how bright a picture is."""
    angle = sighting.frame.pixels.mean() / 255 * np.pi / 2
    return np.array([np.cos(angle), np.sin(angle)])


def flat(value: int, sighting: Sighting) -> Sighting:
    return Sighting(sighting.frame.with_pixels(np.full_like(PHOTO, value)), sighting.face)


def test_every_name_stands_for_a_tracker_and_others_for_none() -> None:
    assert {"template", "dynamic-gallery", "linear-probe", "averaging", "restoration"} < {*TRACKERS}
    assert {"purifier", "detector"} < {*TRACKERS}
    for name in TRACKERS:
        assert callable(TRACKERS[name])
    with pytest.raises(UnknownName, match="dynamic-galery"):
        run("dynamic-galery", Task(GALLERY, GALLERY))


def test_a_template_is_the_mean_of_an_album() -> None:
    album = [Shot("ann", at(0)), Shot("ann", at(60)), Shot("bob", at(0, beside=1))]
    found = run("template", Task(album, [Shot("?", at(30)), Shot("?", at(75))]))
    assert found.people == ("ann", "bob")
    assert found.photos == 2
    assert found.scores == pytest.approx(np.array([[1, 0], [np.cos(np.radians(45)), 0]]))
    assert found.seconds > 0


def test_a_gallery_that_grows_follows_cloaks_away_from_the_person() -> None:
    """At a threshold of 60 degrees, 80 are too many from the clean photo, and not from its mean with 50."""
    query = Shot("ann", at(80))
    for passing, degrees, photos in (
        ([], 80, 1),
        ([Shot("", at(50))], 80 - 25, 2),
        ([Shot("", at(70))], 80, 1),  # it is not recognised itself
        ([Shot("", at(50)), Shot("", at(84))], 80 - 134 / 3, 3),  # the second only thanks to the first
        ([Shot("", at(20, beside=1))], 80, 2),  # somebody else's
    ):
        found = run("dynamic-gallery", Task(GALLERY, [query], passing, threshold=0.5))
        assert found.scores[0, 0] == pytest.approx(np.cos(np.radians(degrees)), abs=0.02)
        assert found.photos == photos
    assert len(GALLERY) == 2


def test_a_linear_probe_learns_what_cosines_do_not_show() -> None:
    """What tells people apart is small beside what all cloaks share and what differs from photo to photo."""
    random = np.random.default_rng(0)

    def shot(person: int) -> Shot:
        vector = np.concatenate([0.25 * np.eye(6)[person], [1.0], 0.5 * random.standard_normal(6)])
        return Shot(str(person), vector / np.linalg.norm(vector))

    task = Task([shot(person) for person in range(6) for _ in range(8)], [shot(n % 6) for n in range(60)])
    right = {}
    for name in ("template", "linear-probe"):
        found = run(name, task)
        named = [found.people[best] for best in found.scores.argmax(1)]
        right[name] = np.mean([shot.person == one for shot, one in zip(task.queries, named, strict=True)])
        assert found.photos == 8
    assert right["linear-probe"] > 0.85 > 0.7 > right["template"]
    assert np.array_equal(run("linear-probe", task).scores, run("linear-probe", task).scores)


def test_what_differs_between_cloaks_averages_out(sighting: Sighting) -> None:
    cloaks = flat(60, sighting), flat(140, sighting)
    gallery = [Shot("ann", grey_of(flat(100, sighting)))]
    query = Shot("ann", grey_of(cloaks[0]), cloaks)
    found = run("averaging", Task(gallery, [query], see=grey_of))
    assert found.scores[0, 0] == pytest.approx(1)
    assert found.photos == 1 + 2
    assert run("template", Task(gallery, [query])).scores[0, 0] < 0.98


def test_restoration_hands_the_prior_what_jpeg_and_resizing_left(sighting: Sighting) -> None:
    handed: list[Any] = []

    def restore(pixels: Any) -> Any:
        handed.append(pixels)
        return np.full_like(PHOTO, 100)

    gallery = [Shot("ann", grey_of(flat(100, sighting)))]
    query = Shot("ann", grey_of(sighting), (sighting,))
    found = run("restoration", Task(gallery, [query], see=grey_of, restore=restore))
    assert found.scores[0, 0] == pytest.approx(1)
    assert np.array_equal(handed[0], DISTURBANCES["resize-50"](DISTURBANCES["jpeg-75"](PHOTO)))


def test_a_change_of_a_crop_lies_in_the_face_where_it_was_cut(sighting: Sighting) -> None:
    before = crops.cut(sighting)
    nothing = torch.zeros_like(before)
    assert np.array_equal(crops.pasted(sighting, nothing), PHOTO)
    pixels = crops.pasted(sighting, nothing + 20 / 255)
    assert np.array_equal(pixels[-40:], PHOTO[-40:])
    after = crops.cut(Sighting(sighting.frame.with_pixels(pixels), sighting.face))
    inner = (..., slice(32, 96), slice(32, 96))
    assert (after - before)[inner].mean() == pytest.approx(20 / 255, abs=1 / 255)


def test_an_untrained_purifier_changes_nothing_and_tells_from_what_it_learnt(
    tmp_path: Path, sighting: Sighting
) -> None:
    adversary_weights.save(Purifier(), tmp_path / "purifier.safetensors", 12)
    task = Task([Shot("ann", grey_of(sighting))], [Shot("ann", at(0)[:2], (sighting,))], see=grey_of)
    found = run(f"purifier:{tmp_path / 'purifier.safetensors'}", task)
    assert found.scores[0, 0] == pytest.approx(1)
    assert found.others == 12
    assert 1e6 < sum(one.numel() for one in Purifier().parameters()) < 2e6


def test_a_purifier_takes_away_what_it_learnt(tmp_path: Path, sighting: Sighting) -> None:
    network = Purifier()
    torch.nn.init.constant_(network.network.conv_out.bias, -10 / 255)  # as learnt of a cloak that brightens
    adversary_weights.save(network, tmp_path / "purifier", 1)
    cloaked = crops.pasted(sighting, torch.full((1, 3, crops.SIZE, crops.SIZE), 10 / 255))
    picture = Sighting(sighting.frame.with_pixels(cloaked), sighting.face)
    seen: list[Any] = []

    def see(one: Sighting) -> Array:
        seen.append(one.frame.pixels)
        return grey_of(one)

    task = Task([Shot("ann", at(0)[:2])], [Shot("ann", at(0)[:2], (picture,))], see=see)
    run(f"purifier:{tmp_path / 'purifier'}", task)
    assert np.abs(seen[0].astype(float) - PHOTO).mean() < 0.2 < np.abs(cloaked.astype(float) - PHOTO).mean()


@pytest.mark.parametrize("name", ["purifier", "detector"])
def test_weights_that_are_missing_or_others_are_named(name: str, tmp_path: Path, sighting: Sighting) -> None:
    file = tmp_path / "weights.safetensors"
    task = Task([Shot("ann", at(0))], [Shot("ann", at(0), (sighting,))], see=grey_of)
    with pytest.raises(WeightsMissing, match="There is no file"):
        run(f"{name}:{file}", task)
    for content in (b"no weights", None):
        if content:
            file.write_bytes(content)
        else:
            adversary_weights.save(torch.nn.Linear(2, 2), file, 1)
        with pytest.raises(WeightsCorrupt):
            run(f"{name}:{file}", task)


def test_a_detector_says_how_sure_it_is(tmp_path: Path, sighting: Sighting) -> None:
    adversary_weights.save(Detector(), tmp_path / "detector", 7)
    found = run(f"detector:{tmp_path / 'detector'}", Task([], [Shot("ann", at(0), (sighting,))]))
    assert found.people == ("cloaked",)
    assert found.scores.shape == (1, 1)
    assert found.others == 7


def test_a_threshold_is_the_trackers_own() -> None:
    """99 of 100 scores of others lie below 0.5: then one of the own scores is below, too."""
    scores = np.full((100, 2), 0.1)
    scores[:50, 0], scores[50:, 1] = 0.9, 0.9  # own
    scores[0, 0], scores[99, 0] = 0.3, 0.5
    queries = [Shot("ann" if n < 50 else "bob", at(0)) for n in range(100)]
    outcome = Outcome(("ann", "bob"), scores)
    assert rejected(outcome, queries, 0.005).tolist() == [1.0] + 99 * [0.0]
    assert not rejected(outcome, queries, 0.02).any()


def test_the_area_under_the_curve_is_scikit_learns() -> None:
    random = np.random.default_rng(0)
    positive = np.arange(60) % 2 == 0
    scores = (random.standard_normal(60) + 0.7 * positive).round(1)
    found = area_under_curve(scores, positive, [n // 2 for n in range(60)])
    assert found.value == pytest.approx(roc_auc_score(positive, scores))
    assert found.low < found.value < found.high
    assert found.n == 60
