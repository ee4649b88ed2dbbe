"""The page without a browser: what programs call, whose files are whose, and the rules for strangers."""

from __future__ import annotations

import threading
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from skimage.data import astronaut

from veil.core.errors import BadSettings, VeilError
from veil.core.types import Step
from veil.ui import hosting, page, pieces, present
from veil.ui.app import passwords
from veil.ui.jobs import Record
from veil.ui.visitors import Visitors

pytestmark = pytest.mark.filterwarnings(
    # websockets and starlette's own test aids, used by gradio, announce their next versions
    "ignore::DeprecationWarning",
    "ignore:unclosed:ResourceWarning",
)


def client(opened: Any, folder: Path) -> Client:
    return Client(opened.address, download_files=folder, verbose=False)


def test_the_example_of_the_readme(opened: Any, portrait: Path, tmp_path: Path) -> None:
    page = Client(opened.address, download_files=tmp_path, verbose=False)
    picture, report = page.predict(handle_file(portrait), strength="balanced", api_name="/protect")
    rows = page.predict(handle_file(portrait), handle_file(picture), api_name="/check")
    assert Path(picture).name == "astronaut.veiled.png"
    assert not Image.open(picture).getexif()
    assert b"private-author" not in Path(picture).read_bytes()
    assert Record.model_validate(report).photo == "astronaut.jpg"
    assert {row["recogniser"] for row in rows} >= {"dlib", "mobilefacenet"}
    assert all(row["same"] == (row["similarity"] > row["limit"]) for row in rows)
    page.close()


def test_names_of_the_endpoints(opened: Any, portrait: Path, tmp_path: Path) -> None:
    """They are promised to programs: what is added or renamed here changes the README too."""
    page = client(opened, tmp_path)
    named = page.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert sorted(named) == ["/check", "/faces", "/impersonate", "/models", "/protect"]
    wanted = ["photo", "strength", "faces", "seed", "format"]
    assert [parameter["parameter_name"] for parameter in named["/protect"]["parameters"]] == wanted
    assert page.predict(api_name="/models")[0]["Model"] == "dlib"
    (face,) = page.predict(handle_file(portrait), api_name="/faces")
    assert face["number"] == 1
    assert face["protectable"]
    page.close()


@pytest.mark.parametrize("case", ["no picture", "no face", "number", "strength"])
def test_errors_reach_programs_in_plain_words(opened: Any, portrait: Path, tmp_path: Path, case: str) -> None:
    path, options = portrait, dict[str, Any]()
    if case == "no picture":
        path = tmp_path / "notes.png"
        path.write_text("hello")
    elif case == "no face":
        path = tmp_path / "blank.png"
        Image.new("RGB", (200, 200), "grey").save(path)
    elif case == "number":
        options = {"faces": "7"}
    else:
        options = {"faces": "one"}
    words = {
        "no picture": "is not a picture that veil can read. It reads",
        "no face": "No face was found in blank.png. Try",
        "number": "has no face number 7",
        "strength": "no list of face numbers",
    }
    page = client(opened, tmp_path)
    with pytest.raises(AppError) as error:
        page.predict(handle_file(path), api_name="/protect", **options)
    assert words[case] in str(error.value)
    assert str(opened.folder) not in str(error.value)
    page.close()


def test_the_browser_is_told_to_talk_to_nobody_else(opened: Any) -> None:
    response = httpx.get(opened.address)
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert response.headers["referrer-policy"] == "no-referrer"


def test_passwords(tmp_path: Path) -> None:
    file = tmp_path / "people"
    file.write_text("# who may enter\nann:one:two\n\nbob:three\n")
    assert passwords(file) == [("ann", "one:two"), ("bob", "three")]
    for content in ("", "ann\n", "ann:\n"):
        file.write_text(content)
        with pytest.raises(BadSettings):
            passwords(file)
    with pytest.raises(BadSettings, match="cannot be read"):
        passwords(tmp_path / "nobody")


def test_leaving_stops_the_work_within_one_step(tmp_path: Path) -> None:
    closed = threading.Event()
    taken: list[int] = []

    def endless() -> Any:
        try:
            while True:
                taken.append(1)
                time.sleep(0.01)
                yield Step("protecting", 1, 2)
        finally:
            closed.set()

    visitors = Visitors(tmp_path, None, 1)
    shown = page.Page(hosting.LOCAL, visitors).watch(visitors.of("ann"), endless(), str)
    assert "progressbar" in next(shown)
    shown.close()
    assert closed.wait(5)
    count = len(taken)
    time.sleep(0.1)
    assert len(taken) == count


def test_progress_says_where_it_is() -> None:
    begin = page.place(Step("learning embeddings", 0, 3))[0]
    middle = page.place(Step("protecting", 20, 40))[0]
    assert 0 == begin < middle < page.place(Step("judging", 0, 1))[0] < 1
    share, title = page.place(Step("face 2 of 2: protecting", 0, 40))
    assert title.startswith("Face 2 of 2: changing")
    assert 0.4 < share < page.place(Step("face 2 of 2: protecting", 40, 40))[0] <= 0.85


def test_what_comes_from_outside_is_escaped() -> None:
    evil = "<script>alert(1)</script>.jpg"
    html = pieces.problem(VeilError(evil, evil)) + pieces.outcomes([("done", evil, evil)])
    html += pieces.downloads([(evil, Path("/tmp") / "x" / "<b>.jpg")])
    assert "<script" not in html
    assert "<b>.jpg" not in html


def test_honest_judges_come_first() -> None:
    class Match:
        def __init__(self, seen: str) -> None:
            self.seen = seen

    matches: Any = [Match("yes"), Match("related"), Match("no")]
    assert [match.seen for match in present.fairest_first(matches)] == ["no", "related", "yes"]


def test_the_change_is_amplified_around_grey() -> None:
    from veil.ui.pictures import AMPLIFIED, amplified, embedded

    before = np.full((4, 4, 3), 100, np.uint8)
    after = before.copy()
    after[0, 0] = (101, 99, 255)
    shown = amplified(before, after)
    assert shown[1, 1].tolist() == [128, 128, 128]
    assert shown[0, 0].tolist() == [128 + AMPLIFIED, 128 - AMPLIFIED, 255]
    from base64 import b64decode

    kind, _, data = embedded(astronaut()).partition(",")
    assert kind == "data:image/jpeg;base64"
    assert max(Image.open(BytesIO(b64decode(data))).size) == 400
