"""Error rates and their intervals agree with independent implementations; overlaps are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from scipy.stats import binomtest, bootstrap
from skimage.data import astronaut
from sklearn.metrics import roc_curve
from typer.testing import CliRunner

from veil.core.errors import BadPhoto, BadSettings, UnknownName
from veil.core.progress import finish
from veil.core.types import Stage, Step, Steps
from veil.eval.bootstrap import Curve, Interval, draws_of, mean, rate
from veil.eval.calibration import Calibration, Measured, calibrate, made_of, overlap, thresholds
from veil.eval.datasets import album, balanced, labels, samples
from veil.ui.cli import app
from veil.weights.registry import card

FACES = Path(__file__).parents[2] / "shared" / "faces"


@pytest.fixture(scope="module")
def people() -> list[int]:
    return list(np.repeat(range(30), 3))


@pytest.fixture(scope="module")
def curve(people: list[int]) -> Curve:
    """Three noisy vectors for each of thirty people."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(30, 16)).repeat(3, 0) + rng.normal(size=(90, 16))
    return Curve(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), people)


def test_error_rates_agree_with_scikit_learn(curve: Curve) -> None:
    truth = np.r_[np.ones(len(curve.same)), np.zeros(len(curve.different))]
    false, true, _ = roc_curve(truth, np.r_[curve.same, curve.different], drop_intermediate=False)
    expected = brentq(lambda rate: 1 - rate - interp1d(false, true)(rate), 0, 1)
    assert curve.equal_error_rate() == pytest.approx(expected, abs=1e-9)
    for share in (0.1, 0.01):
        accepted = curve.accepted(curve.threshold(share))
        assert accepted == pytest.approx(true[false <= share].max(), abs=1 / len(curve.same) + 1e-9)


def test_pairs_are_counted_once(curve: Curve) -> None:
    assert len(curve.same) == 30 * 3
    assert len(curve.different) == 90 * 89 / 2 - 90


def test_weights_count_people_as_often_as_they_are_drawn(people: list[int]) -> None:
    """Drawing a person twice is having their photos twice, without pairing the copies."""
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(90, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    curve, drawn = Curve(vectors, people), draws_of(30, 1, seed=3)[0]
    own, total = curve.weigh(drawn)
    assert own.sum() == 3 * drawn.sum()
    copies = [(people[i], i, copy) for i in range(90) for copy in range(int(drawn[people[i]]))]
    different = sum(a[0] != b[0] for index, a in enumerate(copies) for b in copies[:index])
    assert total[-1] == different


def test_interval_agrees_with_scipy_where_everyone_has_one_value() -> None:
    values = np.random.default_rng(2).random(80)
    ours = mean(values, list(range(80)), draws=20_000)
    theirs = bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=0)
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.004)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.004)


def test_interval_draws_people_not_photos() -> None:
    """Ten photos that always agree are worth one."""
    each = np.random.default_rng(3).integers(0, 2, 40)
    alone = mean(each, list(range(40)))
    together = mean(each.repeat(10), list(np.repeat(range(40), 10)))
    assert together[:3] == pytest.approx(alone[:3])
    assert together.n == 400


def test_a_rate_of_nought_or_one_is_not_certain() -> None:
    """Wilson's interval, as scipy has it, for people rather than photos."""
    expected = binomtest(20, 20).proportion_ci(method="wilson")
    assert rate(np.ones(60), list(np.repeat(range(20), 3)))[:3] == pytest.approx((1, *expected), abs=1e-4)
    assert rate(np.zeros(20), range(20)).high == pytest.approx(1 - expected.low, abs=1e-4)


def test_mean_of_nothing_is_nan() -> None:
    assert np.isnan(mean([], []).value)


def test_drawn_rates_surround_the_measured_ones(curve: Curve) -> None:
    low, high = np.quantile(curve.drawn([0.1], 200), (0.025, 0.975), axis=0)
    for index, value in enumerate(
        (curve.equal_error_rate(), curve.accepted(curve.threshold(0.1)), curve.threshold(0.1))
    ):
        assert low[index] < value < high[index]


def test_thresholds_of_the_cards_are_those_of_the_calibration() -> None:
    for one in made_of().measured:
        assert {key: round(value.value, 4) for key, value in one.thresholds.items()} == thresholds(
            one.recognizer
        )


def test_paper_mode() -> None:
    assert thresholds("irse50", "paper")["far1"] == 0.241045
    assert thresholds("dlib") == card("dlib").thresholds
    with pytest.raises(UnknownName, match="dlib"):
        thresholds("dlib", "paper")
    with pytest.raises(BadSettings):
        thresholds("dlib", "guess")


def test_overlap_is_told() -> None:
    known = Calibration(
        dataset="a", people=("Ada Lovelace", "17"), photos=("0123456789abcdef",), without_face=0
    )
    assert overlap(known, ["Grace_Hopper", "17"], ["f" * 64]) == []
    (people,) = overlap(known, ["ada_lovelace"], [])
    assert "ada_lovelace" in people
    (photos,) = overlap(known, [], ["0123456789abcdef" + "0" * 48])
    assert photos.startswith("1 of the photos")


