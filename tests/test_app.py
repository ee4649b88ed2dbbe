"""The page without a browser: what programs call, whose files are whose, and the rules for strangers."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from skimage.data import astronaut
from typer.testing import CliRunner

from veil.attacks import RECOGNIZERS
from veil.core.errors import BadSettings, VeilError
from veil.core.types import Item, Stage, Step
from veil.eval.datasets import checksum
from veil.ui import model_words, wording
from veil.ui.cli import app
from veil.ui.records import Record
from veil.ui.web import album_html, html, matches, page, policy
from veil.ui.web.checks import Comparison, used_as_reported
from veil.ui.web.policy import HOSTED
from veil.ui.web.server import TABS, passwords
from veil.ui.web.sessions import Visitors
from veil.ui.web.tabs.album import Held, so_many
from veil.weights.registry import card

PAGE = Path(__file__).parents[1] / "docs" / "page.md"

pytestmark = pytest.mark.filterwarnings(
    # websockets and starlette's own test aids, used by gradio, announce their next versions
    "ignore::DeprecationWarning",
    "ignore:unclosed:ResourceWarning",
)


def client(opened: Any, folder: Path) -> Client:
    return Client(opened.address, download_files=folder, verbose=False)


def example() -> str:
    """The program in the document on the page."""
    return PAGE.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]


@pytest.mark.slow
def test_the_example_of_the_document(
    opened: Any, portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """It runs as it stands, but for the address and where the client puts what it downloads."""
    shutil.copy(portrait, tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    program = example()
    assert program.count("http://127.0.0.1:7860") == 1
    names: dict[str, Any] = {}
    elsewhere = f'Client("{opened.address}", download_files="{tmp_path}")'
    exec(program.replace('Client("http://127.0.0.1:7860")', elsewhere), names)
    picture, page = Path(names["picture"]), names["page"]
    assert picture.name == "photo.veiled.jpg"
    assert not Image.open(picture).getexif()
    assert b"private-author" not in picture.read_bytes()
    record = Record.model_validate(names["report"])
    assert record.photo == "photo.jpg"
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    said = [line for line in lines if line[-1] in ("True", "False")]
    assert {line[0] for line in said} == {name for name in RECOGNIZERS if card(name).packaged}
    for _, similarity, limit, same in said:
        assert (float(similarity) > float(limit)) == (same == "True")
    judged = [line for line in lines if line[-1] in ("yes", "related", "no")]
    assert [line[0] for line in judged] == [match.recognizer for match in record.report.faces[0].matches]
    page.close()


def test_the_document_names_the_options_and_endpoints(opened: Any) -> None:
    section = PAGE.read_text(encoding="utf-8")
    known = CliRunner().invoke(app, ["ui", "--help"], env={"COLUMNS": "200"}).output
    options = set(re.findall(r" (--[a-z-]+)", section))
    assert options == set(re.findall(r"(--[a-z-]+)", known)) - {"--help"}
    for name in (*TABS, *(f"`/{name}`" for name in ENDPOINTS)):
        assert name in section
    for figure in (HOSTED.line, HOSTED.longest, f"{(HOSTED.heaviest or 0) // 10**6} MB"):
        assert str(figure) in section


ENDPOINTS = ("check", "faces", "impersonate", "link", "models", "protect")


@pytest.mark.slow
def test_names_of_the_endpoints(opened: Any, portrait: Path, tmp_path: Path) -> None:
    """They are promised to programs: what is added or renamed here changes docs/page.md too."""
    page = client(opened, tmp_path)
    named = page.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert sorted(named) == [f"/{name}" for name in ENDPOINTS]
    wanted = ["photo", "strength", "faces", "seed", "format", "effort"]
    assert [parameter["parameter_name"] for parameter in named["/protect"]["parameters"]] == [*wanted, "me"]
    assert named["/protect"]["parameters"][-1]["parameter_has_default"]
    others = [parameter["parameter_name"] for parameter in named["/impersonate"]["parameters"]]
    assert others == ["photo", "target", *wanted[1:]]
    assert page.predict(api_name="/models")[0]["Model"] == "dlib"
    (face,) = page.predict(handle_file(portrait), api_name="/faces")
    assert face["number"] == 1
    assert face["protectable"]
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize(("options", "steps"), [({}, 60), ({"effort": "quick"}, 18)])
def test_an_effort_reaches_the_report(
    opened: Any, portrait: Path, tmp_path: Path, options: dict[str, str], steps: int
) -> None:
    page = client(opened, tmp_path)
    for endpoint, photos in (("/protect", [portrait]), ("/impersonate", [portrait, portrait])):
        _, report = page.predict(*map(handle_file, photos), api_name=endpoint, **options)
        assert report["settings"]["steps"] == steps
    page.close()


@pytest.mark.slow
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


@pytest.mark.slow
def test_leaving_stops_the_work_within_one_step(tmp_path: Path) -> None:
    closed = threading.Event()
    taken: list[int] = []

    def endless() -> Any:
        try:
            while True:
                taken.append(1)
                time.sleep(0.01)
                yield Step(Stage.PROTECTING, 1, 2)
        finally:
            closed.set()

    visitors = Visitors(tmp_path, None, 1)
    shown = page.Page(policy.LOCAL, visitors, blocks=None).watch(visitors.of("ann"), endless(), str)
    assert "progressbar" in next(shown)
    shown.close()
    assert closed.wait(5)
    count = len(taken)
    time.sleep(0.1)
    assert len(taken) == count


@pytest.mark.slow
def test_the_page_hears_of_work_that_takes_its_time(tmp_path: Path) -> None:
    """While a step lasts, what is shown is sent again and again, and the last preview stays."""
    free = threading.Event()

    def slow() -> Any:
        yield Step(Stage.GETTING_READY, 0, 1, preview=np.full((40, 40, 3), 200, np.uint8))
        yield Step(Stage.PROTECTING, 1, 3)
        free.wait(60)

    visitors = Visitors(tmp_path, None, 1)
    shown = page.Page(policy.LOCAL, visitors, blocks=None).watch(visitors.of("ann"), slow(), str)
    for _ in range(3):
        assert "data:image/jpeg" in next(shown)
    assert page.EVERY <= 1
    free.set()
    assert not [html for html in shown if "data:image/jpeg" not in html]


def test_progress_says_where_it_is() -> None:
    stages = Stage.LEARNING_EMBEDDINGS, Stage.PROTECTING, Stage.JUDGING
    begin, middle, end = (page.progress_share(Step(one, 0, 40)) for one in stages)
    assert 0 == begin < middle < end < 1
    last = Step(Stage.PROTECTING, 0, 40, item=Item(2, 2, 2))
    assert wording.stage(last).startswith("Face 2 of 2: changing")
    assert 0.4 < page.progress_share(last) < page.progress_share(replace(last, done=40)) <= 0.85
    half = Step(Stage.PROTECTING, 40, 40, item=Item(1, 4, 8))
    assert wording.stage(half).startswith("Faces 1 to 4 of 8: changing")
    assert page.progress_share(half) == pytest.approx(0.85 / 2)
    assert set(wording.STAGES) == set(Stage)


def test_the_bar_of_a_clip_never_goes_back() -> None:
    """Two faces, for each of which the search is taken up again."""
    stages = Stage.GETTING_READY, Stage.LEARNING_EMBEDDINGS, Stage.PROTECTING, Stage.PROTECTING
    searched = [(stage, Item(face, face, 2)) for face in (1, 2) for stage in stages]
    steps = [(Stage.FOLLOWING, None), *searched, (Stage.RENDERING, None), (Stage.JUDGING, None)]
    clock, bars = page.Clock(page.OF_CLIP), list[float]()
    for stage, item in steps:
        for done in range(5):
            following: Any = SimpleNamespace(step=Step(stage, done, 4, item=item), preview=None)
            (width,) = re.findall(r"width:([\d.]+)%", clock.show(following))
            bars.append(float(width))
    assert bars == sorted(bars)
    assert (bars[0], bars[-1]) == (0, 100)
    assert len(set(bars)) > 20


def test_what_comes_from_outside_is_escaped() -> None:
    evil = "<script>alert(1)</script>.jpg"
    page = html.problem(VeilError(evil, evil)) + album_html.outcomes([("done", evil, evil)])
    page += html.downloads([(evil, Path("/tmp") / "x" / "<b>.jpg")])
    page += album_html.pair([Path(evil)] * 2, [Path(evil)] * 2, evil)
    assert "<script" not in page
    assert "<b>.jpg" not in page


def test_honest_judges_come_first() -> None:
    class Match:
        def __init__(self, used: str) -> None:
            self.used_by_attack = used

    asked: Any = [Match("yes"), Match("related"), Match("no")]
    assert [match.used_by_attack for match in matches.fairest_first(asked)] == ["no", "related", "yes"]


def test_a_report_tells_the_honest_judges_of_two_photos(tmp_path: Path) -> None:
    """It may be that of either photo; digits tell apart what lies close to its threshold."""
    photos, report = [tmp_path / "a.jpg", tmp_path / "a.veiled.jpg"], tmp_path / "elsewhere.json"
    for photo in photos:
        photo.write_text(photo.name)
    said = {"picture_sha256": checksum(photos[1]), "settings": {"surrogates": ["dlib"]}}
    report.write_text(json.dumps(said))
    for pair in (photos, photos[::-1]):
        assert used_as_reported(report, pair) == {"dlib"}
    report.write_text(json.dumps(said | {"picture_sha256": "another"}))
    with pytest.raises(BadSettings, match="the report of another picture") as wrong:
        used_as_reported(report, photos)
    assert wrong.value.hint.endswith("or none.")
    rows = Comparison("dlib", 0.909, 0.9134, "yes"), Comparison("sface", 0.2, 0.3, "no")
    shown = matches.same_person(rows)
    assert "None of 2 recognisers takes them" in shown
    assert "of those that the protection has never met, none of 1." in shown
    assert shown.index("sface") < shown.index("dlib")
    assert "0.909 <small>(threshold 0.913)" in shown
    assert "no honest judge is left" in matches.same_person(rows[:1])
    unknown = matches.same_person([replace(row, used=None) for row in rows])
    assert "judge" not in unknown
    assert unknown.index("dlib") < unknown.index("sface")


def test_digits_tell_a_similarity_from_its_threshold() -> None:
    assert wording.beside([0.91, 0.2], 0.3, 2) == ["0.91", "0.20", "0.30"]
    assert wording.beside([0.91], 0.9134, 2) == ["0.910", "0.913"]
    assert wording.beside([0.9131], 0.9134) == ["0.9131", "0.9134"]
    assert wording.beside([0.3], 0.3, 2) == ["0.30", "0.30"]


def test_models_that_are_not_here_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {row[0]: "no" if row[0] == "insightface" else "yes" for row in model_words.model_rows()}
    rows = [(name, "", "", "", state) for name, state in states.items()]
    monkeypatch.setattr(model_words, "model_rows", lambda: rows)
    assert html.models().count("veil fetch") == html.models().count("veil fetch insightface") == 1
    assert "veil fetch" not in html.models(hosted=True)


def test_an_album_counts_what_can_be_used() -> None:
    rows = {"a.jpg": ("done", "a.jpg", "fine", "<img>"), "b.jpg": ("failed", "b.jpg", "no face")}
    assert so_many(rows) == "1 of 2 photos are protected."
    rows |= {"c.txt": ("refused", "c.txt", "no picture"), "d.mp4": ("waiting", "d.mp4", "not done yet")}
    assert so_many(rows) == "1 of 3 files are protected. 1 file cannot be used."


def test_the_change_is_amplified_around_grey() -> None:
    from veil.ui.web.pictures import AMPLIFIED, amplified, embedded

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


def test_photos_of_one_name_get_numbers_in_an_album(tmp_path: Path) -> None:
    """In whatever formats: their reports have one name, too."""
    held = Held(zip=tmp_path / "all.zip")
    (tmp_path / "all.zip").write_text("an older one")
    for name in ("a.veiled.jpg", "a.veiled.png", "b.veiled.png"):
        (tmp_path / name).touch()
        (tmp_path / name).with_suffix(".json").touch()
        held.results[name] = tmp_path / name, (tmp_path / name).with_suffix(".json")
    held.pack()
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert sorted(archive.namelist()) == [
            *("a-2.veiled.json", "a-2.veiled.png", "a.veiled.jpg", "a.veiled.json"),
            *("b.veiled.json", "b.veiled.png"),
        ]


def test_a_zip_is_whole_or_as_it_was(tmp_path: Path) -> None:
    """What cannot be added, as where the disk is full, leaves no half of it in the zip."""
    held = Held(zip=tmp_path / "all.zip", results={"a": (tmp_path / "a.veiled.png", tmp_path / "a.json")})
    for path in held.results["a"]:
        path.write_text("whole")
    held.pack()
    before = (tmp_path / "all.zip").read_bytes()
    held.results["b"] = tmp_path / "b.veiled.png", tmp_path
    with pytest.raises(FileNotFoundError):
        held.pack()
    assert (tmp_path / "all.zip").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.veiled.png", "all.zip"]
