"""The judge: metrics agree with scikit-image, verdicts are honest about what the attack knew."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from veil.attacks import packaged
from veil.attacks.faces.detection import find_faces
from veil.core.errors import BadPhoto, NoFace, UnknownName
from veil.core.images import open_photo, to_tensor
from veil.core.types import Photo, Pixels
from veil.eval import METRICS
from veil.eval.report import FaceReport, Report, assess
from veil.eval.verification import Match, used_by
from veil.privacy.settings import settings
from veil.ui import wording
from veil.ui.unreached import limits_met

QUICK = ("mobilefacenet", "mobileface")
PORTRAIT = Photo(astronaut(), "astronaut.png")


@cache
def group() -> Photo:
    """insightface's photo of six people; found without importing insightface, which takes seconds."""
    package = importlib.util.find_spec("insightface")
    assert package
    assert package.origin
    return open_photo(Path(package.origin).parent / "data" / "images" / "t1.jpg")


def noisy(pixels: Pixels, spread: float) -> Pixels:
    noise = np.random.default_rng(0).normal(0, spread, pixels.shape)
    return np.clip(np.round(pixels + noise), 0, 255).astype(np.uint8)


def hidden(photo: Photo) -> Photo:
    """The photo with its largest face painted over."""
    left, top, right, bottom = find_faces(photo.pixels)[0].box.round().astype(int)
    pixels = photo.pixels.copy()
    pixels[top - 20 : bottom + 20, left - 20 : right + 20] = 128
    return photo.with_pixels(pixels)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_best_for_equal_images_and_takes_batches(name: str) -> None:
    before = to_tensor(astronaut()[100:260, 100:270]).expand(3, -1, -1, -1)
    after = torch.cat([before[:1], *(to_tensor(noisy(astronaut(), s)[100:260, 100:270]) for s in (5, 20))])
    values = METRICS[name](before, after)
    assert values.shape == (3,)
    assert values[0] > values[1] > values[2]


@pytest.mark.parametrize("name", METRICS)
def test_metrics_take_bytes_as_they_are(name: str) -> None:
    pair = [torch.tensor(pixels).permute(2, 0, 1)[None] for pixels in (astronaut(), noisy(astronaut(), 9))]
    numbers = METRICS[name](*(image.float() / 255 for image in pair))
    torch.testing.assert_close(METRICS[name](*pair), numbers)


@pytest.mark.slow
def test_a_large_photo_is_never_numbers_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.zeros((3000, 3000, 3), np.uint8)
    pixels[1000:1512, 1200:1712] = PORTRAIT.pixels
    large, sizes = Photo(pixels, "large"), list[int]()

    def counted(part: Pixels) -> torch.Tensor:
        sizes.append(part.shape[0] * part.shape[1])
        return to_tensor(part)

    monkeypatch.setattr("veil.attacks.faces.sampling.to_tensor", counted)
    faces = {1: find_faces(large.pixels)[0]}
    report = assess(large, large, recognizers=QUICK, faces=faces)
    small = assess(PORTRAIT, PORTRAIT, recognizers=QUICK, faces={1: find_faces(PORTRAIT.pixels)[0]})
    assert max(sizes) < pixels.size / 3 / 20
    assert [match.after for match in report.faces[0].matches] == pytest.approx([1, 1], abs=1e-3)
    assert report.faces[0].likeness == pytest.approx(small.faces[0].likeness, abs=1e-3)
    assert report.quality == {"psnr": 80, "ssim": 1}


def test_metrics_agree_with_scikit_image() -> None:
    before, after = astronaut()[:, :300], noisy(astronaut(), 9)[:, :300]
    after[300:] = before[300:]
    images = to_tensor(before), to_tensor(after)
    assert float(METRICS["psnr"](*images)) == pytest.approx(peak_signal_noise_ratio(before, after), abs=1e-3)
    expected = structural_similarity(
        before, after, channel_axis=2, gaussian_weights=True, use_sample_covariance=False, data_range=255
    )
    assert float(METRICS["ssim"](*images)) == pytest.approx(expected, abs=1e-4)


def test_ssim_in_strips_is_the_ssim_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from veil.eval.metrics import ssim

    images = to_tensor(astronaut()[:200]), to_tensor(noisy(astronaut(), 9)[:200])
    whole = ssim.ssim(*images)
    monkeypatch.setattr(ssim, "STRIP", 37)
    torch.testing.assert_close(ssim.ssim(*images), whole)
    assert float(ssim.ssim(images[0][..., :7, :], images[0][..., :7, :])) == 1


def test_an_unprotected_photo_is_still_recognised_by_all() -> None:
    report = assess(PORTRAIT, PORTRAIT)
    (face,) = report.faces
    assert face.found
    assert tuple(match.recognizer for match in face.matches) == packaged()
    assert all(match.before == match.after == 1 and match.still_recognised for match in face.matches)
    assert report.headline
    assert (report.headline.fooled, report.headline.judges) == (0, len(packaged()))
    assert report.changed == 0
    assert not report.other_photo
    assert any("the same expression is read" in text for text in wording.remarks(report))


