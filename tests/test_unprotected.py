"""What was found in a photo and stays as it was is named, with the reason, before anything else."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from veil.attacks.faces.found import Found
from veil.core.errors import BadSettings, NoFace
from veil.core.types import Face
from veil.eval.report import FaceReport, Report, Unprotected
from veil.ui import face_words
from veil.ui.selection import asked_for
from veil.ui.web import html, uploads
from veil.ui.web.sessions import Visitor
from veil.ui.web.uploads import Arrival


def face(side: float) -> Face:
    return Face(np.array([10.0, 20.0, 10 + side, 20 + side]), np.zeros((5, 2)))


FOUND = Found([face(90), face(40), face(20)], [face(60), face(12)])
UNPROTECTED = Unprotected(number=3, box=(10, 20, 30, 40), reason="too small")
REPORT = Report(
    size=(200, 200),
    unprotected=(UNPROTECTED,),
    other_photo=False,
    changed=0,
    quality={"psnr": 40.0, "ssim": 1.0},
    faces=(
        FaceReport(number=1, box=(0, 0, 9, 9), found=True, quality={"psnr": 40.0, "ssim": 1.0}, matches=()),
    ),
)


def test_by_default_all_faces_that_are_large_enough_are_chosen() -> None:
    assert list(asked_for("a.png", FOUND, ())) == [1, 2]
    reasons = {number: FOUND.reason(number) for number in FOUND.numbered}
    assert reasons == {
        1: "not chosen",
        2: "not chosen",
        3: "too small",
        4: "taken for no face",
        5: "too small",
    }


def test_what_is_taken_for_no_face_is_protected_only_when_it_is_named() -> None:
    assert asked_for("a.png", FOUND, {4})[4] is FOUND.doubtful[0]
    doubtful = Found([], FOUND.doubtful)
    with pytest.raises(NoFace) as caught:
        asked_for("a.png", doubtful, ())
    assert "--faces" in caught.value.hint
    assert list(asked_for("a.png", doubtful, {1})) == [1]


@pytest.mark.parametrize(("number", "error"), [(3, NoFace), (6, BadSettings)])
def test_what_cannot_be_protected_cannot_be_named(number: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        asked_for("a.png", FOUND, {number})


def test_how_to_protect_what_one_detector_takes_for_a_face_is_said() -> None:
    doubtful = Unprotected(number=4, box=(10, 20, 70, 80), reason="taken for no face")
    too = doubtful.model_copy(update={"number": 5})
    way = face_words.by_number()
    said, other = face_words.unprotected([doubtful, too], way=way, protected=(1, 2))
    assert other.endswith("give --faces 1,2,5.")
    assert said == (
        "Left as it is: 60x60 pixels at 10, 20, which one detector takes for a face (number 4) and another "
        "does not. If it is one, give --faces 1,2,4."
    )
    page = html.verdict(REPORT.model_copy(update={"unprotected": (doubtful,)}), {})
    assert "If it is one, click it in the photo" in page


@pytest.mark.parametrize(
    ("asked", "way"),
    [
        ({"instead": "--only"}, "give --faces {} instead of --only"),
        ({"instead": "--except", "written": True}, "give --faces {} --force instead of --except"),
        ({"several": True, "written": True}, "protect the photo alone, with --faces {} --force"),
    ],
)
def test_that_way_fits_what_was_asked_for(asked: dict[str, Any], way: str) -> None:
    """--faces excludes --only, its numbers are of one photo, and the result is there by now."""
    assert face_words.by_number(**asked) == way


def test_page_and_report_name_it_first() -> None:
    (sentence,) = face_words.unprotected(REPORT.unprotected)
    assert all(part in sentence for part in ("face 3", "too small", "10, 20"))
    page = html.verdict(REPORT, {}, "Strength strong, effort quick.")
    assert "Strength strong, effort quick." in page
    assert page.index("Not protected: face 3") < page.index("veil-headline")
    assert "veil-problem" in page
    chosen = UNPROTECTED.model_copy(update={"reason": "not chosen"})
    page = html.verdict(REPORT.model_copy(update={"unprotected": (chosen,)}), {})
    assert "Not protected: face 3, not chosen" in page  # a remark: somebody wanted it so
    assert "veil-problem" not in page
    read = Report.model_validate_json(REPORT.model_dump_json())
    assert read.unprotected == (UNPROTECTED,)


@pytest.fixture
def arrived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Found], Arrival]:
    """What becomes of a photo on the page in which these faces are found."""
    Image.new("RGB", (200, 200)).save(tmp_path / "a.png")
    page: Any = SimpleNamespace(rules=SimpleNamespace(admit=lambda path: None))

    def arrive(found: Found) -> Arrival:
        monkeypatch.setattr(uploads, "search", lambda pixels: found)
        return uploads.arrive(page, Visitor(tmp_path / "visitor"), str(tmp_path / "a.png"))

    return arrive


def test_before_the_work_the_page_says_it_in_the_words_of_the_report(
    arrived: Callable[[Found], Arrival],
) -> None:
    arrival = arrived(FOUND)
    assert arrival.picked == [1, 2]
    small, doubtful = arrival.left_out
    assert small.message.split(". ")[0] + "." == (
        "Not protected: face 3 of a.png, too small (20x20 pixels at 10, 20)."
    )
    assert "face 5 of a.png, too small" in small.message
    assert "in a larger size" in small.hint
    assert doubtful.message == (
        "Left as it is: 60x60 pixels at 10, 20 of a.png, which one detector takes for a face (number 4) and "
        "another does not."
    )
    assert "If it is one, click it" in doubtful.hint
    assert 4 in arrival.large
    assert [one.replace(" of a.png", "") for one in (small.message, doubtful.message)] == [
        " ".join(face_words.unprotected(left for left in arrival.unprotected if left.reason == reason))
        for reason in ("too small", "taken for no face")
    ]
    assert arrived(Found([face(90)], [])).left_out == []


def test_a_photo_without_faces_says_what_might_be_one(arrived: Callable[[Found], Arrival]) -> None:
    with pytest.raises(NoFace) as caught:
        arrived(Found([], [face(60)]))
    assert "No face was found in a.png" in caught.value.message
    assert "60x60 pixels at 10, 20, which one detector takes for a face" in caught.value.hint


def test_faces_are_listed_with_their_reasons() -> None:
    rows = face_words.face_rows(FOUND, {2})
    assert [row[-1] for row in rows] == [
        "yes",
        "is protected already",
        "no, too small",
        "by its number: only one of two detectors takes it for a face",
        "no, too small",
    ]
