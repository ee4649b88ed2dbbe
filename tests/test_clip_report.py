"""The judge of a clip's people: what machines say, what flickers, what is expressed, and its sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from veil.attacks.faces.tracking import follow
from veil.attacks.faces.tracks import MeshTrack
from veil.attacks.networks.blendshapes import NAMES
from veil.core.progress import finish
from veil.core.types import Step
from veil.core.video import open_clip
from veil.core.video_writing import rewrite
from veil.eval.behaviour import Aspect, Behaviour, Figure, Part
from veil.eval.behaviour.page import plain, sentence
from veil.eval.clip_report import _liveliest, judge  # pyright: ignore[reportPrivateUsage]
from veil.eval.tracks import TrackMatch
from veil.privacy.settings import settings
from veil.ui import clip_words
from veil.ui.clip_records import ClipFace, ClipReport
from veil.ui.limits import CLIP_LIMITS
from veil.ui.unreached import stronger

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
        "What is expressed of face 2: over 24 pictures, 1 of 3 figures are as encoding alone leaves them. "
        "The least is kept of where the eyes look: it goes with that before by 0.4 of 1 (0.9 after encoding "
        "alone)."
    )
    far = figure("error of the flow", 21.94, 5.81, better="lower", unit="% of the crop")
    assert sentence(behaviour(far)).endswith(
        "The least is kept of where the eyes look: it is off by 22 % of the crop (5.8 after encoding alone)."
    )
    fewer = figure("the same one", 80, 95, unit="% of frames")
    assert sentence(behaviour(fewer)).endswith("the same one: 80 % of frames (95 after encoding alone).")
    assert sentence(behaviour(kept)).endswith("1 of 1 figures are as encoding alone leaves them.")
    lost = behaviour(kept).model_copy(update={"read_after": 0.0})
    assert "can no longer be read" in sentence(lost)


def test_blendshapes_have_plain_names() -> None:
    assert plain("eyeLookInLeft") == "where the left eye looks"
    assert plain("mouthSmileRight") == "how the mouth smiles on the right"
    assert plain("mouthLeft") == plain("mouthClose") == "how the mouth moves"
    assert all(plain(name) for name in NAMES[1:])
    part = Part(name="eyeLookInLeft", value=0.71, control=0.94)
    least = figure("correlation, the least", 0.71, 0.93, weak=(part,))
    face = behaviour(least).model_copy(
        update={"aspects": (Aspect(name="blendshapes", independent=True, figures=(least,)),)}
    )
    words = (
        "The least is kept of where the left eye looks: it goes with that before by 0.71 of 1 (0.94 after "
        "encoding alone); that is one movement as a network names it: the irises, read apart, {}."
    )
    assert sentence(face).endswith(words.format("hardly move in these pictures"))
    still = figure("correlation, up and down", 0, 0).model_copy(update={"value": None})
    gaze = behaviour(figure("correlation, sideways", 0.98, 0.99), still).aspects
    both = face.model_copy(update={"aspects": (*face.aspects, *gaze)})
    assert sentence(both).endswith(words.format("go with those before by 0.98 of 1 sideways"))
    largest = figure("error, the largest", 0.2, 0.1, better="lower", unit="of 1", weak=(part,))
    same = figure("the same one", 100, 100, unit="%")
    one = face.model_copy(
        update={
            "frames": 1,
            "aspects": (
                Aspect(name="blendshapes", independent=True, figures=(largest,)),
                Aspect(name="emotion", independent=False, figures=(same,)),
            ),
        }
    )
    assert "where the left eye looks differs most, by 0.71 of 1 (by 0.94 after encoding alone)" in sentence(
        one, coding="encoding"
    )


def matched(name: str, used: str, after: float, best: float, mean: float, before: float = 1) -> TrackMatch:
    return TrackMatch.model_validate(
        {
            **{"recognizer": name, "used_by_attack": used, "threshold": 0.907},
            **{"before": before, "after": after, "best": best, "mean": mean},
        }
    )


def report(*matches: TrackMatch, **changes: Any) -> ClipReport:
    face = ClipFace(number=1, shown=((0.0, 1.0),), pixels=80, matches=matches, **changes)
    return ClipReport(size=(64, 64), seconds=1, pictures=30, faces=(face,))


def test_a_clips_verdict_agrees_with_its_figures() -> None:
    """At rounding equality, where only the mean gives away, and where nobody was known before."""
    said = report(
        matched("dlib", "yes", 0.0, 0.9069, 0.9071),
        matched("a", "yes", 0.0, 0.5, 0.4),
        matched("b", "no", 0.25, 0.95, 0.4),
        matched("c", "no", 0.0, 0.5, 0.4, before=0),
    )
    rows = clip_words.match_rows(said)
    assert [row[-1] for row in rows] == ["by all", "no longer", "yes", "not before"]
    assert "By all: no picture alone" in clip_words.legend(said)[1]
    assert rows[0][3:-1] == ("100%", "0%", "0.9069", "0.9071", "0.9070")
    assert rows[1][5:-1] == ("0.500", "0.400", "0.907")
    assert clip_words.headline(said).endswith(
        "2 of 3 still recognise you; the one that the protection has never met still recognises you."
    )
    assert clip_words.headline(report(*(matched(name, "yes", 0.0, 0.5, 0.4) for name in "ab"))).endswith(
        "Machines: none of 2 recognises you any longer, neither by one picture nor by all together. No "
        "honest judge is left: every recogniser, or a relative of it, was used."
    )


@pytest.mark.parametrize(
    ("after", "mean", "words"),
    [
        (1.0, 0.95, "the one recogniser that was used still knows the person, in every picture"),
        (0.25, 0.95, "still knows the person, in 25% of the pictures"),
        (0.0, 0.95, "still knows the person, only by all pictures together"),
        (0.0, 0.1, "may still know the person in other pictures"),
    ],
)
def test_who_was_used_and_still_knows_is_counted(after: float, mean: float, words: str) -> None:
    said = report(matched("dlib", "yes", after, 0.95, mean), matched("sface", "no", 1, 1, 1), margin=-0.5)
    assert any(words in sentence for sentence in clip_words.remarks(said))


def test_all_who_were_used_and_still_know_are_called_all() -> None:
    said = report(*(matched(name, "yes", 0.5, 0.95, 0.95) for name in "abc"), matched("d", "no", 1, 1, 1))
    assert clip_words.still_known(said.faces) == [
        "Face 1: all 3 recognisers that were used still know the person, at least one of them in 50% of the "
        "pictures that were looked at."
    ]
    assert clip_words.headline(said).endswith("Machines: all 4 still recognise you.")


def test_both_halves_of_the_promise_are_told_of_clips() -> None:
    honest = matched("sface", "no", 0.0, 0.1, 0.1)
    assert clip_words.headline(report(honest, likeness=0.98)).startswith(
        "People: looks like you (likeness 0.980 in the mean of some pictures; a vision-language model took "
        "half of the pictures at 0.973 for the same person, at 0.927 for a sibling). Machines: "
    )
    assert "may look like a relative" in clip_words.headline(report(honest, likeness=0.95))
    assert "may look like somebody else" in clip_words.headline(report(honest, likeness=0.9))
    assert "not measured; compare both clips yourself" in clip_words.headline(report(honest))
    other = report(honest).model_copy(update={"other_photo": True})
    assert "similarities (cosines) to another photo of the person" in clip_words.legend(other)[0]
    assert "photo" not in clip_words.legend(report(honest))[0] + CLIP_LIMITS


def test_a_strength_that_hides_more_is_named_where_there_is_one() -> None:
    assert "The strength strong hides you" in stronger(settings("balanced"))
    assert stronger(settings("strong")) == stronger(settings("paper")) == ""


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
    assert (same.likeness or 0) > 0.97 > (other.likeness or 0)
    assert (same.naturalness or 0) > (other.naturalness or 0) > 0
    assert (same.flicker.ratio or 0) < 1.2
    assert (other.flicker.ratio or 0) > 2
    assert same.behaviour.frames == 12
    moved, seldom = (one.behaviour.figure("scene", "brightness moved") for one in (other, same))
    assert moved
    assert seldom
    assert (moved.value or 0) > 20 > 5 * (seldom.value or 0)
    assert (steps[-1].done, steps[-1].total) == (37, 37)