def test_a_face_that_is_no_longer_found_is_judged_where_it_was() -> None:
    report = assess(PORTRAIT, hidden(PORTRAIT), recognizers=QUICK)
    (face,) = report.faces
    assert not face.found
    assert report.headline
    assert report.headline.fooled == report.headline.judges == 2
    assert 0 < report.changed < 0.2
    assert face.behaviour
    assert (face.behaviour.read, face.behaviour.read_after, face.behaviour.read_control) == (1, 0, 1)
    assert any("can no longer be read" in text for text in wording.remarks(report))
    assert wording.remarks(report)[0] == (
        "The detector no longer finds face 1; recognisers were shown where it had been."
    )
    assert report.changed == round(report.changed, 4)
    assert face.quality["psnr"] < report.quality["psnr"]


def test_only_independent_recognisers_make_the_headline() -> None:
    assert used_by("faceres-deep", ["dlib", "faceres"]) == "related"
    assert used_by("faceres", ["dlib", "faceres"]) == "yes"
    assert used_by("mobileface", ["dlib", "faceres"]) == "no"
    everyone = assess(PORTRAIT, PORTRAIT, recognizers=QUICK, surrogates=frozenset(QUICK))
    assert everyone.headline is None
    one = assess(PORTRAIT, PORTRAIT, recognizers=QUICK, surrogates=frozenset({"mobileface"}))
    assert one.headline
    assert one.headline.judges == 1


def test_who_was_not_recognised_before_is_not_counted() -> None:
    stranger = Match(recognizer="dlib", used_by_attack="no", before=0.5, after=0.4, threshold=0.9)
    face = FaceReport(number=1, box=(0, 0, 9, 9), found=True, quality={}, matches=(stranger,))
    assert Report(size=(9, 9), other_photo=True, changed=0, quality={}, faces=(face,)).headline is None


def test_another_photo_takes_the_place_of_the_person() -> None:
    mirrored = PORTRAIT.with_pixels(np.ascontiguousarray(astronaut()[:, ::-1]))
    report = assess(PORTRAIT, hidden(PORTRAIT), recognizers=QUICK, probe=mirrored)
    assert report.other_photo
    for match in report.faces[0].matches:
        assert match.threshold < match.before < 1
        assert match.after < match.threshold


@pytest.mark.slow
def test_faces_are_paired_by_position_and_chosen_by_number() -> None:
    faces = find_faces(group().pixels)
    chosen = {1: faces[0], 3: faces[2]}
    report = assess(group(), hidden(group()), recognizers=QUICK[:1], faces=chosen)
    assert [face.number for face in report.faces] == [1, 3]
    assert [face.found for face in report.faces] == [False, True]
    assert report.faces[1].matches[0].after == 1


@pytest.mark.slow
def test_a_face_at_its_limit_is_told() -> None:
    report = assess(group(), group(), recognizers=QUICK[1:], limited=(2, 3), unfinished=(1,))
    assert [face.number for face in report.faces if face.limited] == [2, 3]
    assert [face.number for face in report.faces if face.unfinished] == [1]
    remarks = wording.remarks(report)
    assert sum("limit on change" in text for text in remarks) == 1
    assert any(text.startswith("Faces 2, 3: ") for text in remarks)
    assert any(text.startswith("Face 1: the search ended") for text in remarks)


def test_only_a_strength_or_effort_that_there_is_is_advised() -> None:
    face = FaceReport(number=1, box=(0, 0, 9, 9), found=True, limited=True, quality={}, matches=())
    unfinished = face.model_copy(update={"number": 2, "limited": False, "unfinished": True})
    report = Report(size=(9, 9), other_photo=True, changed=0, quality={}, faces=(face, unfinished))
    for strength, effort, larger, longer in (
        ("balanced", "quick", "Only a higher strength changes more", "A longer one (effort normal) may find"),
        ("balanced", "normal", "Only a higher strength", "A longer one (effort thorough) may find more."),
        ("strong", "thorough", "No strength changes more. Other photos", "No effort searches for longer."),
        ("paper", "quick", "No strength changes more. Other photos", "or in copies of it."),
    ):
        limited, ended = limits_met(report, settings(strength, effort))
        assert f"copies of it. {larger}" in limited
        assert longer in ended
    assert "thorough" not in ended


@pytest.mark.slow
def test_a_change_is_told_of_the_most_changed_face_and_left_to_eyes() -> None:
    report = assess(group(), hidden(group()), recognizers=QUICK[1:])
    assert report.faces[0].quality["psnr"] < 30 < report.faces[1].quality["psnr"]
    told = f"On the face, the most changed face, 1: PSNR {report.faces[0].quality['psnr']:.1f} dB"
    same = assess(PORTRAIT, PORTRAIT, recognizers=QUICK[1:])
    assert wording.remarks(report)[-1].startswith(told)
    assert wording.remarks(same)[-1].startswith("On the face: PSNR 80.0 dB, SSIM 1.000. On")
    assert wording.remarks(same)[-1].endswith("look at both photos side by side.")


def test_what_cannot_be_judged() -> None:
    blank = PORTRAIT.with_pixels(np.full_like(astronaut(), 128))
    with pytest.raises(NoFace):
        assess(blank, PORTRAIT)
    with pytest.raises(NoFace):
        assess(PORTRAIT, PORTRAIT, recognizers=QUICK, probe=blank)
    with pytest.raises(BadPhoto, match="512x512 and 512x100"):
        assess(PORTRAIT, Photo(astronaut()[:100], "part"))
    with pytest.raises(UnknownName):
        assess(PORTRAIT, PORTRAIT, recognizers=["arcnet"])


def test_a_report_survives_json() -> None:
    report = assess(PORTRAIT, hidden(PORTRAIT), recognizers=QUICK)
    assert Report.model_validate_json(report.model_dump_json()) == report
