"""Galleries: strangers fill them, rates agree with counting, and what is extrapolated with what is known."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import norm
from skimage.data import astronaut

from veil.attacks.faces.detection import find_faces
from veil.core.errors import BadPhoto, BadSettings
from veil.core.progress import finish
from veil.core.types import Array, Photo
from veil.eval.behaviour.head import angles
from veil.eval.behaviour.reading import read as read_behaviour
from veil.eval.benchmark import PICTURE, ROWS, ResultKey, Spec, open_store, read, read_distractors, run
from veil.eval.benchmark.distractors import gather
from veil.eval.benchmark.results import pack
from veil.eval.galleries import SIZES, chance_of_stranger, extrapolated, galleries
from veil.privacy.sampling import made_up
from veil.privacy.turning import turned
from veil.ui.engine_hooks import ENGINE_HOOKS

pytestmark = pytest.mark.usefixtures("one_thread")
COUNT = 640


def unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def spec(faces: Path, *distractors: str) -> Spec:
    return read(faces / "six.toml").model_copy(update={"distractors": distractors})


# --- who fills a gallery ----------------------------------------------------------------------------------


def test_distractors_are_seen_once_and_who_is_none_is_counted(faces: Path, tmp_path: Path) -> None:
    shutil.copytree(faces / "people" / "person-0", tmp_path / "few" / "somebody-else")
    Image.new("RGB", (64, 64)).save(tmp_path / "few" / "blank.png")
    (tmp_path / "few" / "broken.png").write_bytes(b"no picture")
    hooks = replace(ENGINE_HOOKS, make_person=lambda seed: Photo(astronaut(), str(seed)))
    benchmark = spec(faces, "few", "prior:2")
    counts = finish(gather(benchmark, hooks, tmp_path, tmp_path / "run", 0))
    assert counts == {
        "few": {"used": 1, "NoFace": 1, "BadPhoto": 1},
        "prior:2": {"used": 1, "looks like another": 1},
    }
    known = read_distractors(tmp_path / "run")
    assert known
    assert known.people == ("few/somebody-else", "prior/00000")
    assert known.vectors.keys() == {*benchmark.judges}
    for vectors in known.vectors.values():
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1)
    assert (tmp_path / "run" / "distractors" / f"prior/00000{PICTURE}").exists()

    def fail(seed: int) -> Photo:
        raise AssertionError(seed)

    again = gather(benchmark, replace(hooks, make_person=fail), tmp_path, tmp_path / "run", 0)
    assert finish(again) == counts


def test_distractors_without_a_face_are_an_error(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "blank").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "blank" / "a.png")
    with pytest.raises(BadSettings, match="No distractor shows a face"):
        finish(gather(spec(faces, "blank"), ENGINE_HOOKS, tmp_path, tmp_path / "run", 0))


@pytest.mark.parametrize("name", ["prior:0", "prior:many", "a b", ""])
def test_names_of_distractors_are_checked(faces: Path, tmp_path: Path, name: str) -> None:
    file = tmp_path / "benchmark.toml"
    file.write_text(f'distractors = ["{name}"]\n' + (faces / "six.toml").read_text())
    with pytest.raises(BadSettings, match="distractors"):
        read(file)


@pytest.mark.parametrize(
    ("names", "pairings", "words"),
    [
        (["nowhere"], True, "no dataset 'nowhere'"),
        (["prior"], True, "does not say how many people"),
        (["prior:2"], False, "pairings"),
    ],
)
def test_distractors_are_checked_before_the_work(
    faces: Path, tmp_path: Path, names: list[str], pairings: bool, words: str
) -> None:
    asked = spec(faces, *names).model_copy(update={"pairings": pairings})
    with pytest.raises((BadPhoto, BadSettings), match=words):
        next(run(asked, ENGINE_HOOKS, faces, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_nobody_who_is_made_up_counts_twice(faces: Path, tmp_path: Path) -> None:
    people = [np.roll(astronaut(), 20 * seed, 1) for seed in range(2)]
    people[1] = people[1][:, ::-1].copy()
    hooks = replace(ENGINE_HOOKS, make_person=lambda seed: Photo(people[seed], str(seed)))
    finish(gather(spec(faces, "prior:1", "prior:2"), hooks, tmp_path, tmp_path / "run", 0))
    known = read_distractors(tmp_path / "run")
    assert known
    assert known.people == ("prior/00000", "prior/00001")


def test_made_up_people_have_faces_and_differ_by_seed() -> None:
    one, other = (made_up(seed) for seed in (0, 1))
    for photo in one, other:
        assert len(find_faces(photo.pixels)) == 1
    np.testing.assert_array_equal(made_up(0).pixels, one.pixels)
    assert np.abs(one.pixels.astype(float) - other.pixels).mean() > 10


@pytest.mark.parametrize(("turn", "nod"), [(15, 0), (-15, 0), (0, 12), (0, -12)])
def test_a_head_is_turned_and_bowed(turn: float, nod: float) -> None:
    portrait = astronaut()[20:260, 100:340]
    before, after = (
        angles(finish(read_behaviour([pixels], np.zeros(1))))[0]
        for pixels in (portrait, turned(portrait, turn, nod))
    )
    moved = after - before
    assert moved[:2] == pytest.approx([turn, nod], abs=4)
    assert abs(moved[2]) < 2
    assert np.abs(turned(portrait, 0, 0).astype(float) - portrait).mean() < 0.1
    nobody = np.zeros((64, 64, 3), np.uint8)
    assert turned(nobody, turn, nod) is nobody


# --- how often people are found ---------------------------------------------------------------------------


def finished(folder: Path, people: int = 8) -> tuple[pd.DataFrame, dict[str, Array]]:
    """Rows of a run whose people sface and dlib judge, with distractors, one of whom is one of them."""
    rng, store = np.random.default_rng(0), open_store(folder)
    vectors = {"photo": rng.normal(size=(people, 8))}
    for name in ("probe", "cloaked photo", "cloaked probe"):
        vectors[name] = vectors["photo"] + 0.7 * rng.normal(size=(people, 8))
    vectors = {name: unit(one) for name, one in vectors.items()}
    vectors["strangers"] = unit(rng.normal(size=(COUNT, 8)))
    vectors["strangers"][0] = vectors["photo"][0]
    rows: list[dict[str, Any]] = []
    for index in range(people):
        judge = "sface" if index % 2 else "dlib"
        photo, probe, ours, theirs = (vectors[name][index] for name in [*vectors][:4])
        key = ResultKey(str(index), "a", judge, "", 0)
        seen = {f"photo/{judge}": photo, f"probe/{judge}": probe, f"none/{judge}": ours}
        store.write(str(key), {ROWS: pack([{}], seen)})
        store.write(str(replace(key, of_probe=True)), {ROWS: pack([{}], {f"none/{judge}": theirs})})
        about = {"identity": str(index), "method": "a", "left_out": judge, "target": "", "seed": 0}
        cosines = {"probe": ours @ probe, "cloaked_cloaked": ours @ theirs}
        rows.append(about | cosines | {"recognizer": judge, "disturbance": "none"})
    names = np.array(["people/0", *(f"other/{index}" for index in range(1, COUNT))])
    np.savez(folder / "distractors.npz", people=names, sface=vectors["strangers"], dlib=vectors["strangers"])
    return pd.DataFrame(rows), vectors


def test_rates_agree_with_counting(tmp_path: Path) -> None:
    rows, vectors = finished(tmp_path)
    found = galleries(tmp_path, rows, "people")
    table = found["galleries"].set_index(["pairing", "recognizer", "size"])
    assert set(found["galleries"]["n"]) == {4, 8}
    for pairing, (first, second) in {
        "clean-clean": ("photo", "probe"),
        "cloaked-clean": ("cloaked photo", "probe"),
        "clean-cloaked": ("photo", "cloaked probe"),
        "cloaked-cloaked": ("cloaked photo", "cloaked probe"),
    }.items():
        own = (vectors[first] * vectors[second]).sum(1)
        others = vectors[first] @ vectors["strangers"].T
        others[0, 0] = -1  # the first of the people is the first of the distractors, too
        above = (others > own[:, None]).sum(1)
        row = table.loc[pairing, "all", COUNT]
        assert row["fitted"] == 0
        assert row["rank-1"] == pytest.approx((above == 0).mean())
        assert row["rank-5"] == pytest.approx((above < 5).mean())
        rng = np.random.default_rng(1)
        drawn = [others[:, rng.permutation(COUNT)[: SIZES[0]]] > own[:, None] for _ in range(400)]
        for rank in (1, 5):
            counted = np.mean([some.sum(1) < rank for some in drawn])
            assert table.loc[pairing, "all", SIZES[0]][f"rank-{rank}"] == pytest.approx(counted, abs=0.02)
        for size in (10**4, 10**5, 10**6):
            row = table.loc[pairing, "all", size]
            assert row["fitted"] == COUNT
            assert 0 <= row["rank-1 low"] <= row["rank-1"] <= row["rank-1 high"] <= 1
            assert row["rank-1"] <= row["rank-5"]
        means = table.xs((pairing, 10**6), level=("pairing", "size"))["rank-1"]
        assert means["all"] == pytest.approx(means[["sface", "dlib"]].mean())
    checked = found["extrapolation"]
    assert set(checked["size"]) == {COUNT - 300}
    np.testing.assert_array_less(abs(checked["predicted"] - checked["measured"]), checked["error"] + 1e-9)
    assert checked.loc[checked["recognizer"] == "all", "error"].max() < 0.15


def test_a_run_without_distractors_has_no_galleries(tmp_path: Path) -> None:
    rows, _ = finished(tmp_path)
    (tmp_path / "distractors.npz").unlink()
    assert galleries(tmp_path, rows, "people") == {}


def test_a_gallery_of_all_sizes_is_the_mean_over_all_draws() -> None:
    from veil.eval.galleries import Search, measured

    scores = np.array([[0.1, 0.5, 0.3, 0.9, 0.2], [0.1, 0.2, 0.3, 0.4, 0.5]])
    search = Search(("a", "b"), np.array([0.4, 0.6]), scores)
    for size in range(1, 6):
        draws = [list(some) for some in combinations(range(5), size)]
        for rank in (1, 2):
            counted = [(scores[:, some] > search.own[:, None]).sum(1) < rank for some in draws]
            np.testing.assert_allclose(measured(search, size, rank), np.mean(counted, 0))


def test_the_tail_is_that_of_scores_whose_distribution_is_known() -> None:
    """Means and spreads differ from person to person; the shape does not."""
    rng = np.random.default_rng(0)
    spreads = np.linspace(0.05, 0.2, 40)
    scores = 0.1 + spreads[:, None] * rng.normal(size=(40, 2000))
    for level, within in ((1e-2, 1.1), (1e-4, 3.0)):
        chances = chance_of_stranger(0.1 + spreads * norm.isf(level), scores)
        assert level / within < np.exp(np.log(chances.clip(1e-9)).mean()) < level * within
    normal_alone = np.full(40, 1e-4)
    np.testing.assert_allclose(extrapolated(normal_alone, 10**4, 1), np.exp(-1), rtol=1e-3)


def test_where_many_strangers_score_higher_they_are_counted() -> None:
    scores = np.random.default_rng(0).normal(size=(3, 500))
    own = np.quantile(scores, 0.5, axis=1)
    np.testing.assert_allclose(chance_of_stranger(own, scores), 0.5)


def test_an_interval_holds_its_rate_however_many_people_there_are() -> None:
    from veil.eval.galleries import _stated  # pyright: ignore[reportPrivateUsage]

    for count, share in ((20, 0.004), (2000, 0.004), (2000, 0.996)):
        stated = _stated(np.full((1, count), share), [str(number) for number in range(count)])
        assert stated.low <= stated.value <= stated.high
        assert stated.low < stated.high
