"""Pairings: both photos of a person are protected, each on its own, and compared in four ways."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from veil.core.errors import BadSettings, DeviceFull, NoFace
from veil.core.images import open_photo, to_tensor
from veil.core.progress import finish
from veil.core.types import Face, Photo
from veil.eval import html_report, summary
from veil.eval.benchmark import (
    PAIR_COLUMNS,
    PICTURE,
    ROWS,
    ResultKey,
    Spec,
    open_store,
    probe_file,
    read,
    result_file,
    run,
)
from veil.eval.benchmark.results import pack
from veil.eval.datasets import main_face
from veil.eval.identification import kept_embeddings
from veil.eval.pairings import PAIRINGS, pairings, ranked, unpaired
from veil.eval.verification import embedding
from veil.ui.engine_hooks import ENGINE_HOOKS
from veil.ui.web import research

pytestmark = pytest.mark.usefixtures("one_thread")
JUDGES = ("mobilefacenet", "mobileface")


def quick(faces: Path, **changes: Any) -> Spec:
    """The benchmark of the fixture with its attack in one step, pairings asked for."""
    spec = read(faces / "six.toml")
    attack = spec.methods[0].model_copy(update={"settings": {"steps": 1, "views": 0}, "knob": None})
    few = {"methods": (attack,), "match": None, "leave_out": "turns", "disturbances": ("none", "jpeg-75")}
    return spec.model_copy(update={**few, "pairings": True, **changes})


@pytest.fixture(scope="module")
def three(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset of three people, the third of whom has one photo only."""
    folder = tmp_path_factory.mktemp("three")
    for number in range(3):
        shutil.copytree(faces / "people" / f"person-{number}", folder / "people" / f"person-{number}")
    (folder / "people" / "person-2" / "b.png").unlink()
    return folder


@pytest.fixture(scope="module")
def before(faces: Path, three: Path) -> pd.DataFrame:
    """The rows of a run without pairings, which `paired` completes."""
    return pd.read_parquet(finish(run(quick(faces, pairings=False), ENGINE_HOOKS, three, three / "run", 0)))


@pytest.fixture(scope="module")
def times(before: pd.DataFrame, three: Path) -> dict[Path, int]:
    """When the results of the run without pairings were written."""
    return {path: path.stat().st_mtime_ns for path in three.glob("run/photos/**/*.*")}


@pytest.fixture(scope="module")
def paired(faces: Path, three: Path, times: dict[Path, int]) -> Path:
    """The same run, pairings asked for, and its report."""
    assert len(times) == 3 * 2 * 2
    finish(run(quick(faces), ENGINE_HOOKS, three, three / "run", 0))
    html_report.write(three / "run")
    return three / "run"


def test_a_finished_run_grows_by_the_other_photos_alone(
    faces: Path, three: Path, before: pd.DataFrame, paired: Path, times: dict[Path, int]
) -> None:
    files = {path: path.stat().st_mtime_ns for path in paired.glob("photos/**/*.*")}
    assert times.items() < files.items()
    left_out = [quick(faces).left_out_for(quick(faces).methods[0], index) for index in (0, 1)]
    more = {path.relative_to(paired / "photos").as_posix() for path in {*files} - {*times}}
    assert more == {
        f"pgd/person-{number}-{name}-0-probe{ending}"
        for number, name in enumerate(left_out)
        for ending in (PICTURE, ROWS)
    }
    rows = pd.read_parquet(paired / "rows.parquet")
    pd.testing.assert_frame_equal(rows.drop(columns=list(PAIR_COLUMNS)), before)
    lost = paired / "photos" / "pgd" / f"person-1-{left_out[1]}-0-probe.npz"
    lost.unlink()  # as if the run had been killed there
    finish(run(quick(faces), ENGINE_HOOKS, three, paired, 0))
    assert {path for path, when in files.items() if path.stat().st_mtime_ns != when} == {
        lost, lost.with_suffix(PICTURE),
    }  # fmt: skip
    pd.testing.assert_frame_equal(pd.read_parquet(paired / "rows.parquet"), rows)


