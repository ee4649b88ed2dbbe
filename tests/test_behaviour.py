"""The judge of behaviour: known motions give known figures, and what is left alone is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.data import astronaut

from veil.attacks.faces.detection import largest_face
from veil.attacks.faces.hands import over_face
from veil.attacks.networks.blendshapes import NAMES
from veil.core.errors import BadPhoto, BadSettings
from veil.core.progress import finish
from veil.core.types import Array, Face, Pixels
from veil.eval.behaviour import BEHAVIOURS, Behaviour, compare, compare_photos
from veil.eval.behaviour.comparison import judged, loudness
from veil.eval.behaviour.head import angles
from veil.eval.behaviour.page import COLUMNS, html, kept, rows
from veil.eval.behaviour.reading import Reading, read
from veil.eval.disturbances.codec import coded
from veil.eval.report import FaceReport, Report
from veil.ui.web.html import verdict

CLIPS = Path(__file__).parents[2] / "shared" / "clips"
NUMBER, RATE = 60, 30
TIMES = np.arange(NUMBER) / RATE
WAVE = np.sin(2 * np.pi * TIMES)  # a second long


@cache
def known_face() -> Face:
    return largest_face(astronaut())


@cache
def still() -> Reading:
    """One frame of the astronaut."""
    return finish(read([astronaut()], np.zeros(1), [known_face()]))


@pytest.fixture
def reading() -> Reading:
    """The astronaut, who does nothing for two seconds, with a hand beside her."""

    def repeated(name: str) -> Array:
        return np.repeat(getattr(still(), name), NUMBER, 0)

    names = ("mesh", "blendshapes", "expressions", "crops", "body", "visible", "brightness", "colourfulness")
    hand = np.stack([np.linspace(20, 60, 21), np.linspace(300, 400, 21)], 1)
    return Reading(
        size=(512, 512), times=TIMES, hands=((hand,),) * NUMBER, **{name: repeated(name) for name in names}
    )


def figures(
    name: str, before: Reading, after: Reading, control: Reading | None = None
) -> dict[str, float | None]:
    aspects = {one.name: one for one in judged(before, after, control).aspects}
    return {one.name: one.value for one in aspects[name].figures} if name in aspects else {}


def curve(reading: Reading, name: str, values: Array) -> Reading:
    """A reading in which one blendshape takes values (N,)."""
    changed = reading.blendshapes.copy()
    changed[:, NAMES.index(name)] = values
    return replace(reading, blendshapes=changed)


def moved(reading: Reading, points: slice | list[int], shift: Array) -> Reading:
    """A reading in which points of the mesh are shifted (N, 2)."""
    mesh = reading.mesh.copy()
    mesh[:, points, :2] += shift[:, None]
    return replace(reading, mesh=mesh)


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_what_is_left_alone_is_kept(reading: Reading, name: str) -> None:
    active = curve(moved(reading, [14], 5 * np.stack([0 * WAVE, WAVE], 1)), "jawOpen", 0.5 + 0.4 * WAVE)
    before = replace(active, loudness=1 + WAVE)
    found = [one for one in BEHAVIOURS[name](before, before) if not np.isnan(one.value)]
    assert found
    for figure in found:
        if figure.better == "lower":
            assert figure.value == pytest.approx(0, abs=1e-9)
        elif figure.better == "higher" and "sound" not in figure.name:
            assert figure.value == pytest.approx(100 if figure.unit.startswith("%") else 1, abs=1e-9)


def test_a_curve_that_is_known(reading: Reading) -> None:
    before = curve(reading, "jawOpen", 0.5 + 0.4 * WAVE)
    after = curve(reading, "jawOpen", 0.4 + 0.2 * WAVE)
    found = figures("blendshapes", before, after)
    assert found["correlation, median of the curves that move"] == 1
    largest = found["error, the largest"]
    assert largest == pytest.approx(np.abs(0.1 + 0.2 * WAVE).mean(), abs=1e-4)
    assert found["error, mean"] == pytest.approx(largest / 51, abs=1e-4)


def test_weak_curves_are_named_beside_the_control(reading: Reading) -> None:
    noise = np.random.default_rng(0).normal(0, 1, (2, NUMBER))
    before = curve(curve(reading, "jawOpen", 0.5 + 0.4 * WAVE), "eyeSquintLeft", 0.3 + 0.1 * WAVE)
    after = curve(before, "eyeSquintLeft", 0.3 + 0.1 * WAVE + 0.2 * noise[0])
    control = curve(before, "eyeSquintLeft", 0.3 + 0.1 * WAVE + 0.01 * noise[1])
    result = judged(before, after, control)
    least = result.figure("blendshapes", "correlation, the least")
    assert least
    (weak,) = least.weak
    assert weak.name == "eyeSquintLeft"
    assert weak.value == least.value
    assert weak.value < 0.7 < 0.98 < (weak.control or 0)
    assert kept(least) is False
    assert result.figure("gaze", "no such figure") is None


def test_gaze_is_measured_in_eye_widths_while_eyes_are_open(reading: Reading) -> None:
    mesh = reading.mesh[0]
    width = float(
        np.mean([np.linalg.norm(mesh[33, :2] - mesh[133, :2]), np.linalg.norm(mesh[362] - mesh[263])])
    )
    across = (mesh[263, :2] - mesh[33, :2]) / np.linalg.norm(mesh[263, :2] - mesh[33, :2])
    aside = 0.1 * width * WAVE[:, None] * across
    before = moved(reading, slice(468, 478), aside)
    after = moved(before, slice(468, 478), np.full((NUMBER, 1), 0.05 * width) * across)
    found = figures("gaze", before, after)
    assert found["correlation, sideways"] == pytest.approx(1, abs=1e-3)
    assert found["error, sideways"] == pytest.approx(5, rel=0.1)
    assert found["error, up and down"] == pytest.approx(0, abs=1)
    shut = np.where(np.arange(NUMBER) < 30, 0.9, 0.1)
    late = moved(before, slice(468, 478), np.where(shut > 0.5, 9.0, 0.0)[:, None] * across)
    assert figures("gaze", curve(before, "eyeBlinkLeft", shut), late)["error, sideways"] == 0


def blinking(*starts: int, length: int = 4) -> Array:
    values = np.full(NUMBER, 0.1)
    for start in starts:
        values[start : start + length] = 0.9
    return values


def test_blinks_are_counted_and_matched(reading: Reading) -> None:
    def lids(values: Array) -> Reading:
        return curve(curve(reading, "eyeBlinkLeft", values), "eyeBlinkRight", values)

    before = lids(blinking(5, 30))
    assert figures("blinks", before, lids(blinking(6, 31))) == {"blinks before": 2, "gone": 0, "added": 0}
    assert figures("blinks", before, lids(blinking(5, 45))) == {"blinks before": 2, "gone": 1, "added": 1}
    assert figures("blinks", lids(blinking(5, length=40)), before)["blinks before"] == 0  # eyes at rest
    flicker = blinking(5, 30)
    flicker[7] = 0.4  # still shut
    assert figures("blinks", before, lids(flicker))["added"] == 0


def test_the_mouth_keeps_step_with_the_sound(reading: Reading) -> None:
    rng = np.random.default_rng(1)
    loud = np.convolve(rng.uniform(0, 1, NUMBER + 10), np.ones(3) / 3, "same")

    def speaking(late: int) -> Reading:
        gap = 12 * loud[5 - late : 5 - late + NUMBER]
        return replace(moved(reading, [14], np.stack([0 * gap, gap], 1)), loudness=loud[5 : 5 + NUMBER])

    same = figures("mouth", speaking(0), speaking(0))
    assert (same["correlation with the sound"] or 0) > 0.99
    assert same["out of step"] == 0
    late = figures("mouth", speaking(0), speaking(3))
    assert late["out of step"] == pytest.approx(100, abs=0.1)
    assert (late["correlation"] or 0) < 0.9
    silent = figures("mouth", reading, reading)
    assert "correlation with the sound" not in silent
    assert silent["correlation"] is None  # it does not move


def test_sound_becomes_loudness_around_frames() -> None:
    samples = np.concatenate([np.zeros(8000), 0.5 * np.ones(8000), -0.2 * np.ones(16000)])
    found = loudness(samples, 16000, np.array([0.1, 0.3, 0.7, 0.9, 1.5]))
    assert found == pytest.approx([0, 0, 0.5, np.sqrt((0.2 * 0.25 + 0.2 * 0.04) / 0.4), 0.2], abs=0.1)
    assert loudness(samples, 16000, np.array([0.75]))[0] == pytest.approx(0.5)


def test_the_head_turns_by_as_much_as_it_does(reading: Reading) -> None:
    turn = np.radians(10 * WAVE)
    middle = reading.mesh[0].mean(0)
    matrices = np.stack(
        [
            np.stack([np.cos(turn), 0 * turn, np.sin(turn)], 1),
            np.stack([0 * turn, 1 + 0 * turn, 0 * turn], 1),
            np.stack([-np.sin(turn), 0 * turn, np.cos(turn)], 1),
        ],
        1,
    )
    rotated = np.einsum("nij,npj->npi", matrices, reading.mesh - middle) + middle
    after = replace(reading, mesh=rotated)
    change = angles(after)[:, 0] - angles(reading)[:, 0]
    assert np.abs(np.abs(change) - np.abs(10 * WAVE)).max() < 1
    found = figures("head", after, after)
    assert found["correlation, turned"] == 1
    assert found["correlation, tilted"] is None
    expected = np.abs(10 * WAVE).mean()
    assert figures("head", reading, after)["error, turned"] == pytest.approx(expected, rel=0.1)


def test_motion_from_onset_to_apex(reading: Reading) -> None:
    """A face that moves by two pixels before and by three after errs by one pixel, and half of its length."""

    def shifted(pixels: float) -> Reading:
        crop = reading.crops[0]
        crops = np.repeat(crop[None], NUMBER, 0)
        for window in range(0, NUMBER, 15):
            crops[window + 7] = np.roll(crop, round(pixels), 1)
        acted = np.zeros(NUMBER)
        acted[7::15] = 1
        return replace(curve(reading, "jawOpen", acted), crops=crops)

    found = figures("motion", shifted(2), shifted(3))
    assert found["error of the flow"] == pytest.approx(100 / 128, rel=0.2)
    assert found["error of the flow, beside its length"] == pytest.approx(50, rel=0.2)
    assert (found["direction of the flow"] or 0) > 0.95
    lost = shifted(3)
    lost.mesh[:] = np.nan
    assert figures("motion", shifted(2), lost) == {}


def test_hands_drift_are_lost_and_lie_over_the_face(reading: Reading) -> None:
    hand = reading.hands[0][0]
    palm = float(np.linalg.norm(hand[9] - hand[0]))
    drifted = replace(reading, hands=((hand + [0.1 * palm, 0],),) * NUMBER)
    found = figures("hands", reading, drifted)
    assert found["drift"] == pytest.approx(10, abs=0.01)
    assert found["found again"] == 100
    assert found["frames with a hand over the face"] == 0
    half = replace(reading, hands=((hand,), ()) * (NUMBER // 2))
    assert figures("hands", reading, half)["found again"] == 50
    far = replace(reading, hands=((hand + 5 * palm,),) * NUMBER)
    assert figures("hands", reading, far)["found again"] == 0
    assert figures("hands", replace(reading, hands=((),) * NUMBER), reading) == {}
    nose = reading.mesh[0, 1, :2]
    assert over_face(hand - hand[8] + nose, reading.mesh[0])
    before = replace(reading, hands=((hand - hand[8] + nose,),) * NUMBER)
    found = figures("hands", before, before)
    assert found["frames with a hand over the face"] == 100
    assert found["drift over the face"] == 0


def test_the_body_drifts_and_is_lost(reading: Reading) -> None:
    width = float(np.linalg.norm(reading.body[0, 11] - reading.body[0, 12]))
    after = replace(reading, body=reading.body + 0.03 * width * np.array([0.6, 0.8]))
    assert figures("body", reading, after)["drift"] == pytest.approx(3, abs=0.01)
    gone = reading.body.copy()
    gone[: NUMBER // 4] = np.nan
    assert figures("body", reading, replace(reading, body=gone))["found again"] == 75
    assert figures("body", replace(reading, visible=0 * reading.visible > 0), reading) == {}


def test_expression_and_scene(reading: Reading) -> None:
    sad = reading.expressions.copy()
    sad[: NUMBER // 2] = np.eye(7)[4]
    found = figures("emotion", reading, replace(reading, expressions=sad))
    assert found["the same one"] == 50
    assert 0 < (found["probability moved"] or 0) <= 50
    brighter = replace(reading, brightness=reading.brightness + 3)
    assert figures("scene", reading, brighter)["brightness moved"] == pytest.approx(3)
    shared = {one.name for one in judged(reading, reading).aspects if not one.independent}
    assert shared == {"emotion", "hands"}


def test_what_is_not_read_is_told_and_not_counted(reading: Reading) -> None:
    mesh, shapes = reading.mesh.copy(), reading.blendshapes.copy()
    mesh[:15], shapes[:15] = np.nan, np.nan
    result = judged(reading, replace(reading, mesh=mesh, blendshapes=shapes))
    assert (result.read, result.read_after, result.read_control) == (1, 0.75, None)
    error = result.figure("blendshapes", "error, mean")
    assert error
    assert error.value == 0
    assert "could be read" in html(result, "A clip")
    assert "Warning" in html(result, "A clip")


def test_a_page_has_a_row_for_each_figure(reading: Reading) -> None:
    before = curve(reading, "jawOpen", 0.5 + 0.4 * WAVE)
    result = judged(before, curve(reading, "jawOpen", 0.5 - 0.4 * WAVE), before)
    table = rows(result)
    assert tuple(table[0]) == COLUMNS
    assert len(table) == 1 + sum(one.value is not None for each in result.aspects for one in each.figures)
    assert ["face", "correlation, the least", "-1", "1", "", "no", "jawOpen -1 (1)"] in table
    assert "jawOpen -1 (1)" in html(result, "<A clip>")
    assert "&lt;A clip&gt;" in html(result, "<A clip>")
    assert Behaviour.model_validate_json(result.model_dump_json()) == result


def test_the_verdict_on_a_photo_has_it_folded_away(reading: Reading) -> None:
    known = replace(reading, **{name: getattr(still(), name) for name in vars(still())})
    behaviour = judged(known, known, known)
    face = FaceReport(number=2, box=(0, 0, 9, 9), found=True, quality={"psnr": 50, "ssim": 1}, matches=())
    faces = (face.model_copy(update={"number": 1}), face.model_copy(update={"behaviour": behaviour}))
    report = Report(size=(9, 9), other_photo=False, changed=0, quality=face.quality, faces=faces)
    (sentence,) = report.expressed()
    assert sentence.startswith("What is expressed of face 2: the same expression is read")
    shown = verdict(report, {})
    assert sentence in shown
    assert shown.count("<details>") == 1
    assert "What you express, face 2" in shown
    assert all(f"<th scope='col'>{column}</th>" in shown for column in COLUMNS)


def clip(number: int, change: Callable[[Pixels], Pixels] = lambda pixels: pixels) -> Iterator[Pixels]:
    """The astronaut, who drifts to the right."""
    for index in range(number):
        yield change(astronaut()[:300, 60 - 4 * index : 420 - 4 * index].copy())


def darker(pixels: Pixels) -> Pixels:
    return pixels // 2 + 20


def test_a_clip_is_followed_and_compared() -> None:
    steps = list[Any]()
    times = np.arange(4) / 25
    work = compare(clip(4), clip(4, darker), clip(4), times=times)
    result = finish(work, steps.append)
    assert [step.done for step in steps] == [1, 2, 3, 4] * 3
    assert (result.frames, result.read, result.read_after, result.read_control) == (4, 1, 1, 1)
    for aspect in result.aspects:
        assert all(one.control == 0 for one in aspect.figures if one.better == "lower")
    scene = result.figure("scene", "brightness moved")
    assert scene
    assert (scene.value or 0) > 20
    followed = finish(read(clip(4), times))
    drift = np.diff(followed.mesh[:, :, 0].mean(1))
    assert drift == pytest.approx([4, 4, 4], abs=0.7)


def test_somebody_who_is_not_there_is_not_read() -> None:
    face = known_face().transformed(1, -60, 0)
    there = finish(read(clip(3), np.arange(3) / 25, [face, None, face.transformed(1, 8, 0)]))
    assert there.found.tolist() == [True, False, True]
    dark = [frame if index != 1 else 0 * frame for index, frame in enumerate(clip(3))]
    assert finish(read(dark, np.arange(3) / 25)).found.tolist() == [True, False, True]
    nobody = np.full((64, 64, 3), 127, np.uint8)
    nowhere = finish(read([nobody] * 3, np.arange(3) / 25))
    assert not nowhere.found.any()
    assert judged(nowhere, nowhere).read == 0
    tiny = finish(compare([nobody[:2, :1]], [nobody[:2, :1] + 9], times=np.zeros(1)))
    assert [one.name for one in tiny.aspects] == ["scene"]


def test_clips_that_do_not_fit_are_refused() -> None:
    small = [np.full((64, 64, 3), 127, np.uint8)] * 3
    for number in (2, 4):
        with pytest.raises(BadPhoto, match="frames where"):
            finish(compare(small, small, times=np.arange(number) / 25))
    for other in ([small[0]] * 2 + [small[0][:60]], [frame[:60] for frame in small]):
        with pytest.raises(BadPhoto, match="size"):
            finish(compare(small, other, times=np.arange(3) / 25))
    for times in (np.zeros(0), np.zeros(3), np.array([0, 2, 1.0])):
        with pytest.raises(BadSettings, match="times"):
            finish(compare(small, small, times=times))


def test_a_photo_is_compared_around_its_face() -> None:
    photo, face = astronaut(), known_face()
    same = compare_photos(photo, photo, face)
    assert same.frames == 1
    assert {"blendshapes", "gaze", "emotion", "head", "body", "scene"} <= {one.name for one in same.aspects}
    for aspect in same.aspects:
        assert all(one.value == 0 for one in aspect.figures if one.better == "lower")
    mouth = face.points[3:].mean(0).round().astype(int)
    painted = photo.copy()
    painted[mouth[1] - 12 : mouth[1] + 14, mouth[0] - 28 : mouth[0] + 28] = photo[130, 230]
    other = compare_photos(photo, painted, face).figure("blendshapes", "error, the largest")
    assert other
    assert other.weak[0].name.startswith("mouth")
    assert (other.value or 0) > 3 * (other.control or 1)
    assert kept(other) is False


@pytest.mark.slow
def test_coding_alone_keeps_behaviour() -> None:
    """A second of a real clip, where `../shared/clips` is present, and its frames as JPEG."""
    file = CLIPS / "liveportrait_d10.mp4"
    if not file.is_file():
        pytest.skip("no ../shared/clips")
    av = pytest.importorskip("av")
    with av.open(BytesIO(file.read_bytes())) as opened:
        frames = [frame.to_ndarray(format="rgb24") for frame in islice(opened.decode(video=0), 20)]
    result = finish(compare(frames, (coded(frame, "JPEG", 90) for frame in frames), times=TIMES[:20]))
    assert (result.read, result.read_after) == (1, 1)
    median = result.figure("blendshapes", "correlation, median of the curves that move")
    assert median
    assert (median.value or 0) > 0.97
    flow = result.figure("motion", "direction of the flow")
    assert flow
    assert (flow.value or 0) > 0.9
