"""The page without a browser: what programs call, whose files are whose, and the rules for strangers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
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

from veil.core.errors import BadPhoto, BadSettings, VeilError
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


def until(holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


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


def upload(opened: Any, path: Path, name: str) -> str:
    """Upload a file as the page does; returns where it lies."""
    response = httpx.post(
        f"{opened.address}gradio_api/upload", files={"files": (name, path.read_bytes())}, timeout=30
    )
    response.raise_for_status()
    return response.json()[0]


def fetch(opened: Any, path: object) -> int:
    return httpx.get(f"{opened.address}gradio_api/file={path}", timeout=30).status_code


def test_no_listing_and_no_path_outside(hosted: Any, portrait: Path) -> None:
    mine = upload(hosted, portrait, "me.jpg")
    assert fetch(hosted, mine) == 200
    outside = [Path(__file__), portrait, Path("/etc/hosts"), hosted.folder / ".." / portrait.name]
    for path in [*outside, hosted.folder, Path(mine).parent, Path(mine).parent / "other.jpg"]:
        assert fetch(hosted, path) == 403, path
    for name in ("monitoring", "monitoring/summary", "gradio_api/runs", "gradio_api/deep_link"):
        assert httpx.get(hosted.address + name).status_code != 200


def test_the_browser_is_told_to_talk_to_nobody_else(opened: Any) -> None:
    response = httpx.get(opened.address)
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert response.headers["referrer-policy"] == "no-referrer"


def test_a_file_cannot_be_used_from_elsewhere(hosted: Any, portrait: Path, tmp_path: Path) -> None:
    """A program that names a path of the server, instead of uploading a photo, is refused."""
    page = client(hosted, tmp_path)
    stolen = {"path": str(portrait), "meta": {"_type": "gradio.FileData"}}
    body = {"data": [stolen, stolen]}
    joined = httpx.post(f"{hosted.address}gradio_api/call/check", json=body, timeout=30).json()
    answer = httpx.get(f"{hosted.address}gradio_api/call/check/{joined['event_id']}", timeout=30).text
    assert "event: error" in answer
    assert "similarity" not in answer
    page.close()


def test_what_a_visitor_left_goes_at_disconnect(hosted: Any, portrait: Path, tmp_path: Path) -> None:
    page = client(hosted, tmp_path)
    picture, _ = page.predict(handle_file(portrait), api_name="/protect")
    assert Path(picture).exists()
    folder = hosted.page.visitors.of(page.session_hash).folder
    files = [path for path in hosted.folder.rglob("*") if path.is_file()]
    assert any(path.is_relative_to(folder) for path in files)
    assert any(path.name == "astronaut.jpg" for path in files)
    hosted.page.visitors.leave(page.session_hash)
    assert not folder.exists()
    left = {path.name for path in hosted.folder.rglob("*") if path.is_file()}
    assert not left & {"astronaut.jpg", "astronaut.veiled.png", "astronaut.veiled.json"}
    page.close()


def function(page: Client) -> int:
    """The number of the function behind `/protect`."""
    return next(each["id"] for each in page.config["dependencies"] if each["api_name"] == "protect")


def test_one_job_each_and_a_bounded_line(hosted: Any, portrait: Path, tmp_path: Path) -> None:
    first = client(hosted, tmp_path)
    running = first.submit(handle_file(portrait), strength="strong", api_name="/protect")
    until(lambda: hosted.engine.running == 1)
    join = {"fn_index": function(first), "data": [], "session_hash": first.session_hash}
    again = httpx.post(f"{hosted.address}gradio_api/queue/join", json=join, timeout=30)
    assert again.status_code == 400
    assert "One job at a time" in again.text
    others = [client(hosted, tmp_path) for _ in range(4)]
    waiting = [other.submit(handle_file(portrait), api_name="/protect") for other in others[:3]]
    until(lambda: {job.status().rank for job in waiting} == {0, 1, 2})
    with pytest.raises(Exception, match="Queue is full"):
        others[3].submit(handle_file(portrait), api_name="/protect").result(timeout=30)
    hosted.page.visitors.stop(first.session_hash)
    for job in waiting:
        assert Path(job.result(timeout=60)[0]).exists()
    assert hosted.engine.most == 1
    assert hosted.engine.running == 0
    with pytest.raises(AppError):
        running.result(timeout=30)
    for each in (first, *others):
        each.close()


@pytest.mark.parametrize(("size", "words"), [((2400, 100), "2400 x 100 pixels"), ((64, 64), "")])
def test_photos_are_bounded_before_they_are_decoded(
    tmp_path: Path, size: tuple[int, int], words: str
) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", size).save(path)
    rules = hosting.Rules(longest=2000, heaviest=10_000)
    if words:
        with pytest.raises(BadPhoto, match=words):
            rules.admit(path)
    else:
        rules.admit(path)
    path.write_bytes(bytes(10_001))
    with pytest.raises(BadPhoto, match="larger than"):
        rules.admit(path)


def test_rules_come_from_the_environment() -> None:
    assert hosting.rules({}) == hosting.LOCAL
    assert hosting.rules({"VEIL_HOSTED": "0"}) == hosting.LOCAL
    chosen = hosting.rules({"VEIL_HOSTED": "1"}, 2, 1000)
    assert chosen.hosted
    assert (chosen.concurrency, chosen.longest) == (2, 1000)
    assert chosen.keep is not None
    assert chosen.keep + 60 < 600  # ten minutes, with the time between two sweeps
    assert chosen.line
    assert chosen.heaviest


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


def test_old_files_are_swept_and_waiting_visitors_keep_theirs(tmp_path: Path) -> None:
    visitors = Visitors(tmp_path, 0.2, 1)
    (tmp_path / "upload").mkdir()
    upload, lost = tmp_path / "upload" / "a.jpg", tmp_path / "lost.jpg"
    for path in (upload, lost):
        path.write_bytes(b"x")
    visitor = visitors.of("ann", [str(upload)])
    result = visitor.place("result.png")
    result.write_bytes(b"y")
    time.sleep(0.3)
    visitors.sweep(waiting={"ann"})
    assert upload.exists()
    assert result.exists()
    assert not lost.exists()
    time.sleep(0.3)
    visitors.sweep()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(visitors) == 0


def test_a_photo_that_two_visitors_uploaded_stays_for_the_other(tmp_path: Path) -> None:
    visitors, photo = Visitors(tmp_path, None, 1), tmp_path / "same.jpg"
    photo.write_bytes(b"x")
    for name in ("ann", "bob"):
        visitors.of(name, [str(photo)])
    assert visitors.of("ann").folder != visitors.of("bob").folder
    visitors.leave("ann")
    assert photo.exists()
    visitors.leave("bob")
    assert not photo.exists()


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


def test_unforeseen_errors_are_logged_without_names(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("holiday-with-ann.jpg")

    with pytest.raises(RuntimeError) as caught:
        fail()
    told = page.known(caught.value)
    assert "went wrong" in told.message
    assert "RuntimeError at test_app.py" in caplog.text
    assert "ann" not in caplog.text
    secret = page.known(BadPhoto("/tmp/veil-page-x/0123/me.jpg is empty (zero bytes).", "Copy /a/b/c.jpg"))
    assert secret.message == "me.jpg is empty (zero bytes)."


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
