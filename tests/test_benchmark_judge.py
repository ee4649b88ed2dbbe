"""What a finished benchmark says of its photos: methods, negative controls, detectors, measures."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from skimage.data import astronaut

from veil.attacks.faces.detection import find_faces
from veil.attacks.networks import blazeface
from veil.core.images import open_photo, to_tensor
from veil.core.progress import finish
from veil.core.types import Face, Photo, Pixels
from veil.eval import MEASURES, html_report, summary
from veil.eval.benchmark import read, run
from veil.eval.benchmark.judge import recognise
from veil.eval.benchmark.plan import make_task
from veil.eval.benchmark.spec import ALL
from veil.eval.datasets import samples
from veil.eval.verification import embedding
from veil.ui.engine_hooks import ENGINE_HOOKS
from veil.weights.registry import card

pytestmark = pytest.mark.usefixtures("one_thread")
JUDGES = ("mobilefacenet", "mobileface")


def test_rows_hold_every_photo_method_judge_and_disturbance(done: Path, rows: pd.DataFrame) -> None:
    counts = rows.groupby(["method", "recognizer", "disturbance"])["identity"].nunique()
    assert len(counts) == 3 * 2 * 3
    assert set(counts) == {4}
    assert len(rows) == 4 * 18
    with (done / "rows.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["identity"] for line in lines] == rows["identity"].tolist()
    assert [float(line["same"]) for line in lines] == pytest.approx(rows["same"].tolist())
    for rate in ("far1", "far01"):
        told = {name: card(name).thresholds[rate] for name in JUDGES}
        assert (rows[f"threshold_{rate}"] == rows["recognizer"].map(told)).all()


def test_the_judge_of_an_attack_was_left_out_of_it(done: Path, rows: pd.DataFrame) -> None:
    attacked = rows[rows["method"] == "pgd"]
    assert (attacked["left_out"] == attacked["recognizer"]).all()
    used = json.loads((done / "manifest.json").read_text())["settings"]
    for name in JUDGES:
        assert name not in used[f"pgd, {name} left out"]["surrogates"]


def test_identity_gives_the_clean_rate(rows: pd.DataFrame) -> None:
    clean = rows[(rows["method"] == "identity") & (rows["disturbance"] == "none")]
    assert clean["same"].to_numpy() == pytest.approx(1, abs=1e-5)
    assert clean["probe"].to_numpy() == pytest.approx(clean["clean_probe"].to_numpy(), abs=1e-5)
    assert (clean["psnr"] >= 79).all()
    for row in summary.rates(rows, "dodged").to_dict("records"):
        if row["method"] == "identity":
            assert row["rate"] == row["clean"]


def test_the_face_is_as_it_was_where_nothing_changed(rows: pd.DataFrame) -> None:
    for name, value in (("expression", 1), ("landmarks", 0), ("inside", 0), ("outside", 0)):
        assert (rows.loc[rows["method"] == "identity", name] == value).all()
        assert rows[name].notna().all()
    changed = rows[rows["method"] == "random-noise"]
    assert changed["landmarks"].between(0, 0.1, inclusive="neither").all()
    assert changed["inside"].between(1, 10).all()
    assert set(changed["expression"]) <= {0, 1}


def test_another_detector_shows_recognisers_the_same_photo_through_its_own_points(
    faces: Path, rows: pd.DataFrame
) -> None:
    seen = rows[rows["disturbance"] == "blazeface"]
    assert seen.loc[seen["method"] != "pgd", "found"].all()  # an attack may hide a face
    clean = seen[seen["method"] == "identity"]
    assert clean["same"].to_numpy() == pytest.approx(1, abs=1e-5)
    for row in clean.to_dict("records"):
        vectors = [
            embedding(row["recognizer"], to_tensor(pixels), blazeface.find_faces(pixels)[0])
            for pixels in (
                open_photo(faces / "people" / row["identity"] / name).pixels for name in ("a.png", "b.png")
            )
        ]
        assert row["probe"] == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-4)
    ours = rows[(rows["disturbance"] == "none") & (rows["method"] == "identity")]
    assert (np.abs(ours["probe"].to_numpy() - clean["probe"].to_numpy()) > 1e-4).all()


def test_a_face_that_the_other_detector_misses_is_looked_for_with_ours(
    faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blazeface, "find_faces", nowhere)
    spec = read(faces / "six.toml")
    one = samples(faces / "people")[0]
    photo = open_photo(one.photo)
    task = make_task(spec, ENGINE_HOOKS, one, spec.all_methods()[0], ALL)
    found, _ = recognise(ENGINE_HOOKS, task, photo, find_faces(photo.pixels)[0], photo.pixels)
    ours, theirs = ([row for row in found if row["disturbance"] == name] for name in ("none", "blazeface"))
    assert [row["found"] for row in theirs] == [False, False]
    same = pytest.approx([row["probe"] for row in ours], abs=1e-5)  # computed twice, on as many threads
    assert [row["probe"] for row in theirs] == same


def nowhere(pixels: Pixels) -> list[Face]:
    return []


def test_noise_of_equal_size_does_not_protect(rows: pd.DataFrame) -> None:
    noise = rows[(rows["method"] == "random-noise") & (rows["disturbance"] == "none")]
    assert noise["dodged_same"].sum() == 0
    attacked = rows[(rows["method"] == "pgd") & (rows["disturbance"] == "none")]
    assert attacked["same"].mean() < noise["same"].mean()


def nothing(photo: Photo, face: Face, values: Mapping[str, Any], *others: object) -> Photo:
    return photo


def test_a_method_that_changes_nothing_is_reported_not_scored(faces: Path, tmp_path: Path) -> None:
    methods = read(faces / "six.toml").methods[:1]
    changes = {"match": None, "photos": 1, "disturbances": ("none",), "methods": methods}
    spec = read(faces / "six.toml").model_copy(update=changes)
    file = finish(run(spec, replace(ENGINE_HOOKS, protect=nothing), faces, tmp_path, 0))
    assert set(summary.read(file)["method"]) == {"identity"}
    (failure,) = summary.failures(file).to_dict("records")
    assert failure["method"] == "pgd"
    assert "changed nothing" in failure["error"]
    markdown, _ = html_report.write(tmp_path)
    assert "pgd: 1 photos are not scored" in markdown.read_text()


@pytest.mark.parametrize("name", [name for name in MEASURES if name not in ("lpips", "t_acc", "t_ned")])
def test_every_measure_tells_more_from_less(name: str) -> None:
    photo = astronaut()[:200, 100:300]
    tinted = [
        np.clip(photo.astype(int) + step * np.array([2, -1, 1]), 0, 255).astype(np.uint8)
        for step in (0, 6, 20)
    ]
    none, little, much = (float(MEASURES[name](to_tensor(photo), to_tensor(one))) for one in tinted)
    if name == "ms_ssim":
        assert 1 == pytest.approx(none)
        assert none > little > much
    else:
        assert none == 0
        assert none < little < much
