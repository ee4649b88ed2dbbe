"""A benchmark from its file to its report, on four people, with quick methods and negative controls."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from veil.attacks import packaged
from veil.attacks.faces import find_faces
from veil.attacks.networks import blazeface
from veil.core.errors import BadSettings, DeviceFull, NoFace, UnknownName, WeightsMissing
from veil.core.images import open_photo, to_tensor
from veil.core.progress import finish
from veil.core.types import Face, Photo, Pixels, Stage, Step, Steps
from veil.eval import FACE_MEASURES, MEASURES, html_report, plots, resumable, summary
from veil.eval.benchmark import (
    ROWS,
    QualityTarget,
    Spec,
    TunedSetting,
    check,
    judge,
    match,
    methods,
    read,
    run,
    search,
    task,
)
from veil.eval.datasets import samples
from veil.eval.metrics import fid
from veil.eval.set_metrics import measure_sets
from veil.eval.summary import missed, ranks
from veil.eval.verification import embedding
from veil.ui.engine_hooks import ENGINE_HOOKS
from veil.weights.registry import card

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "benchmarks").glob("*.toml"))
JUDGES = ("mobilefacenet", "mobileface")
STRONG = ("dlib", "mobilefacenet", "faceres", "faceplugin", "sface")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small crops gain nothing from threads, and lose much where others use the cores too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def rows(done: Path) -> pd.DataFrame:
    return summary.read(done / "rows.parquet")


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
    chosen = task(spec, ENGINE_HOOKS, one, methods(spec)[0], "all")
    found, _ = judge(ENGINE_HOOKS, chosen, photo, find_faces(photo.pixels)[0], photo.pixels)
    ours, theirs = ([row for row in found if row["disturbance"] == name] for name in ("none", "blazeface"))
    assert [row["found"] for row in theirs] == [False, False]
    same = pytest.approx([row["probe"] for row in ours], abs=1e-5)  # computed twice, on as many threads
    assert [row["probe"] for row in theirs] == same


def nowhere(pixels: Pixels) -> list[Face]:
    return []


class Shrunk(torch.nn.Module):
    """A stand-in for Inception: a picture in 4 x 4 pixels."""

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [torch.nn.functional.adaptive_avg_pool2d(image, 4)]


def test_sets_are_measured_against_the_photos_before(
    done: Path, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fid, "_network", Shrunk)
    found = measure_sets(done, rows, ["fid"]).set_index("method")
    assert found["n"].to_dict() == {"identity": 4, "pgd": 8, "random-noise": 4}
    assert found["fid"]["identity"] == pytest.approx(0, abs=1e-9)
    assert found["fid"]["random-noise"] > 1e-6
    files = [sorted((done.parent / "people").glob("*/a.png")) * 2, (done / "photos" / "pgd").glob("*.png")]
    features = [
        torch.cat([Shrunk()(to_tensor(open_photo(file).pixels))[0].flatten(1) for file in part])
        for part in files
    ]
    assert found["fid"]["pgd"] == pytest.approx(fid.distance(*features), rel=1e-4)
    spec = json.loads((done / "manifest.json").read_text())["spec"] | {"measures": ["chroma", "fid"]}
    frames = html_report.frames(done, rows, "dodged", spec)
    assert "fid" not in frames["quality"]
    (table,) = [lines for heading, _, lines in html_report.tables(frames) if heading == "Over all photos"]
    assert table[0] == ["method", "fid", "n"]
    assert [line[0] for line in table[1:]] == ["identity", "pgd", "random-noise"]


def test_noise_of_equal_size_does_not_protect(rows: pd.DataFrame) -> None:
    noise = rows[(rows["method"] == "random-noise") & (rows["disturbance"] == "none")]
    assert noise["dodged_same"].sum() == 0
    attacked = rows[(rows["method"] == "pgd") & (rows["disturbance"] == "none")]
    assert attacked["same"].mean() < noise["same"].mean()


def test_methods_are_matched_in_quality(rows: pd.DataFrame) -> None:
    tried = rows[rows["identity"].isin(["person-0"])]
    for method in ("pgd", "random-noise"):
        assert tried.loc[tried["method"] == method, "psnr"].mean() == pytest.approx(34, rel=0.02)


@pytest.mark.slow
def test_a_finished_run_is_not_repeated_and_a_lost_photo_is(faces: Path, done: Path) -> None:
    spec = read(faces / "six.toml")
    files = {path: path.stat().st_mtime_ns for path in done.glob("photos/**/*.npz")}
    lost = done / "photos" / "pgd" / "person-3-mobileface-0.npz"
    lost.unlink()
    steps: list[Step] = []
    before = (done / "rows.csv").read_text()
    finish(run(spec, ENGINE_HOOKS, faces, done, 0), steps.append)
    again = {path: path.stat().st_mtime_ns for path in files}
    assert {path for path in files if files[path] != again[path]} == {lost}
    table, old = (pd.read_csv(file) for file in (done / "rows.csv", kept(faces, before)))
    pd.testing.assert_frame_equal(table.drop(columns="seconds"), old.drop(columns="seconds"))
    assert set(table.loc[table["method"] == "pgd", "curve"]) == {"pgd"}
    renamed = [one.model_copy(update={"curve": "pixels"}) for one in spec.methods]
    finish(run(spec.model_copy(update={"methods": tuple(renamed)}), ENGINE_HOOKS, faces, done, 0))
    curves = summary.read(done / "rows.parquet").groupby("method")["curve"].unique()
    assert {name: list(found) for name, found in curves.items()} == {
        "identity": ["identity"],
        "pgd": ["pixels"],
        "random-noise": ["pixels"],
    }
    assert again == {path: path.stat().st_mtime_ns for path in files}
    finish(run(spec, ENGINE_HOOKS, faces, done, 0))
    with pytest.raises(BadSettings, match="holds another benchmark"):
        finish(run(spec.model_copy(update={"title": "other"}), ENGINE_HOOKS, faces, done, 0))


@pytest.mark.slow
def test_a_run_grows_by_people_and_left_out_recognisers(faces: Path, tmp_path: Path) -> None:
    changes = {"match": None, "photos": 1, "leave_out": "turns", "disturbances": ("none", "jpeg-75")}
    attack = {"settings": {"steps": 2}, "knob": None, "disturbances": ("none",)}
    (method,) = (one for one in read(faces / "six.toml").methods if one.name == "pgd")
    small = read(faces / "six.toml").model_copy(
        update={**changes, "methods": (method.model_copy(update=attack),)}
    )
    finish(run(small, ENGINE_HOOKS, faces, tmp_path, 0))
    first = {path: path.stat().st_mtime_ns for path in tmp_path.glob("photos/**/*.npz")}
    assert {path.relative_to(tmp_path / "photos").as_posix() for path in first} == {
        "identity/person-0-all-0.npz",
        f"pgd/person-0-{small.turn(small.methods[0], 0)}-0.npz",
    }
    table = summary.read(
        finish(run(small.model_copy(update={"photos": 2}), ENGINE_HOOKS, faces, tmp_path, 0))
    )
    attacked = table[table["method"] == "pgd"]
    assert attacked["recognizer"].tolist() == [small.turn(small.methods[0], index) for index in (0, 1)]
    assert {*attacked["recognizer"]} == {*JUDGES}
    assert set(attacked["disturbance"]) == {"none"}
    assert set(table.loc[table["method"] == "identity", "disturbance"]) == {"none", "jpeg-75"}
    whole = summary.read(
        finish(run(small.model_copy(update={"leave_out": "each"}), ENGINE_HOOKS, faces, tmp_path, 0))
    )
    assert (whole["method"] == "pgd").sum() == 2
    assert set(whole["identity"]) == {"person-0"}
    assert first == {path: path.stat().st_mtime_ns for path in first}
    for part, name, value in (
        ("weights", "portrait", "0" * 64),
        ("settings", "pgd", {"steps": 3}),
        ("thresholds", "mobileface", {"far1": 0.9}),
    ):
        about = json.loads((tmp_path / "spec.json").read_text())
        (tmp_path / "spec.json").write_text(json.dumps({**about, part: {**about[part], name: value}}))
        with pytest.raises(BadSettings, match=f"results of other {part}"):
            finish(run(small, ENGINE_HOOKS, faces, tmp_path, 0))
        (tmp_path / "spec.json").write_text(json.dumps(about))
    assert not {"dlib", "faceplugin"} & {*about["weights"]}  # what it does not ask may change


def little(faces: Path, **changes: Any) -> Spec:
    """The benchmark of the fixture, for one person and one quick method."""
    quick = {"settings": {"steps": 1, "views": 0}, "knob": None}
    spec = read(faces / "six.toml")
    method = spec.methods[0].model_copy(update=quick)
    few = {"methods": (method,), "match": None, "photos": 1, "leave_out": "turns", "disturbances": ("none",)}
    return spec.model_copy(update=few | changes)


def test_what_failed_for_want_of_memory_is_done_again(faces: Path, tmp_path: Path) -> None:
    few, failures = little(faces), iter([DeviceFull("No room.", ""), NoFace("No face.", "")])

    def protect(*arguments: Any) -> Photo:
        for failure in failures:  # the first of the method that changes nothing, the other of pgd
            raise failure
        return ENGINE_HOOKS.protect(*arguments)

    for left in (["No face.", "No room."], ["No face."], ["No face."]):
        table = pd.read_parquet(finish(run(few, replace(ENGINE_HOOKS, protect=protect), faces, tmp_path, 0)))
        assert sorted({*table["error"]} - {""}) == left


@pytest.mark.slow
@pytest.mark.parametrize("only_recognised", [False, True])
def test_other_photos_of_the_same_people_are_not_mixed_in(
    faces: Path, tmp_path: Path, only_recognised: bool
) -> None:
    shutil.copytree(faces / "people", tmp_path / "people")
    few = little(faces, only_recognised=only_recognised, rate="far10")
    finish(run(few, ENGINE_HOOKS, tmp_path, tmp_path / "run", 0))
    rest = ("person-1", "person-2", "person-3")
    for person in rest:  # who were not asked for
        shutil.rmtree(tmp_path / "people" / person)
    finish(run(few, ENGINE_HOOKS, tmp_path, tmp_path / "run", 0))
    shutil.copy(faces / "people" / "person-1" / "a.png", tmp_path / "people" / "person-0" / "b.png")
    with pytest.raises(BadSettings, match="other photos of 'person-0'"):
        finish(run(few, ENGINE_HOOKS, tmp_path, tmp_path / "run", 0))


def test_a_person_is_the_whole_path_of_a_folder(tmp_path: Path) -> None:
    for place in ("a/1/x.png", "a/1/y.png", "b/1/x.png", "z.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / place)
    found = {one.identity: one.probe is not None for one in samples(tmp_path)}
    assert found == {"a/1": True, "b/1": False, "z": False}


def kept(folder: Path, text: str) -> Path:
    (folder / "before.csv").write_text(text)
    return folder / "before.csv"


def test_reports_are_self_contained_and_complete(done: Path) -> None:
    page = (done / "report.html").read_text()
    assert 'src="http' not in page
    assert page.count("data:image/png;base64,") == 5
    text = (done / "report.md").read_text()
    for words in ("Four people", "mobilefacenet", "jpeg-75", "rank-1", "FNIR", "pgd", "1 %"):
        assert words in text
        assert words in page
    manifest = json.loads((done / "manifest.json").read_text())
    assert set(manifest["matched"]) == {"pgd", "random-noise"}
    assert len(manifest["photos"]["person-0"]) == 64
    assert manifest["versions"]["veil"]


@pytest.mark.slow
def test_another_process_and_a_cluster_give_the_same_rows(
    faces: Path, rows: pd.DataFrame, tmp_path: Path
) -> None:
    changes = {
        "match": None,
        "photos": 1,
        "disturbances": ("none",),
        "methods": read(faces / "six.toml").methods[1:],
    }
    spec = read(faces / "six.toml").model_copy(update=changes)
    tables: list[pd.DataFrame] = []
    for number, cluster in enumerate([None, "local"]):
        file = finish(run(spec, ENGINE_HOOKS, faces, tmp_path / str(number), 1, cluster))
        tables.append(pd.read_parquet(file).drop(columns="seconds"))
    pd.testing.assert_frame_equal(tables[1], tables[0])
    clean = rows[(rows["method"] == "identity") & (rows["disturbance"] == "none")]
    same = clean.loc[clean["identity"] == "person-0", "probe"].tolist()
    assert tables[0][tables[0]["method"] == "identity"]["probe"].tolist() == pytest.approx(same, abs=1e-4)


def nothing(photo: Photo, face: Face, values: Mapping[str, Any], target: object) -> Photo:
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


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "shared weights": (
        {"judges": ("faceres-deep",), "surrogates": ("faceres",)},
        BadSettings,
        "share their weights",
    ),
    "judge": ({"judges": ("arcnet",)}, UnknownName, "arcnet"),
    "uncalibrated": ({"judges": ("facenet:casia-webface",)}, BadSettings, "No threshold"),
    "disturbance": ({"disturbances": ("fax",)}, UnknownName, "fax"),
    "targets": ({"goal": "impersonate"}, BadSettings, "targets"),
    "method": ({"methods": ({"name": "a", "method": "b"},)}, UnknownName, "no method"),
    "preset": ({"methods": ({"name": "a", "preset": "b"},)}, BadSettings, "no strength"),
    "setting": ({"methods": ({"name": "a", "settings": {"b": 1}},)}, BadSettings, "'b'"),
    "pool": ({"methods": ({"name": "a", "pool": ("arcnet",)},)}, UnknownName, "arcnet"),
    "twice": ({"methods": ({"name": "a"}, {"name": "a"})}, BadSettings, "one name"),
    "metric": ({"match": {"metric": "lpips"}}, BadSettings, "not measured"),
    "measure": ({"measures": ("expresion",)}, UnknownName, "expresion"),
    "weights": ({"measures": ("fid",)}, WeightsMissing, "pt_inception"),
    "like": ({"match": {"like": "b"}}, BadSettings, "to match"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_before_the_work(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, kind, words = REFUSED[case]
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    base: dict[str, Any] = {"title": "", "dataset": "", "judges": ("dlib",), "methods": ({"name": "veil"},)}
    with pytest.raises(kind, match=words):
        check(Spec.model_validate(base | changes), ENGINE_HOOKS)


def test_bad_files_are_told(faces: Path, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="no file"):
        read(tmp_path / "a.toml")
    sound = (faces / "six.toml").read_text()
    for text, words in (("a = ", "not TOML"), ('title = ""', "dataset"), (sound + "extra = 1", "extra")):
        (tmp_path / "a.toml").write_text(text)
        with pytest.raises(BadSettings, match=words):
            read(tmp_path / "a.toml")


def test_a_method_may_have_surrogates_of_its_own() -> None:
    deep = ("dlib", "faceres", "faceres-deep")
    base = {"title": "", "dataset": "", "judges": ("dlib", "faceres"), "pool": ("dlib", "mobileface")}
    spec = Spec.model_validate(base | {"methods": ({"name": "a"}, {"name": "b", "pool": deep})})
    assert spec.surrogate_sets(spec.methods[0]) == {
        "dlib": ("mobileface",),
        "faceres": ("dlib", "mobileface"),
    }
    assert spec.surrogate_sets(spec.methods[1]) == {"dlib": ("faceres", "faceres-deep"), "faceres": ("dlib",)}


def test_who_is_left_out_takes_its_kin_along_and_all_others_attack() -> None:
    spec = Spec.model_validate({"title": "", "dataset": "", "judges": STRONG, "methods": ({"name": "a"},)})
    folds = spec.surrogate_sets(spec.methods[0])
    assert tuple(folds) == STRONG
    for out, used in folds.items():
        kin = {"faceres", "faceres-deep"} if out == "faceres" else {out}
        assert {*used} == {*packaged()} - kin
        assert spec.unseen(spec.methods[0], out) == (out,)


def test_turns_are_even_and_tied_neither_to_groups_nor_to_targets() -> None:
    spec = Spec.model_validate({"title": "", "dataset": "", "judges": STRONG, "methods": ({"name": "a"},)})
    turns = [spec.turn(spec.methods[0], index) for index in range(600)]
    assert all({*turns[first : first + 5]} == {*STRONG} for first in range(0, 600, 5))
    for size, many in ((10, 60), (4, 150)):  # groups of gender and race; targets
        for place in range(size):
            met = [turns[place::size].count(judge) for judge in STRONG]
            assert sum(met) == many
            assert min(met) > many / 5 / 2


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_our_own_benchmarks_are_sound(file: Path) -> None:
    spec = read(file)
    check(spec, ENGINE_HOOKS)
    assert (spec.judges, spec.leave_out) == (STRONG, "turns")
    for method in spec.methods:
        for fold in spec.surrogate_sets(method):
            assert spec.unseen(method, fold)


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

    wanted = QualityTarget(value=goal, tolerance=0.002)
    knob = TunedSetting(setting="epsilon", low=0.001, high=0.5, start=start)
    assert finish(search(knob, quality, goal, wanted)) == pytest.approx(expected, rel=0.01)
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

    knob = TunedSetting(setting="epsilon", low=0.005, high=0.1, start=start)  # as our files have it
    found = finish(search(knob, quality, goal, QualityTarget(value=goal)))
    assert likeness(found) == pytest.approx(goal, rel=0.02)


def brighter(photo: Photo, face: Face, values: Mapping[str, Any], target: object) -> Photo:
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
    wanted = QualityTarget(metric="likeness", value=3.0, photos=2)
    spec = read(faces / "six.toml").model_copy(update={"match": wanted, "measures": ("points",)})
    with pytest.raises(BadSettings, match="not measured"):
        check(spec, ENGINE_HOOKS)
    spec = spec.model_copy(update={"measures": ("likeness",)})
    check(spec, ENGINE_HOOKS)
    store = resumable.Store(tmp_path, ROWS)
    people = samples(faces / "people")[:2]
    tools = replace(ENGINE_HOOKS, protect=brighter)
    found = finish(match(spec, tools, people, store, faces, 0, None))
    assert set(found) == {"pgd", "random-noise"}
    photos = [open_photo(one.photo) for one in people]
    for value in found.values():
        pairs = [(one, brighter(one, find_faces(one.pixels)[0], {"epsilon": value}, None)) for one in photos]
        reached = [
            seen(*(to_tensor(one.pixels) for one in pair), find_faces(pair[0].pixels)[0]) for pair in pairs
        ]
        assert float(torch.cat(reached).mean()) == pytest.approx(3, rel=0.02)


def verdicts() -> pd.DataFrame:
    """Scored rows of ten people: `a` escapes sface less often than dlib, and the same photo less often."""
    lines = [
        {
            **{"identity": str(person), "method": method, "curve": method, "recognizer": name, "seed": 0},
            **{"left_out": name, "disturbance": kind, "psnr": 30.0 + person, "likeness": 0.1 * person},
            **{"threshold": 0.5, "threshold_far1": 0.5, "threshold_far01": 0.7},
            **{"probe": cosine, "same": cosine + 0.2, "found": True},
            **dict.fromkeys(("gender", "race", "age"), ""),
        }
        for method, shift in (("identity", 1.0), ("a", 0.0))
        for name, lift in (("dlib", 0.0), ("sface", 0.2))
        for kind, more in (("none", 0.0), ("jpeg-75", 1.0))
        for person in range(10)
        for cosine in [person / 10 + lift + shift + more + 0.05]
    ]
    return pd.DataFrame(lines)


def test_the_headline_states_mean_and_worst_at_both_rates_for_both_photos() -> None:
    rows = verdicts()
    table = summary.headline(rows, ["ssim"]).set_index("method")
    assert table["n"].to_dict() == {"identity": 20, "a": 20}
    expected = {  # of ten people: how many does dlib reject, how many sface
        "other_far1": (5, 3),
        "other_far01": (7, 5),
        "same_far1": (3, 1),
        "same_far01": (5, 3),
    }
    for case, (dlib, sface) in expected.items():
        one = table.loc["a"]
        assert one[case] == pytest.approx((dlib + sface) / 20)
        assert one[f"{case} worst"] == "sface"
        assert one[f"{case} least"] == pytest.approx(sface / 10)
        for name in (case, f"{case} least"):
            assert 0 <= one[f"{name} low"] < one[name] < one[f"{name} high"] < 1
        assert one[f"{case} clean"] == table.loc["identity", case] == 0
    assert (table["psnr"] == 34.5).all()
    assert "likeness" not in table
    seen = summary.headline(rows, ["likeness"]).set_index("method").loc["a"]
    assert seen["likeness"] == pytest.approx(0.45)
    assert seen["likeness low"] < 0.4 < 0.5 < seen["likeness high"]
    nobody = summary.headline(rows.assign(probe=np.nan))
    assert "other_far1" not in nobody
    assert "same_far1" in nobody


def test_the_headline_is_the_first_table_and_agrees_with_the_others(done: Path, rows: pd.DataFrame) -> None:
    table = pd.read_csv(done / "headline.csv").set_index("method")
    assert list(table.index) == ["identity", "pgd", "random-noise"]
    for photo, file in (("other", "rates"), ("same", "same_photo")):
        rates = pd.read_csv(done / f"{file}.csv")
        rates = rates[rates["disturbance"] == "none"].set_index("method")
        whole = rates[rates["recognizer"] == "all"]
        worst = rates[rates["recognizer"] != "all"].groupby("method")["rate"].min()
        for column, other in ("", "rate"), (" low", "low"), (" high", "high"), (" clean", "clean"):
            assert table[f"{photo}_far1{column}"].to_dict() == whole[other].to_dict()
        assert table[f"{photo}_far1 least"].to_dict() == worst.to_dict()
        assert (table[f"{photo}_far01"] >= table[f"{photo}_far1"]).all()
    text, page = ((done / f"report.{kind}").read_text() for kind in ("md", "html"))
    for heading, _ in html_report.WORDS.values():
        assert heading == "At a glance" or f"## {heading}\n" not in text.split("## At a glance")[0]
        assert (
            heading == "At a glance" or f"<h2>{heading}</h2><p>" not in page.split("<h2>At a glance</h2>")[0]
        )
    assert "| other photo, FAR 1 % | worst | other photo, FAR 0.1 % | worst |" in text
    assert "![Protection and likeness](protection-and-likeness.png)" in text
    Image.open(done / "protection-and-likeness.png").verify()


def test_rows_of_older_files_are_completed(done: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    new = ["threshold_far1", "threshold_far01", "curve"]
    for kind in ("parquet", "csv"):
        old = pd.read_parquet(done / "rows.parquet")
        some = old.assign(**{name: None for name in new})  # as a run that goes on has them
        for number, table in enumerate((old.drop(columns=new), some)):
            path = tmp_path / f"{number}.{kind}"
            table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
            pd.testing.assert_frame_equal(summary.read(path)[new], rows[new], check_dtype=False)
    old.drop(columns=new).assign(recognizer="elsewhere").to_parquet(tmp_path / "rows.parquet")
    unknown = summary.read(tmp_path / "rows.parquet")
    assert unknown["threshold_far1"].isna().all()
    assert not len(summary.headline(unknown))
    assert len(summary.rates(unknown, "dodged"))


def test_protection_is_drawn_over_likeness_a_curve_for_each_family() -> None:
    rates = pd.DataFrame(
        [
            (method, name, disturbance, rate + more)
            for method, rate in (("identity", 0.0), ("weak", 0.2), ("strong", 0.6), ("other", 0.4))
            for name, more in (("dlib", 0.1), ("sface", 0.0), ("all", 0.05))
            for disturbance in ("none", "jpeg-75")
        ],
        columns=["method", "recognizer", "disturbance", "rate"],
    )
    qualities = pd.DataFrame(
        {
            "method": ["identity", "strong", "weak", "other"],
            "psnr": [80.0, 32, 38, 35],
            "likeness": [1.0, 0.6, 0.9, 0.7],
        }
    )
    families = {"weak": "veil", "strong": "veil", "other": "other", "identity": "identity"}
    points = plots.protection(rates, qualities, families)
    assert points["method"].tolist() == ["strong", "other", "weak"]
    assert points["likeness"].tolist() == [0.6, 0.7, 0.9]
    assert points["family"].tolist() == ["veil", "other", "veil"]
    assert points["rate"].tolist() == pytest.approx([0.65, 0.45, 0.25])
    assert points["worst"].tolist() == pytest.approx([0.6, 0.4, 0.2])
    for without in (qualities.drop(columns="likeness"), qualities.assign(likeness=np.nan)):
        assert plots.axis(without) == "psnr"
        assert plots.protection(rates, without, families)["psnr"].tolist() == [32, 35, 38]


@pytest.mark.parametrize("likeness", [True, False])
def test_reports_say_whether_likeness_was_measured(likeness: bool) -> None:
    rows = verdicts() if likeness else verdicts().drop(columns="likeness")
    rows = rows.assign(**{outcome: 0.0 for outcome in summary.OUTCOMES}, ssim=1.0)
    metrics = ["psnr", "ssim", *(["likeness"] if likeness else [])]
    found = html_report.from_rows(rows, "dodged", "a", metrics)
    assert next(iter(found)) == "headline"
    (heading, picture), *_ = html_report.drawn(rows, found, "dodged")
    assert heading == ("Protection and likeness" if likeness else "Protection and PSNR")
    assert Image.open(BytesIO(picture)).width > 500  # two panels
    assert ("nobody was asked" in html_report.about(rows, "dodged")) == likeness
    assert ("equal PSNR is not equal likeness" in html_report.about(rows, "dodged")) != likeness
    (_, _, lines), *_ = html_report.tables(found)
    if likeness:
        assert dict(zip(lines[0], lines[1], strict=True))["likeness"].startswith("0.450 [0.")
    assert ("likeness" in lines[0]) == likeness
    assert dict(zip(lines[0], lines[2], strict=True))["other photo, FAR 1 %"].endswith(" (0.0)")
    assert "headline" not in html_report.from_rows(rows.assign(aim=0.1), "impersonated", "a", metrics)


def test_ranks_and_misses_agree_with_counting() -> None:
    rng = np.random.default_rng(0)
    gallery, probes, strangers = (rng.normal(size=(30, 4)) for _ in range(3))
    expected = [1 + sum(p @ g > p @ gallery[i] for g in gallery) for i, p in enumerate(probes)]
    assert ranks(gallery, probes).tolist() == expected
    assert ranks(gallery, gallery / 2 + gallery).tolist() == ranks(gallery, gallery).tolist()
    best = [max(s @ g for j, g in enumerate(gallery) if j != i) for i, s in enumerate(strangers)]
    threshold = np.quantile(best, 0.99)
    assert missed(gallery, probes, strangers).tolist() == [
        float(p @ g <= threshold) for p, g in zip(probes, gallery, strict=True)
    ]


def test_methods_are_compared_on_the_same_photos() -> None:
    table = pd.DataFrame(
        [
            (method, str(number), "dlib", "none", 0, float(number < limit), 0.8 - limit / 100 * number)
            for method, limit in (("a", 8), ("b", 4))
            for number in range(10)
        ],
        columns=["method", "identity", "recognizer", "disturbance", "seed", "dodged", "probe"],
    )
    (found,) = summary.compared(table, "dodged", "b").to_dict("records")
    assert found["method"] == "a"
    assert found["difference"] == pytest.approx(0.4)
    assert 0 < found["low"] < 0.4 < found["high"]
    expected = -0.04 * 4.5 / card("dlib").strangers[1]
    assert found["cosine"] == pytest.approx(expected)
    assert found["cosine low"] < expected < found["cosine high"] < 0
    table["recognizer"] = "elsewhere"  # of rows that another machine wrote
    (found,) = summary.compared(table, "dodged", "b").to_dict("records")
    assert found["difference"] == pytest.approx(0.4)
    assert np.isnan(found["cosine"])


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
