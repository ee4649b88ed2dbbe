"""Benchmarks of clips: encodings, parts, rows that go on where they were stopped, and what they come to."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from veil.attacks.faces.tracks import Tracks
from veil.core.errors import BadClip, BadSettings, UnknownName
from veil.core.progress import finish
from veil.core.types import Pixels
from veil.core.video import open_clip
from veil.eval import clip_benchmark
from veil.eval.benchmark import EngineHooks
from veil.eval.clip_benchmark import ClipSpec, is_of_clips, tables
from veil.eval.clip_benchmark.part import part_of
from veil.eval.clip_benchmark.runner import check, clips_of, plan
from veil.eval.disturbances.clip_codec import Encoding, clip_coded
from veil.eval.sound import sound_of
from veil.ui.engine_hooks import ENGINE_HOOKS

pytest.importorskip("av")
pytestmark = pytest.mark.usefixtures("one_thread")
ROOT = Path(__file__).parents[1]
RATE = Fraction(30)
METHODS: Any = [{"name": "balanced"}, {"name": "strong", "preset": "strong"}]


def spec_of(**changes: Any) -> ClipSpec:
    return ClipSpec.model_validate(
        {"title": "t", "clips": ".", "judges": ["dlib", "sface"], "methods": METHODS, **changes}
    )


def pictures(wide: int, high: int, count: int = 6) -> list[Pixels]:
    """Soft patterns that move."""
    rows, columns = np.mgrid[:high, :wide]
    return [
        np.stack(
            [127 + 100 * np.sin((columns + shift) / 9 + phase) * np.cos(rows / 7) for phase in range(3)], 2
        )
        .round()
        .astype(np.uint8)
        for shift in range(count)
    ]


def error(before: list[Pixels], after: list[Pixels]) -> float:
    return float(np.mean([np.square(a.astype(float) - b).mean() for a, b in zip(before, after, strict=True)]))


def test_an_encoding_keeps_number_and_size_and_loses_more_at_a_higher_factor() -> None:
    before = pictures(97, 61)
    fine, coarse = (list(clip_coded(before, RATE, Encoding(crf))) for crf in (18, 45))
    assert {pixels.shape for pixels in (*fine, *coarse)} == {(61, 97, 3)}
    assert 0 < error(before, fine) < error(before, coarse) / 2
    assert list(clip_coded([], RATE, Encoding())) == []


def test_a_platform_makes_large_pictures_smaller() -> None:
    small = list(clip_coded(pictures(200, 101, 3), RATE, Encoding(28, longest=100, group=60)))
    assert [pixels.shape for pixels in small] == [(50, 100, 3)] * 3
    exact = pictures(100, 50, 3)
    assert error([one[::2, ::2][:50] for one in pictures(200, 101, 3)], small) < 400
    assert [one.shape for one in clip_coded(exact, RATE, Encoding(28, longest=100))] == [(50, 100, 3)] * 3


@pytest.mark.parametrize("codec", ["hevc", "vp9", "av1"])
def test_every_codec_that_veil_writes_can_be_a_control(codec: str) -> None:
    before = pictures(96, 64)
    assert error(before, list(clip_coded(before, RATE, Encoding(codec=codec)))) < 60


def test_the_sound_of_a_part(film: Any, tmp_path: Path) -> None:
    samples, rate = sound_of(film(tmp_path / "a.mp4", sound=0.0), 0.1, 0.3) or ([], 0)
    assert len(samples) == 0.2 * rate
    assert np.std(samples) > 0.2
    late, rate = sound_of(film(tmp_path / "b.mp4", sound=0.2), 0.0, 0.4) or ([], 0)
    assert np.abs(late[: int(0.15 * rate)]).max() < 0.01
    assert np.std(late[int(0.25 * rate) :]) > 0.2
    assert sound_of(film(tmp_path / "c.mp4"), 0.0, 0.4) is None


def test_the_file_of_the_repository_can_be_run() -> None:
    path = ROOT / "benchmarks" / "video.toml"
    assert is_of_clips(path)
    assert not is_of_clips(ROOT / "benchmarks" / "methods.toml")
    assert not is_of_clips(ROOT / "benchmarks" / "none.toml")
    check(clip_benchmark.read(path).model_copy(update={"measures": ()}), ENGINE_HOOKS)


def test_judges_are_left_out_in_turn_or_each(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mov", "c.webm", "notes.txt"):
        (tmp_path / name).touch()
    spec = spec_of(start={"b": 2.0}, others={"a": "b.mp4"})
    files = clips_of(spec, tmp_path)
    assert [path.name for path in files] == ["a.mov", "b.mp4", "c.webm"]
    tasks = list(plan(spec, ENGINE_HOOKS, files, tmp_path))
    assert [task.key for task in tasks] == [
        *("balanced/a-dlib", "strong/a-dlib", "balanced/b-sface"),
        *("strong/b-sface", "balanced/c-dlib", "strong/c-dlib"),
    ]
    assert tasks[0].other == tmp_path / "b.mp4"
    assert (tasks[2].start, tasks[2].other, tasks[2].unseen) == (2.0, None, ("sface",))
    assert "sface" not in tasks[2].values["surrogates"]
    assert "dlib" in tasks[2].values["surrogates"]
    each = list(plan(spec_of(leave_out="each"), ENGINE_HOOKS, files[:1], tmp_path))
    assert [task.left_out for task in each] == ["dlib", "sface"] * 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encodings": ["none", "crf-99"]}, "no encoding called 'crf-99'"),
        ({"encodings": ["crf-28"]}, "compared with none"),
        ({"judges": ["nobody"]}, "no recogniser called"),
        ({"measures": ["beauty"]}, "no metric called"),
        ({"methods": [{"name": "a", "method": "pgd"}]}, "cannot be tried on clips"),
        ({"methods": [{"name": "a"}, {"name": "a"}]}, "one name"),
        ({"methods": [{"name": "a", "preset": "loud"}]}, "no strength"),
    ],
)
def test_what_cannot_be_done_is_told(changes: dict[str, Any], words: str) -> None:
    with pytest.raises((BadSettings, UnknownName), match=words):
        check(spec_of(**changes), ENGINE_HOOKS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clips": "nowhere"}, "There are no clips"),
        ({"clips": ["a.mp4", "gone.mp4"]}, "There is no clip gone.mp4"),
        ({"start": {"z": 1.0}}, r"\[start\] names 'z'"),
        ({"clips": ["a.mp4", "a.mov"]}, "one name"),
        ({"others": {"a": "gone.mp4"}}, "There is no clip gone.mp4"),
    ],
)
def test_clips_that_are_not_there_are_told(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mov"):
        (tmp_path / name).touch()
    with pytest.raises(BadSettings, match=words):
        clips_of(spec_of(**{"clips": ["a.mp4"], **changes}), tmp_path)


@dataclass
class Engine:
    """A stand-in for the engine, which makes faces darker."""

    found: int = 0

    def __call__(
        self,
        frames_of: Callable[[Collection[int]], Iterator[tuple[int, Pixels]]],
        tracks: Tracks,
        values: Mapping[str, Any],
    ) -> tuple[Callable[[Pixels, int], Pixels], float]:
        self.found += 1
        (track,) = tracks.tracks
        assert [number for number, _ in frames_of({3, 1})] == [1, 3]

        def draw(pixels: Pixels, number: int) -> Pixels:
            face = track.face(number)
            assert face
            left, top, right, bottom = face.box.round().astype(int).clip(0)
            result = pixels.copy()
            result[top:bottom, left:right] //= 2
            return result

        return draw, -1.5


@pytest.mark.slow
def test_a_run_goes_on_and_one_bad_clip_does_not_end_it(film: Any, tmp_path: Path) -> None:
    clips, folder, engine = tmp_path / "clips", tmp_path / "run", Engine()
    clips.mkdir()
    film(clips / "a.mp4", sound=0.0)
    (clips / "b.mp4").write_bytes(b"no clip")
    hooks: EngineHooks = replace(ENGINE_HOOKS, protect_clip=engine)
    spec = spec_of(
        methods=METHODS[:1],
        encodings=["none", "crf-35"],
        pictures=4,
        measured=1,
        seconds=0.3,
        others={"a": "a.mp4"},
    )
    report, _ = finish(clip_benchmark.run(spec, hooks, clips, folder, 0))
    assert engine.found == 1
    matches = pd.read_csv(folder / "matches.csv")
    assert len(matches) == 2 * 2 * 2  # encodings, recognisers, and with what they compare
    assert set(matches["used_by_attack"]) == {"no", "yes"}
    made = pd.read_csv(folder / "clips.csv").set_index("clip")
    assert made.loc["a", "frames"] == 9
    assert made.loc["a", "worst_margin"] == -1.5
    assert made.loc["a", "face_psnr"] < 25
    assert made.loc["a", "flicker_change"] > 0
    assert "no video" in made.loc["b", "error"]
    behaviour = pd.read_csv(folder / "behaviour.csv")
    assert {"blendshapes", "mouth", "scene"} <= set(behaviour["aspect"])
    assert behaviour["control"].notna().any()
    words = report.read_text()
    assert "**Warning:** b.mp4 is no video" in words
    assert "No clip has another" not in words
    video = open_clip(folder / "clips" / "balanced" / "a-dlib.mkv")
    assert (video.count, video.size) == (9, (384, 192))
    ((_, first),) = video.frames(0, 1)
    ((_, clean),) = open_clip(clips / "a.mp4").frames(0, 1)
    assert np.array_equal(first[:, :192], clean)

    finish(clip_benchmark.run(spec, hooks, clips, folder, 0))
    assert engine.found == 1
    with pytest.raises(BadSettings, match="another benchmark"):
        finish(clip_benchmark.run(spec.model_copy(update={"seconds": 0.2}), hooks, clips, folder, 0))
    film(clips / "a.mp4", times=tuple(range(0, 13 * 512, 512)))
    with pytest.raises(BadSettings, match="other photos"):
        finish(clip_benchmark.run(spec, hooks, clips, folder, 0))


def test_a_part_after_the_end_of_a_clip_is_told(film: Any, tmp_path: Path) -> None:
    with pytest.raises(BadClip, match=r"a\.mp4 shows no picture from 9\.5 s on"):
        part_of(film(tmp_path / "a.mp4"), 9.5, 1.0)


def test_what_is_said_of_recognisers_is_what_was_done() -> None:
    rows = {"clips": pd.DataFrame({"clip": ["a"], "error": [""]})}
    assert "Each of dlib, sface is left out of the attack in turn" in tables.about(spec_of(), rows)
    fixed = tables.about(spec_of(surrogates=["faceres"]), rows)
    assert "faceres are attacked, and dlib, sface are asked" in fixed
    assert "left out" not in fixed


def match_rows() -> pd.DataFrame:
    """Two clips, two recognisers: `dlib` knows one person in half of the pictures, `sface` nobody."""
    about = {"method": "balanced", "left_out": "all", "against": tables.SAME, "before": 1.0}
    rows = [
        {**about, "clip": clip, "recognizer": name, "used_by_attack": used, "encoding": encoding}
        | {"after": after + more, "best_matched": after > 0, "mean_matched": False}
        for encoding, more in (("none", 0.0), ("crf-28", 0.1))
        for clip, name, used, after in (
            ("a", "dlib", "no", 0.5),
            ("b", "dlib", "no", 0.0),
            ("a", "sface", "no", 0.0),
            ("b", "sface", "no", 0.0),
            ("a", "faceres", "yes", 1.0),
        )
    ]
    return pd.DataFrame(rows)


def test_rows_come_to_rates_over_clips() -> None:
    none, encoded = tables.headline(match_rows()).to_dict("records")
    assert none["rejected"] == 0.75
    assert none["matched"] == 0.125
    assert (none["worst"], none["worst rejected"], none["clips"]) == ("dlib", 0.5, 2)
    assert (none["cost"], none["rejected by the mean"]) == (0, 1)
    assert encoded["cost"] == pytest.approx(0.1)
    every = tables.rates(match_rows())
    assert set(every["recognizer"]) == {"dlib", "sface", "all"}


def test_figures_of_behaviour_come_to_means_and_shares() -> None:
    about = {"method": "balanced", "aspect": "gaze", "unit": ""}
    rows = [
        {**about, "name": "correlation", "value": 0.8, "control": 0.9, "kept": False},
        {**about, "name": "correlation", "value": 1.0, "control": 0.9, "kept": True},
        {**about, "name": "error", "value": None, "control": None, "kept": None},
    ]
    first, last = tables.expressed(pd.DataFrame(rows)).to_dict("records")
    assert (first["value"], first["control"], first["kept"], first["n"]) == (pytest.approx(0.9), 0.9, 0.5, 2)
    assert last["n"] == 0
    assert tables.as_text(tables.expressed(pd.DataFrame(rows)))[1][-4:-1] == ["0.900", "0.900", "50.0"]


def test_a_run_without_a_single_result_still_says_why(tmp_path: Path) -> None:
    row = {
        "clip": "a",
        "method": "balanced",
        "left_out": "dlib",
        "error": "a.mp4 is damaged.",
        "passing": False,
    }
    report, _ = tables.write(tmp_path, spec_of(), [{"clips": [row]}])
    assert "a.mp4 is damaged. (a)" in report.read_text()
    assert json.loads(report.read_text().partition("```json")[2].partition("```")[0])["title"] == "t"
