"""What was found in a photo and stays as it was is named, with the reason, before anything else."""

import numpy as np
import pytest

from veil.attacks.faces import Found
from veil.core.errors import BadSettings, NoFace
from veil.core.types import Face
from veil.eval.report import FaceReport, Report, Unprotected
from veil.ui import wording
from veil.ui.selection import asked_for
from veil.ui.web import html


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


def test_page_and_report_name_it_first() -> None:
    (sentence,) = wording.unprotected(REPORT.unprotected)
    assert all(part in sentence for part in ("face 3", "too small", "10, 20"))
    page = html.verdict(REPORT, {})
    assert page.index("Not protected: face 3") < page.index("veil-headline")
    read = Report.model_validate_json(REPORT.model_dump_json())
    assert read.unprotected == (UNPROTECTED,)


def test_faces_are_listed_with_their_reasons() -> None:
    rows = wording.face_rows(FOUND, {2})
    assert [row[-1] for row in rows] == [
        "yes",
        "yes, is protected already",
        "no, too small",
        "no, taken for no face",
        "no, too small",
    ]