def test_datasets_are_read(tmp_path: Path) -> None:
    for name in ("ann/1.jpg", "ann/2.jpg", "bob/1.png", "bob/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    ann, bob = samples(tmp_path)
    assert (ann.identity, ann.photo.name, ann.probe) == ("ann", "1.jpg", tmp_path / "ann/2.jpg")
    assert bob.probe is None
    (tmp_path / "pairs.csv").write_text(
        "identity,protect,probe,doubtful_label\n7,ann/1.jpg,ann/2.jpg,0\n8,bob/1.png,bob/1.png,1\n"
    )
    assert [one.identity for one in samples(tmp_path)] == ["7"]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BadPhoto):
        samples(empty)


def test_labels_and_groups(tmp_path: Path) -> None:
    assert labels(Path("25_1_2_20170117.jpg.chip.jpg")) == {
        "gender": "female",
        "race": "asian",
        "age": "under 30",
    }
    assert labels(Path("photo.jpg")) == {}
    for age in 21, 22, 51:
        for group in ("0_0", "1_4"):
            (tmp_path / f"{age}_{group}_2017.jpg").touch()
    chosen = balanced(samples(tmp_path), 2)
    assert [one.labels["race"] for one in chosen].count("other") == 2
    assert [one.labels["age"] for one in chosen] == 2 * ["under 30"] + 2 * ["50 and over"]
    assert chosen[:2] == balanced(samples(tmp_path), 1)  # so that a benchmark may grow


def test_what_cannot_calibrate(tmp_path: Path) -> None:
    Image.fromarray(astronaut()[20:260, 100:340]).save(tmp_path / "a.png")
    with pytest.raises(BadSettings, match="cannot calibrate"):
        finish(calibrate(tmp_path, ["mobileface"]))


def test_a_folder_that_is_missing_is_not_an_empty_one(tmp_path: Path) -> None:
    for folder, words in ((tmp_path, "There are no photos"), (tmp_path / "none", "There is no folder")):
        with pytest.raises(BadPhoto, match=words):
            album(folder)


def test_linked_folders_of_people_are_people(tmp_path: Path) -> None:
    for name in ("all/ann/1.png", "all/ann/2.png", "all/bob/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    some = tmp_path / "some"
    some.mkdir()
    for name, target in (("ann", "all/ann"), ("bob", "all/bob"), ("again", "some"), ("bob too", "all/bob")):
        (some / name).symlink_to(tmp_path / target)
    found = [(one, path.relative_to(some).as_posix()) for one, path in album(some)]
    assert found == [("ann", "ann/1.png"), ("ann", "ann/2.png"), ("bob", "bob/1.png")]


@pytest.mark.parametrize(
    ("different", "weak"), [(316, "1 % (1,000), 0.1 % (10,000)"), (1000, "0.1 % (10,000)"), (10000, "")]
)
def test_thresholds_of_few_strangers_are_doubted(
    different: int, weak: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = Interval(0.5, 0.4, 0.6, 2)
    rates = dict.fromkeys(("far10", "far1", "far01"), value)
    one = Measured(
        recognizer="mobilefacenet", same=2, different=different, equal_error_rate=value,
        accepted=rates, thresholds=rates,
    )  # fmt: skip
    made = Calibration(dataset="d", people=("a",), photos=("b",), without_face=0, measured=(one,))

    def measured(*_: object) -> Steps[Calibration]:
        yield Step(Stage.MEASURING, 1, 1)
        return made

    monkeypatch.setattr("veil.eval.calibration.calibrate", measured)
    for options in ([], ["-q"], ["--json"]):
        done = CliRunner().invoke(app, ["calibrate", str(tmp_path), *options], env={"COLUMNS": "80"})
        assert done.exit_code == 0
        assert weak in done.stderr if weak else not done.stderr
        assert ("mobilefacenet" in done.stdout) == (options != ["-q"])


def test_no_recogniser_is_not_every_one(tmp_path: Path) -> None:
    for command, option in (("calibrate", "--recognizers"), ("assess", "--judges")):
        done = CliRunner().invoke(app, [command, str(tmp_path), option, ""])
        assert done.exit_code == 2
        assert f"{option} names none." in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not (FACES / "lfw").exists(), reason="needs ../shared/faces/lfw")
def test_the_command_measures_a_folder(tmp_path: Path) -> None:
    for folder in sorted((FACES / "lfw").iterdir())[:6]:
        (tmp_path / "few" / folder.name).mkdir(parents=True)
        for photo in sorted(folder.iterdir())[:2]:
            (tmp_path / "few" / folder.name / photo.name).symlink_to(photo)
    file = tmp_path / "few.json"
    options = ["--recognizers", "mobilefacenet,mobileface", "-o", str(file)]
    result = CliRunner().invoke(app, ["calibrate", str(tmp_path / "few"), *options], env={"COLUMNS": "140"})
    assert result.exit_code == 0, result.output
    assert "6 people, 12 photos" in result.stdout
    first, _ = Calibration.model_validate_json(file.read_text()).measured
    assert (first.recognizer, first.same, first.different) == ("mobilefacenet", 6, 60)
    assert overlap(made_of(), [p.name for p in (tmp_path / "few").iterdir()], [])
