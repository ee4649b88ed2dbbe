"""The judge of a clip's people: what machines say, what flickers, what is expressed, and its sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from veil.attacks.faces.tracking import follow
from veil.attacks.faces.tracks import MeshTrack
from veil.core.progress import finish
from veil.core.types import Step
from veil.core.video import open_clip
from veil.core.video_writing import rewrite
from veil.eval.behaviour import Aspect, Behaviour, Figure, Part
from veil.eval.behaviour.page import sentence
from veil.eval.clip_report import _liveliest, judge  # pyright: ignore[reportPrivateUsage]
from veil.ui import clip_words
from veil.ui.clip_records import ClipFace

pytest.importorskip("av")


def figure(name: str, value: float, control: float, **more: Any) -> Figure:
    return Figure(name=name, value=value, control=control, **{"unit": "", "better": "higher", **more})


def behaviour(*figures: Figure) -> Behaviour:
    return Behaviour(
        frames=24,
        read=1,
        read_after=1,
        read_control=1,
        aspects=(Aspect(name="gaze", independent=True, figures=figures),),
    )


def test_what_is_kept_the_least_is_named_in_a_sentence() -> None:
    kept = figure("correlation, sideways", 0.98, 0.99)
    slight = figure("error", 0.03, 0.01, better="lower", unit="of 1")
    worst = figure("correlation, up and down", 0.4, 0.9, weak=(Part(name="left", value=0.4, control=0.9),))
    said = sentence(behaviour(kept, slight, worst), " of face 2")
    assert said == (
        "What is expressed of face 2: over 24 pictures, 1 of 3 figures are as encoding alone leaves them; "
        "kept the least: gaze, correlation, up and down, left: 0.4 (only encoded again: 0.9)."
    )
    assert sentence(behaviour(kept)).endswith("1 of 1 figures are as encoding alone leaves them.")
    lost = behaviour(kept).model_copy(update={"read_after": 0.0})
    assert "can no longer be read" in sentence(lost)


def test_a_clips_words_say_what_is_expressed_and_what_flickers() -> None:
    face = ClipFace(number=1, shown=((0.0, 1.0),), pixels=80, behaviour=behaviour(figure("a", 1, 1)))
    assert len(clip_words.expressed([face])) == 1
    flickering = ClipFace.model_validate(
        {
            **face.model_dump(),
            "number": 2,
            "flicker": {"own": 2.0, "after": 2.2, "change": 1.0, "movement": 0.1},
        }
    )
    said = clip_words.expressed([face, flickering])
    assert said[-1] == "Flicker of face 2: 1.10 times what the clip itself has there."
    assert clip_words.expressed([ClipFace(number=1, shown=(), pixels=20, left="too small")]) == []


def test_pictures_are_read_where_a_face_moves_most() -> None:
    points = np.repeat(np.random.default_rng(0).normal(0, 10, (1, 468, 2)), 40, 0).astype(np.float32)
    points[20:26, :100, 1] += 8 * (np.arange(6) % 2)[:, None]  # the face does something
    track = MeshTrack(1, 0, np.arange(40), points, np.arange(40) != 35)
    (_, first, moved), (_, second, _) = _liveliest(track, 10)
    assert {20, 25} <= {*first}
    assert len(first) == 10
    assert moved > 0
    assert second == range(36, 40)
    whole = list(_liveliest(replace(track, seen=np.ones(40, bool)), 100))
    assert [one[1] for one in whole] == [range(40)]


@pytest.mark.slow
def test_a_clip_is_judged_person_by_person(film: Any, tmp_path: Path) -> None:
    before = open_clip(film(tmp_path / "a.mp4"))

    def darker() -> Any:
        for number, pixels in before.frames():
            yield number, (pixels // 4 + 40 * (number % 2)).astype(np.uint8)

    tracks = finish(follow(before.frames(), before.count))
    for name, frames in (("same.mp4", before.frames()), ("other.mp4", darker())):
        rewrite(before, tmp_path / name, frames)
    steps: list[Step] = []
    same, other = (
        finish(
            judge(before, open_clip(tmp_path / name), tracks, ("sface",), frozenset({"dlib"})), steps.append
        )[1]
        for name in ("same.mp4", "other.mp4")
    )
    (kept,), (left,) = same.matches, other.matches
    assert (kept.after, kept.used_by_attack) == (1.0, "no")
    assert left.best < kept.best
    assert (same.flicker.ratio or 0) < 1.2
    assert (other.flicker.ratio or 0) > 2
    assert same.behaviour.frames == 12
    moved, seldom = (one.behaviour.figure("scene", "brightness moved") for one in (other, same))
    assert moved
    assert seldom
    assert (moved.value or 0) > 20 > 5 * (seldom.value or 0)
    assert (steps[-1].done, steps[-1].total) == (37, 37)