def test_cosines_are_those_between_the_pictures(paired: Path) -> None:
    rows = pd.read_parquet(paired / "rows.parquet")
    assert rows.loc[rows["method"] == "identity", "cloaked_cloaked"].isna().all()
    seen = rows[(rows["method"] == "pgd") & rows["cloaked_cloaked"].notna()]
    assert set(seen["disturbance"]) == {"none", "jpeg-75"}
    for row in seen[seen["disturbance"] == "none"].to_dict("records"):
        people = paired.parent / "people" / row["identity"]
        clean = [embedded(row["recognizer"], people / name) for name in ("a.png", "b.png")]
        cloaked = [
            embedded(row["recognizer"], file(paired, row, PICTURE)) for file in (result_file, probe_file)
        ]
        expected = {"clean": clean, "cloaked": cloaked}
        for pairing, column in PAIRINGS.items():
            first, second = pairing.split("-")
            assert row[column] == pytest.approx(float(expected[first][0] @ expected[second][1]), abs=1e-3)
        assert row["cloaked_cloaked"] < 0.999
        assert 0 < row["probe_likeness"] < 1
        assert row["probe_likeness"] != row["likeness"]


def embedded(recognizer: str, path: Path) -> np.ndarray:
    pixels = open_photo(path).pixels
    face = main_face(pixels)
    assert face
    return embedding(recognizer, to_tensor(pixels), face).double().numpy()


def test_reports_and_the_page_show_pairings_and_who_is_not_among_them(paired: Path) -> None:
    table = pd.read_csv(paired / "pairings.csv")
    assert set(table["method"]) == {"pgd"}
    assert set(table["recognizer"]) == {*JUDGES, "all"}
    assert set(table["n"]) == {1, 2}
    assert table.groupby(["recognizer", "disturbance"])["pairing"].agg(list).map(tuple).unique().tolist() == [
        tuple(PAIRINGS)
    ]
    shares = table[["far1", "far01", "rank-1", "rank-5"]]
    assert table.loc[table["disturbance"] == "jpeg-75", ["rank-1", "rank-5"]].isna().to_numpy().all()
    assert shares[table["disturbance"] == "none"].notna().to_numpy().all()
    assert (table["far1"] <= table["far01"]).all()
    for column, side in (("likeness", "cloaked-"), ("probe_likeness", "-cloaked")):
        assert (table[column].notna() == table["pairing"].str.contains(side)).all()
    whole = research.everything(paired / "rows.parquet")
    choice = research.Query(
        whole.outcomes[0], whole.methods, whole.recognizers, whole.disturbances, whole.first
    )
    for kind in ("parquet", "csv"):
        findings = research.find(paired / f"rows.{kind}", choice)
        shown = findings.frames["pairings"].round(4).reset_index(drop=True)
        pd.testing.assert_frame_equal(shown, table[list(shown)], check_dtype=False)
        assert "rank-1" not in shown  # which takes the run's folder
        assert not {*PAIR_COLUMNS} & {*findings.frames["quality"]}
        assert "1 people have no other photo: pairings are without them." in findings.warnings
    for kind in ("md", "html"):
        text = (paired / f"report.{kind}").read_text()
        for words in ("Pairings", "cloaked-cloaked", "rank-5", "have no other photo"):
            assert words in text


def test_a_finished_run_grows_by_distractors_alone(faces: Path, three: Path, paired: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in paired.glob("photos/**/*.*")}
    finish(run(quick(faces, distractors=("people", "prior:1")), ENGINE_HOOKS, three, paired, 0))
    assert {path: path.stat().st_mtime_ns for path in paired.glob("photos/**/*.*")} == files
    manifest = json.loads((paired / "manifest.json").read_text())
    assert manifest["distractors"] == {"people": {"used": 3}, "prior:1": {"used": 1}}
    html_report.write(paired)
    table = pd.read_csv(paired / "galleries.csv")
    assert set(table["pairing"]) == {*PAIRINGS}
    assert set(table["size"]) == {4}
    clean = table[table["pairing"] == "clean-clean"]
    assert (clean["rank-1"] == 1).all()  # mirrored photos; oneself is no distractor
    assert "distractors" in (paired / "report.md").read_text()


