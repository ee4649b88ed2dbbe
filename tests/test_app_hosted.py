"""The page as strangers meet it: whose files are whose, how long they stay, and what is refused."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import numpy as np
import pytest
import tifffile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from veil.core.errors import BadPhoto
from veil.privacy.settings import settings
from veil.ui.web import page, policy, server
from veil.ui.web.sessions import Visitors
from veil.ui.web.tabs.album import Held, continued

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


def upload(opened: Any, path: Path, name: str) -> str:
    """Upload a file as the page does; returns where it lies."""
    response = httpx.post(
        f"{opened.address}gradio_api/upload", files={"files": (name, path.read_bytes())}, timeout=30
    )
    response.raise_for_status()
    return response.json()[0]


def fetch(opened: Any, path: object) -> int:
    return httpx.get(f"{opened.address}gradio_api/file={path}", timeout=30).status_code


def fetch_raw(opened: Any, target: str) -> tuple[int, bytes]:
    """Ask for a target exactly as it is written: a client would tidy up what leads outside."""
    connection = HTTPConnection(httpx.URL(opened.address).netloc.decode(), timeout=30)
    connection.putrequest("GET", target, skip_accept_encoding=True)
    connection.endheaders()
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content


def test_no_listing_and_no_path_outside(hosted: Any, portrait: Path) -> None:
    mine = upload(hosted, portrait, "me.jpg")
    assert fetch(hosted, mine) == 200
    outside = [Path(__file__), portrait, Path("/etc/hosts"), hosted.folder / ".." / portrait.name]
    for path in [*outside, hosted.folder, Path(mine).parent, Path(mine).parent / "other.jpg"]:
        assert fetch(hosted, path) == 403, path
    for name in ("monitoring", "monitoring/summary", "gradio_api/runs", "gradio_api/deep_link"):
        assert httpx.get(hosted.address + name).status_code != 200


@pytest.mark.parametrize("up", ["../", "..%2f", "..%252f", "%2e%2e/", "..\\", "....//"])
def test_no_way_up(hosted: Any, tmp_path: Path, up: str) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"outside of the page")
    below, climb = str(hosted.folder), up * len(hosted.folder.parts)
    for place in (
        *(f"/gradio_api/file={below}/{climb}{secret}", f"/gradio_api/file={climb}{secret}"),
        *(f"/gradio_api/file{secret}", f"/file={secret}", f"/gradio_api/file=file://{secret}"),
        *(f"/assets/{climb}{secret}", f"/static/{climb}{secret}", f"/gradio_api/stream/{climb}{secret}"),
    ):
        assert b"outside" not in fetch_raw(hosted, place)[1], place
    lies = Path(upload(hosted, secret, f"{up}{up}up.jpg")).resolve()
    assert lies.is_relative_to(hosted.folder.resolve())


@pytest.mark.slow
def test_another_visitor_is_not_told_where_files_are(hosted: Any, portrait: Path, tmp_path: Path) -> None:
    ann, bob = client(hosted, tmp_path), client(hosted, tmp_path)
    ann.predict(handle_file(portrait), api_name="/protect")
    folders = [hosted.page.visitors.of(each.session_hash).folder for each in (ann, bob)]
    assert folders[0] != folders[1]
    assert len(folders[0].name.removeprefix("visitor-")) == 32  # hexadecimal digits: 128 random bits
    for name in ("", "config", "gradio_api/info", "gradio_api/queue/status", "gradio_api/app_id"):
        told = httpx.get(hosted.address + name).text
        assert folders[0].name not in told
        assert "astronaut" not in told
    bob.close()
    assert folders[0].exists()
    ann.close()
    until(lambda: not folders[0].exists())


@pytest.mark.slow
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


@pytest.mark.slow
def test_what_a_visitor_left_goes_at_disconnect(hosted: Any, portrait: Path, tmp_path: Path) -> None:
    page = client(hosted, tmp_path)
    picture, _ = page.predict(handle_file(portrait), api_name="/protect")
    assert Path(picture).exists()
    folder = hosted.page.visitors.of(page.session_hash).folder
    files = [path for path in hosted.folder.rglob("*") if path.is_file()]
    assert any(path.is_relative_to(folder) for path in files)
    assert any(path.name == "astronaut.jpg" for path in files)
    page.close()
    until(lambda: not folder.exists())
    left = {path.name for path in hosted.folder.rglob("*") if path.is_file()}
    assert not left & {"astronaut.jpg", "astronaut.veiled.jpg", "astronaut.veiled.json"}


def test_what_nobody_uses_goes_while_the_page_is_open(forgetful: Any, portrait: Path) -> None:
    """Within ten minutes on a real page; this one is told to keep files half a second."""
    place = Path(upload(forgetful, portrait, "me.jpg"))
    until(lambda: not place.exists())
    assert fetch(forgetful, place) != 200


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ["protect", "impersonate", "check", "faces"])
def test_large_photos_are_refused_everywhere(
    hosted: Any, portrait: Path, tmp_path: Path, endpoint: str
) -> None:
    large = tmp_path / "large.png"
    Image.new("RGB", (2400, 100)).save(large)
    photos = {"protect": [large], "impersonate": [portrait, large], "check": [portrait, large]}
    page = client(hosted, tmp_path)
    with pytest.raises(AppError, match="2400 x 100 pixels; this page takes 2000"):
        page.predict(*map(handle_file, photos.get(endpoint, [large])), api_name=f"/{endpoint}")
    page.close()


@pytest.mark.slow
def test_an_album_to_check_keeps_the_rules(hosted: Any, portrait: Path, tmp_path: Path) -> None:
    """What is too large is left out and named, without a place of this machine; too many are refused."""
    large = tmp_path / "large.png"
    Image.new("RGB", (2400, 100)).save(large)
    page = client(hosted, tmp_path)
    said = page.predict([*map(handle_file, (portrait, large, portrait))], api_name="/link")
    assert said["groups"] == [[1, 2]]
    assert not any("used_by_attack" in judge for judge in said["judges"])  # which the page cannot know
    assert [one["photo"] for one in said["unusable"]] == ["large.png"]
    assert "2400 x 100 pixels; this page takes 2000" in said["unusable"][0]["error"]
    assert str(hosted.folder) not in str(said)
    assert said["photos"] == [portrait.name, f"{portrait.name} (2)"]
    with pytest.raises(AppError, match=f"takes {policy.HOSTED.album} files at a time"):
        page.predict(
            [handle_file(portrait)] * (policy.HOSTED.album or 0) + [handle_file(large)], api_name="/link"
        )
    page.close()


def test_a_heavy_upload_is_cut_off(hosted: Any) -> None:
    sent = {"files": ("heavy.png", bytes(hosted.page.rules.heaviest + 100_000))}
    assert httpx.post(f"{hosted.address}gradio_api/upload", files=sent, timeout=30).status_code == 413


@pytest.mark.slow
def test_nothing_that_is_logged_or_printed_names_a_photo(
    hosted: Any, portrait: Path, tmp_path: Path, caplog: Any, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "holiday-with-ann.jpg"
    named.write_bytes(portrait.read_bytes())
    broken = tmp_path / "letter-to-ann.png"
    broken.write_text("dear")
    page = client(hosted, tmp_path)
    page.predict(handle_file(named), api_name="/protect")
    with pytest.raises(AppError):
        page.predict(handle_file(broken), api_name="/protect")
    monkeypatch.setattr(hosted.engine, "fails", "no room for holiday-with-ann.jpg")
    with pytest.raises(AppError, match="Something went wrong inside veil") as told:
        page.predict(handle_file(named), api_name="/protect")
    assert "holiday" not in str(told.value)
    page.close()
    written = "".join(capfd.readouterr())
    assert "RuntimeError at conftest.py" in caplog.text
    for text in (caplog.text, written):
        assert "ann.jpg" not in text
        assert "ann.png" not in text


def function(page: Client) -> int:
    """The number of the function behind `/protect`."""
    return next(each["id"] for each in page.config["dependencies"] if each["api_name"] == "protect")


@pytest.mark.slow
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
    rules = policy.Rules(longest=2000, heaviest=10_000)
    if words:
        with pytest.raises(BadPhoto, match=words):
            rules.admit(path)
    else:
        rules.admit(path)
    path.write_bytes(bytes(10_001))
    with pytest.raises(BadPhoto, match="larger than"):
        rules.admit(path)


def test_a_tiff_of_floats_is_bounded_as_well(tmp_path: Path) -> None:
    """Pillow does not know it, but veil reads it."""
    path = tmp_path / "photo.tif"
    tifffile.imwrite(path, np.zeros((100, 2400, 3), np.float32), photometric="rgb")
    with pytest.raises(BadPhoto, match="2400 x 100 pixels"):
        policy.Rules(longest=2000).admit(path)


def test_what_was_deleted_is_asked_for_again(tmp_path: Path) -> None:
    """After ten minutes photos and results of an album are gone; "Continue" must not count on them."""
    with pytest.raises(BadPhoto, match=r"me\.png is not here any more") as gone:
        policy.HOSTED.admit(tmp_path / "me.png")
    assert "drop it again" in gone.value.hint
    visitors, asked = Visitors(tmp_path, None, 1), settings()
    ann, paths = visitors.of("ann"), [str(tmp_path / name) for name in ("a.png", "b.png", "c.txt")]
    Image.new("RGB", (9, 9)).save(paths[1])
    Path(paths[2]).write_text("no picture")
    rows = {paths[0]: ("done", "a.png", "fine"), paths[1]: ("waiting", "b.png", "not done yet")}
    results = {paths[0]: (ann.path_for("a.veiled.png"), ann.path_for("a.veiled.json"))}
    begun = Held(asked, rows, results, ann.path_for("veiled.zip"))
    opened = page.Page(policy.HOSTED, visitors, blocks=None)
    for path in results[paths[0]]:
        path.write_bytes(b"x")
    goes_on = continued(opened, begun, ann, paths, asked)
    (kind, name, said) = goes_on.rows[paths[2]]
    assert (kind, name, "is not a picture" in said) == ("refused", "c.txt", True)
    assert (goes_on.count, goes_on.rows, goes_on.zip) == (1, rows | {paths[2]: (kind, name, said)}, begun.zip)
    fewer = continued(opened, goes_on, ann, paths[:2], asked)  # without what is no use
    assert (fewer.count, fewer.rows) == (1, rows)
    assert continued(opened, goes_on, ann, paths[1:], asked).count == 0  # the others were kept apart from it
    results[paths[0]][0].unlink()
    anew = continued(opened, begun, ann, paths, asked)
    assert anew.count == 0
    assert anew.zip != begun.zip


def test_what_is_quick_is_done_side_by_side(hosted: Any) -> None:
    queue = hosted.page.queue
    for fn in queue.blocks.fns.values():  # else a line is made at its first event
        queue.create_event_queue_for_fn(fn)
    lines = queue.event_queue_per_concurrency_id
    assert lines["light"].concurrency_limit == policy.HOSTED.light > 1
    assert lines[policy.ENGINE].concurrency_limit == policy.HOSTED.concurrency == 1


def test_rules_come_from_the_environment() -> None:
    assert policy.rules({}) == policy.LOCAL
    assert policy.rules({"VEIL_HOSTED": "0"}) == policy.LOCAL
    chosen = policy.rules({"VEIL_HOSTED": "1"}, 2, 1000)
    assert chosen.hosted
    assert (chosen.concurrency, chosen.longest) == (2, 1000)
    assert chosen.keep is not None
    assert chosen.keep + 60 < 600  # ten minutes, with the time between two sweeps
    assert chosen.line
    assert chosen.heaviest


def test_what_a_killed_page_kept_goes_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")  # so that it is put back afterwards
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "veil-page-a_killed"
    for left in (folder / ".lock", folder / "files" / "visitor-0" / "me.jpg"):
        left.parent.mkdir(parents=True, exist_ok=True)
        left.touch()
    with server.opened():
        assert not folder.exists()
        (lives,) = tmp_path.iterdir()
        assert lives.stat().st_mode & 0o77 == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_old_files_are_swept_and_waiting_visitors_keep_theirs(tmp_path: Path) -> None:
    visitors = Visitors(tmp_path, 0.2, 1)
    (tmp_path / "upload").mkdir()
    upload, lost = tmp_path / "upload" / "a.jpg", tmp_path / "lost.jpg"
    for path in (upload, lost):
        path.write_bytes(b"x")
    visitor = visitors.of("ann", [str(upload)])
    result = visitor.path_for("result.png")
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


def test_a_sweep_passes_over_folders_that_others_delete(tmp_path: Path) -> None:
    visitors, done = Visitors(tmp_path, 60, 1), threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            folder = tmp_path / token_hex(4) / "a" / "b"
            folder.mkdir(parents=True)
            shutil.rmtree(folder.parents[1])

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        for _ in range(300):
            visitors.sweep()
    finally:
        done.set()
        other.join()


class Crowded(set[Path]):
    """The uploads of a visitor, while somebody looks at which another one comes, on another thread."""

    def __init__(self, come: Callable[[], object]) -> None:
        super().__init__()
        self.come = come

    def __iter__(self) -> Iterator[Path]:
        other = threading.Thread(target=self.come)
        other.start()
        other.join(0.2)  # who has to wait comes afterwards
        return super().__iter__()


@pytest.mark.slow
@pytest.mark.parametrize("look", ["sweep", "leave"])
def test_visitors_may_come_while_files_are_swept(tmp_path: Path, look: str) -> None:
    visitors, names = Visitors(tmp_path, 60, 1), iter(map(str, range(10)))
    for name in ("ann", "bob", "cid"):
        visitors.of(name).uploads = Crowded(lambda: visitors.of(next(names)))
    visitors.sweep() if look == "sweep" else visitors.leave("ann")
    until(lambda: len(visitors) >= 4)


def test_the_sweeper_outlives_what_goes_wrong(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    visitors, lost, failures = Visitors(tmp_path, 0.2, 1), tmp_path / "ann.jpg", iter([RuntimeError("ann")])
    lost.write_bytes(b"x")

    def waiting() -> tuple[str, ...]:
        for failure in failures:
            raise failure
        return ()

    closed = visitors.watch(0.1, waiting)
    until(lambda: not lost.exists())
    closed.set()
    assert "RuntimeError at" in caplog.text
    assert "ann" not in caplog.text


@pytest.mark.slow
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


def test_unforeseen_errors_are_logged_without_names(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("holiday-with-ann.jpg")

    with pytest.raises(RuntimeError) as caught:
        fail()
    told = page.known(caught.value)
    assert "went wrong" in told.message
    assert "RuntimeError at test_app_hosted.py" in caplog.text
    assert "ann" not in caplog.text
    secret = page.known(BadPhoto("/tmp/veil-page-x/0123/me.jpg is empty (zero bytes).", "Copy /a/b/c.jpg"))
    assert secret.message == "me.jpg is empty (zero bytes)."
