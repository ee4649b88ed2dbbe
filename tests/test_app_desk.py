"""What lies on the tab Protect: uploads under their own names, once each, and what of them is done."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gradio import File
from gradio.data_classes import FileData, ListFiles

from veil.eval.references import References
from veil.eval.report import FaceReport, Report
from veil.eval.verification import Match
from veil.privacy.settings import settings
from veil.ui.web import html
from veil.ui.web.desk import DONE, STOPPED, Desk
from veil.ui.web.gradio_queue import keep_name
from veil.ui.web.policy import LOCAL
from veil.ui.web.results import Outcome, Wish
from veil.ui.web.sessions import Visitor
from veil.ui.web.uploads import name_of

PAGE: Any = SimpleNamespace(rules=LOCAL)
NAME = '\N{GRINNING FACE} "quote" \'s <b>bold.jpg'


def face(number: int, box: tuple[int, int, int, int], likeness: float = 0.95, **more: Any) -> FaceReport:
    quality = {"psnr": 40.0, "ssim": 1.0}
    return FaceReport(
        number=number, box=box, found=True, likeness=likeness, quality=quality, matches=(), **more
    )


def report(*faces: FaceReport) -> Report:
    return Report(
        size=(1000, 800), other_photo=False, changed=0, quality={"psnr": 40.0, "ssim": 1.0}, faces=faces
    )


def outcome(folder: Path, *faces: FaceReport) -> Outcome:
    (place := folder / "done").touch()
    return Outcome("a.jpg", *[place] * 5, report(*(faces or (face(1, (0, 0, 9, 9)),))), {})


@pytest.fixture(autouse=True)
def folder_of_gradio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))


@pytest.fixture
def visitor(tmp_path: Path) -> Visitor:
    return Visitor(tmp_path / "visitor")


@pytest.fixture
def uploads(portrait: Path, tmp_path: Path) -> list[str]:
    """Three photos, each of which differs from the others by a few bytes that nobody reads."""
    paths = [tmp_path / f"{name}.jpg" for name in "abc"]
    for path in paths:
        path.write_bytes(portrait.read_bytes() + path.name.encode())
    return [*map(str, paths)]


def named(path: str, name: str) -> str:
    """An upload as the page gets it, that had another name where it came from."""
    files: Any = keep_name(File(file_count="multiple"))
    (given,) = files.preprocess(ListFiles([FileData(path=path, orig_name=name)]))
    return given


def test_a_photo_keeps_the_name_that_it_had(uploads: list[str], visitor: Visitor) -> None:
    """gradio's upload takes characters out of names; what leads out of the folder stays out."""
    desk = Desk()
    assert desk.lay(PAGE, visitor, [named(uploads[0], NAME)]) == ([], [])
    (arrival,) = desk.arrivals
    assert (arrival.name, arrival.path.name) == (NAME, NAME)
    assert arrival.path.is_relative_to(visitor.folder)
    for evil in ("../../evil.jpg", "..", "", "nul\0.jpg", "x" * 400 + ".jpg"):
        desk = Desk()
        assert desk.lay(PAGE, visitor, [named(uploads[1], evil)]) == ([], [])
        assert desk.arrivals[0].path.parent in (Path(uploads[1]).parent, *visitor.folder.iterdir())
    assert name_of(uploads[0]) == "a.jpg"


def test_the_same_photo_lies_there_once(uploads: list[str], visitor: Visitor, tmp_path: Path) -> None:
    twin = shutil.copy(uploads[0], tmp_path / "twin.jpg")
    desk = Desk()
    problems, twice = desk.lay(PAGE, visitor, [uploads[0], uploads[0], str(twin)])
    assert problems == []
    assert twice == [
        "a.jpg is there twice: one of them is enough.",
        "twin.jpg is the same as a.jpg: one of them is enough.",
    ]
    assert [arrival.name for arrival in desk.arrivals] == ["a.jpg"]


def test_what_lies_there_already_stays_as_it_is(uploads: list[str], visitor: Visitor, tmp_path: Path) -> None:
    """Faces that were let go stay so, and what is done stays done, when photos come and go beside them."""
    (bad := tmp_path / "notes.jpg").write_text("no picture")
    desk = Desk()
    desk.lay(PAGE, visitor, uploads[:1])
    (first,) = desk.arrivals
    first.picked = []
    (problem,), _ = desk.lay(PAGE, visitor, [*uploads[:2], str(bad)])
    assert "notes.jpg is not a picture" in problem.message
    assert desk.arrivals[0] is first
    assert [arrival.name for arrival in desk.todo] == ["b.jpg"]
    desk.lay(PAGE, visitor, uploads[:1])
    assert desk.arrivals == [first]


def test_only_what_is_missing_is_done_again(uploads: list[str], visitor: Visitor, tmp_path: Path) -> None:
    desk, asked = Desk(), Wish(settings("balanced", "quick"))
    desk.lay(PAGE, visitor, uploads)
    a, b, c = desk.arrivals
    assert desk.begin(asked) == [a, b, c]
    assert desk.ended(True, failed=False) == STOPPED
    made = outcome(tmp_path)
    desk.done[a.upload] = [1], made
    assert desk.ended(True, failed=False) == (
        "Stopped. 1 of 3 photos are protected; not yet: b.jpg, c.jpg. Press Continue, and it goes on from "
        "there."
    )
    assert desk.begin(replace(asked)) == [b, c]
    assert desk.outcomes == [made]
    desk.done[b.upload] = desk.done[c.upload] = [1], made
    assert desk.ended(False, failed=False) == DONE
    assert desk.begin(asked) == []
    a.picked = []
    assert desk.begin(asked) == []
    a.picked = [1]
    assert desk.begin(asked) == [a]  # which was let go meanwhile
    assert desk.begin(Wish(settings("strong", "quick"))) == [a, b, c]
    desk.done[a.upload] = [1], made
    made.after.unlink()
    assert desk.begin(Wish(settings("strong", "quick"))) == [a, b, c]  # files are deleted in time


def test_a_photo_that_was_taken_away_is_not_begun(uploads: list[str], visitor: Visitor) -> None:
    desk = Desk()
    desk.lay(PAGE, visitor, uploads[:2])
    first, second = desk.arrivals
    assert desk.begin_with(second)
    assert desk.job == {uploads[1]}
    desk.lay(PAGE, visitor, uploads[1:2])
    assert not desk.begin_with(first)
    assert desk.job == {uploads[1]}


def test_a_close_up_shows_one_face(tmp_path: Path) -> None:
    made = outcome(tmp_path, face(2, (100, 100, 200, 200)), face(5, (800, 400, 850, 460)))
    assert made.faces == [2, 5]
    assert made.close_up(2) == (60, 60, 240, 240)
    assert made.close_up(5) == (776, 376, 874, 484)


def test_what_came_of_other_photos_is_said_below_the_headline() -> None:
    """And the figures of the likeness once, in the small print."""
    match = Match(recognizer="sface", used_by_attack="no", threshold=0.3, before=0.6, after=0.1)
    beside = References(photos=("me.jpg",), matches=(match,))
    shown = html.verdict(report(face(1, (0, 0, 9, 9), references=beside)), {})
    words = "Face 1 against the other photo of you: the one recogniser that the protection has never met "
    assert shown.count(words) == 1
    assert shown.index("veil-headline") < shown.index(words) < shown.index("<ul>")
    assert "People: may look like a relative of yours. Machines:" in shown
    assert shown.index("<ul>") < shown.index("0.950")
    assert shown.count("0.973") == 1