def test_why_another_photo_is_not_among_pairings_is_told(faces: Path, three: Path, tmp_path: Path) -> None:
    other = open_photo(three / "people" / "person-0" / "b.png").pixels
    failures = iter([DeviceFull("No room.", ""), NoFace("No face.", "")])

    def protect(photo: Photo, face: Face, values: Mapping[str, Any], *others: Any) -> Photo:
        if np.array_equal(photo.pixels, other):
            raise next(failures)
        return ENGINE_HOOKS.protect(photo, face, values, *others)

    hooks, spec = replace(ENGINE_HOOKS, protect=protect), quick(faces, photos=1, disturbances=("none",))
    for words in ("No room.", "No face.", "No face."):  # what may go better is tried again
        rows = summary.read(finish(run(spec, hooks, three, tmp_path, 0)))
        assert unpaired(rows) == [f"pgd: 1 other photos are not in pairings: {words}"]
        assert not len(pairings(rows))
        assert len(summary.rates(rows, "dodged"))
    html_report.write(tmp_path)
    assert "No face." in (tmp_path / "report.md").read_text()
    assert not (tmp_path / "pairings.csv").exists()


def test_pairings_need_two_photos_of_somebody(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "people" / "a.png")
    with pytest.raises(BadSettings, match="'people' has one of each"):
        finish(run(quick(faces), ENGINE_HOOKS, tmp_path, tmp_path / "run", 0))
    assert not (tmp_path / "run").exists()


def test_the_embeddings_of_a_result_are_read_once(tmp_path: Path) -> None:
    file = tmp_path / "result.npz"
    file.write_bytes(pack([{}], {"none/sface": np.ones(3), "jpeg-75/sface": np.ones(3)}))
    embeddings = kept_embeddings()
    first = embeddings(file)
    file.unlink()
    assert embeddings(file) is first
    assert set(first) == {"none/sface"}


def test_shares_and_ranks_agree_with_counting(tmp_path: Path) -> None:
    """Six people, of whom sface judges four; the other two are in the gallery as they were."""
    rng, store = np.random.default_rng(0), open_store(tmp_path)
    vectors = {
        name: (made := rng.normal(size=(6, 3))) / np.linalg.norm(made, axis=1, keepdims=True)
        for name in ("photo", "probe", "cloaked photo", "cloaked probe")
    }
    rows: list[dict[str, Any]] = []
    for index in range(6):
        photo, probe, ours, theirs = (vectors[name][index] for name in vectors)
        for method in ("identity", *(["a"] if index < 4 else [])):
            key = ResultKey(str(index), method, "all", "", 0)
            seen = photo if method == "identity" else ours
            kept = {"photo/sface": photo, "probe/sface": probe}
            store.write(str(key), {ROWS: pack([{}], kept | {"none/sface": seen})})
            if method == "a":
                store.write(str(replace(key, of_probe=True)), {ROWS: pack([{}], {"none/sface": theirs})})
            cosines = {"clean_probe": photo @ probe, "probe": seen @ probe, "clean_cloaked": photo @ theirs}
            both = ours @ theirs if method == "a" else np.nan
            about = {"identity": str(index), "method": method, "left_out": "all", "target": "", "seed": 0}
            asked = {"recognizer": "sface", "disturbance": "none", "threshold_far1": 0.0}
            rows.append(about | asked | cosines | {"cloaked_cloaked": both, "threshold_far01": 0.5})
    table = pairings(ranked(tmp_path, pd.DataFrame(rows))).set_index("pairing")
    assert set(table["recognizer"]) == {"sface"}
    for pairing in PAIRINGS:
        first, second = (
            f"cloaked {photo}" if side == "cloaked" else photo
            for photo, side in zip(("photo", "probe"), pairing.split("-"), strict=True)
        )
        gallery = np.concatenate([vectors[second][:4], vectors["probe"][4:]])
        cosines = vectors[first][:4] @ gallery.T
        own = np.diag(cosines)
        found = 1 + (cosines > own[:, None]).sum(1)
        row = table.loc[pairing]
        assert row["n"] == 4
        assert row["far1"] == np.mean(own <= 0)
        assert row["far01"] == np.mean(own <= 0.5)
        assert row["rank-1"] == np.mean(found == 1)
        assert row["rank-5"] == np.mean(found <= 5)
