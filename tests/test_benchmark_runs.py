"""Runs that end, go on and grow: nothing is done twice, and nothing of another benchmark mixed in."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from veil.core.errors import BadSettings, DeviceFull, NoFace
from veil.core.progress import finish
from veil.core.types import Photo, Stage, Step, Steps
from veil.eval import summary
from veil.eval.benchmark import ROWS, Spec, TunedSetting, open_store, read, result_file, run, unpack
from veil.eval.benchmark.judge import protect_and_judge
from veil.eval.benchmark.manifest import claim_folder
from veil.eval.benchmark.plan import Task
from veil.eval.datasets import Sample, samples
from veil.privacy.settings import FORMER_NAMES
from veil.ui.cli import app
from veil.ui.engine_hooks import ENGINE_HOOKS

pytestmark = pytest.mark.usefixtures("one_thread")
JUDGES = ("mobilefacenet", "mobileface")


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


def test_what_a_folder_holds_is_named_and_what_differs(faces: Path, tmp_path: Path) -> None:
    spec, file = read(faces / "six.toml"), tmp_path / "spec.json"
    claim_folder(file, spec, ENGINE_HOOKS)
    other = spec.model_copy(update={"title": "another", "rate": "far10"})
    with pytest.raises(BadSettings) as error:
        claim_folder(file, other, ENGINE_HOOKS)
    assert error.value.message == f"{tmp_path} holds another benchmark: {spec.title!r}; other: title, rate."
    about = json.loads(file.read_text())
    about["thresholds"]["mobileface"]["far1"] = 0.5
    file.write_text(json.dumps(about))
    with pytest.raises(BadSettings, match="holds results of other thresholds: .*; other: mobileface\\."):
        claim_folder(file, spec, ENGINE_HOOKS)


def test_fewer_people_than_before_are_told(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tables(spec: Spec, *_: object) -> Steps[Path]:
        photos = {f"person-{n}": "" for n in range(spec.photos or 6)}
        (tmp_path / "manifest.json").write_text(json.dumps({"photos": photos}))
        yield Step(Stage.BENCHMARKING, 3, 9)
        return tmp_path / "rows.parquet"

    def told(*options: str) -> str:
        command = ["benchmark", str(faces / "six.toml"), "--faces", str(faces), "-o", str(tmp_path), *options]
        return CliRunner().invoke(app, command).stderr

    monkeypatch.setattr("veil.eval.benchmark.run", tables)
    monkeypatch.setattr("veil.eval.html_report.write", lambda folder: [])
    assert told("--photos", "3") == told("--photos", "4") == ""
    assert "were of 4 people or clips, and are of 2 now" in told("--photos", "2")
    assert told("--photos", "2") == ""
    monkeypatch.setattr("veil.ui.terminal.A_LINE_EACH", 0)
    assert told().splitlines() == ["six: Photos, 3 of 9"]
    assert told("--quiet") == ""


def test_a_dataset_that_is_not_there_leads_to_the_option_for_it(faces: Path, tmp_path: Path) -> None:
    command = ["benchmark", str(faces / "six.toml"), "--faces", str(tmp_path), "-o", str(tmp_path / "run")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert f"There is no dataset 'people' in '{tmp_path}'" in result.stderr
    assert "--faces" in result.stderr
    assert not (tmp_path / "run").exists()


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
        f"pgd/person-0-{small.left_out_for(small.methods[0], 0)}-0.npz",
    }
    table = summary.read(
        finish(run(small.model_copy(update={"photos": 2}), ENGINE_HOOKS, faces, tmp_path, 0))
    )
    attacked = table[table["method"] == "pgd"]
    assert attacked["recognizer"].tolist() == [
        small.left_out_for(small.methods[0], index) for index in (0, 1)
    ]
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
    older = {name: sha256 for name, sha256 in about["weights"].items() if name != "hand"}
    assert len(older) < len(about["weights"])
    (tmp_path / "spec.json").write_text(json.dumps({**about, "weights": older}))  # it was packaged since
    finish(run(small, ENGINE_HOOKS, faces, tmp_path, 0))


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


def test_a_folder_of_before_goes_on_by_todays_names(faces: Path, tmp_path: Path) -> None:
    def spec(name: str, value: float = 2.0) -> Spec:
        tuned = TunedSetting(setting=name, low=1, high=4)
        changes = {"settings": {"steps": 1, "views": 0, name: value}, "knob": tuned}
        (method,) = little(faces).methods
        return little(faces, methods=(method.model_copy(update=changes),))

    finish(run(spec("penalty_scale"), ENGINE_HOOKS, faces, tmp_path, 0))
    today = (tmp_path / "spec.json").read_text()
    before = today
    for former, name in FORMER_NAMES.items():
        before = before.replace(f'"{name}"', f'"{former}"')
    assert all(f'"{former}":' in before for former in FORMER_NAMES)
    assert '"setting": "price"' in before
    results = {path: path.stat().st_mtime_ns for path in tmp_path.glob("photos/**/*.npz")}
    for name in ("penalty_scale", "price"):
        (tmp_path / "spec.json").write_text(before)
        finish(run(spec(name), ENGINE_HOOKS, faces, tmp_path, 0))
        assert json.loads((tmp_path / "spec.json").read_text()) == json.loads(today)
        assert results == {path: path.stat().st_mtime_ns for path in tmp_path.glob("photos/**/*.npz")}
        (tmp_path / "spec.json").write_text(before)
        with pytest.raises(BadSettings, match="holds another benchmark"):
            finish(run(spec(name, 3.0), ENGINE_HOOKS, faces, tmp_path, 0))
        assert (tmp_path / "spec.json").read_text() == before


@pytest.mark.parametrize(("target", "name"), [("", "pgd/a/b-dlib-3"), ("7", "pgd/a/b-dlib-7-3")])
def test_a_row_leads_to_the_result_that_holds_it(tmp_path: Path, target: str, name: str) -> None:
    aimed = (tmp_path / f"{target}.png", tmp_path / "probe.png") if target else None
    values = ENGINE_HOOKS.resolve("pgd", "balanced", {})
    missing = Sample("a/b", tmp_path / "missing.png")
    task = Task(missing, "pgd", "dlib", (), values, ("none",), seed=3, target=aimed)
    store = open_store(tmp_path)
    store.write(str(task.key), protect_and_judge(ENGINE_HOOKS, task))
    (row,), _ = unpack(tmp_path / "photos" / f"{name}{ROWS}")
    assert "missing.png" in row["error"]
    assert str(tmp_path) not in row["error"]
    assert result_file(tmp_path, row, ROWS) == tmp_path / "photos" / f"{name}{ROWS}"
