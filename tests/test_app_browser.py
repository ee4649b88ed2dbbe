"""The page in a real browser: people by mouse, finger and keyboard; screenshots go to artefacts/."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from insightface.data import get_image
from PIL import Image
from pillow_heif import register_heif_opener
from playwright.sync_api import Browser, Page, expect, sync_playwright
from skimage.data import astronaut

from veil.attacks import packaged
from veil.attacks.faces.detection import find_faces
from veil.attacks.faces.found import SMALLEST
from veil.core.images import open_photo
from veil.ui.web.server import TABS
from veil.ui.web.tabs.protect import EXAMPLE

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--disable-quic"]
SHOTS = Path(__file__).parents[1] / "artefacts" / "page"
PATIENCE = 30_000.0  # milliseconds
expect.set_options(timeout=PATIENCE)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM, reason="no chromium here: apt-get install chromium"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, opened: Any, request: pytest.FixtureRequest) -> Generator[Page]:
    """A fresh visitor's page; in the end it has asked nobody but this server, and raised no error."""
    options: dict[str, Any] = getattr(request, "param", {})
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(PATIENCE)
    visited = context.new_page()
    asked, errors = list[str](), list[str]()
    visited.on("request", lambda each: asked.append(each.url))
    visited.on("pageerror", lambda error: errors.append(str(error)))
    visited.goto(opened.address)
    visited.locator("#veil-start").wait_for()
    yield visited
    context.close()
    local = (opened.address, "data:", "blob:")
    assert [url for url in asked if not url.startswith(local)] == []
    assert errors == []


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """insightface's group photo."""
    path = tmp_path_factory.mktemp("photos") / "group.png"
    Image.fromarray(get_image("t1")[..., ::-1].copy()).save(path)
    return path


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "notes.jpg"
    path.write_text("no picture at all")
    return path


def shoot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(400)  # transitions
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def drop(page: Page, where: str, *photos: Path) -> None:
    page.locator(f"{where} input[type=file]").set_input_files(photos)


def download(page: Page, label: str, to: Path) -> Path:
    with page.expect_download() as started:
        page.get_by_role("link", name=label).click()
    path = to / started.value.suggested_filename
    started.value.save_as(path)
    return path


def test_protecting_a_portrait(page: Page, portrait: Path, tmp_path: Path) -> None:
    shoot(page, "first")
    expect(page.get_by_text("Nothing about your photo leaves this machine")).to_be_visible()
    drop(page, "#veil-photos", portrait)
    expect(page.locator(".veil-face")).to_have_count(1)
    shoot(page, "face")
    page.get_by_label("Thorough:").first.check()
    page.get_by_role("button", name="Protect", exact=True).click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    expect(page.locator(".veil-progress img")).to_be_visible()
    shoot(page, "progress")
    verdict = page.locator(".veil-verdict")
    expect(verdict).to_contain_text("recognise")
    rows = verdict.locator("tbody tr")
    expect(rows.first).to_contain_text("sface")
    expect(rows.first).to_contain_text("honest judge")
    expect(rows.first).to_contain_text(re.compile(r"similarity 1\.00 → -?0\.\d\d, threshold 0\.31"))
    expect(verdict.locator("thead")).to_contain_text("saved as JPEG 75")
    expect(verdict).to_contain_text("PSNR")
    expect(page.get_by_text("What this does not promise")).to_be_visible()
    shoot(page, "result")

    line = page.get_by_label("How much of the photo before is shown")
    line.focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert page.locator(".veil-pair").evaluate("pair => pair.style.getPropertyValue('--at')") == "40%"
    size = page.locator(".veil-after img").evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert size == [512, 512]
    expect(page.locator(".veil-name")).to_have_text("astronaut.jpg")
    page.get_by_label("Close up").check()
    expect(page.locator("#veil-closest")).to_be_hidden()  # of one face
    zoomed = "pair => pair.querySelector('img').offsetWidth > 2 * pair.offsetWidth"
    expect(page.locator(".veil-pair")).to_have_css("aspect-ratio", re.compile(r"^0\.\d+"))
    assert page.locator(".veil-pair").evaluate(zoomed)
    shoot(page, "close-up")
    page.get_by_label("The change, amplified").check()
    expect(page.get_by_text("Plain grey has not changed")).to_be_visible()
    shoot(page, "change")

    picture = download(page, "Download the photo", tmp_path)
    assert picture.name == "astronaut.veiled.jpg"
    assert b"private-author" not in picture.read_bytes()
    before, after = (np.asarray(Image.open(path), int) for path in (portrait, picture))
    changed = (abs(after - before) > 16).any(-1)  # the photo is written as JPEG once more
    assert 0.01 < changed.mean() < 0.5
    report = json.loads(download(page, "Download the report", tmp_path).read_text())
    assert report["photo"] == "astronaut.jpg"
    assert report["settings"]["steps"] == 180


def test_choosing_a_face_on_the_photo(page: Page, group: Path, tmp_path: Path) -> None:
    drop(page, "#veil-photos", group)
    faces = page.locator(".veil-face")
    expect(faces.nth(5)).to_be_visible()
    assert page.locator(".veil-face[aria-pressed='false']").count() == 1  # what is taken for no face
    for number in range(1, faces.count()):
        if number != 2:
            page.locator(f"[data-face='{number}']").click()
            expect(page.locator(f"[data-face='{number}']")).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_label("Face 2").first).to_be_visible()
    shoot(page, "group")
    page.get_by_role("button", name="Protect", exact=True).click()
    expect(page.locator(".veil-verdict")).to_be_visible()
    picture = np.asarray(Image.open(download(page, "Download the photo", tmp_path)))
    changed = np.argwhere((picture != np.asarray(Image.open(group))).any(-1))
    box = page.locator("[data-face='2']").evaluate(
        "face => [face.style.left, face.style.top, face.style.width, face.style.height].map(parseFloat)"
    )
    high, wide = picture.shape[:2]
    low, top = changed.min(0), changed.max(0)
    assert abs(low[1] / wide * 100 - box[0]) < 1
    assert abs(low[0] / high * 100 - box[1]) < 1
    assert abs((top - low)[1] / wide * 100 - box[2]) < 1


def test_stop_in_the_middle_and_another_run(page: Page, opened: Any, portrait: Path) -> None:
    drop(page, "#veil-photos", portrait)
    expect(page.locator(".veil-face")).to_have_count(1)
    page.get_by_label("Strong:").first.check()
    page.locator("#veil-start").click()
    expect(page.get_by_text("Changing what machines look at").first).to_be_visible()
    assert opened.engine.running == 1
    page.locator("#veil-stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    page.wait_for_timeout(1500)
    assert opened.engine.running == 0
    expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(page.locator("#veil-start")).to_be_enabled()
    page.get_by_label("Balanced:").first.check()
    page.locator("#veil-start").click()
    expect(page.locator(".veil-verdict")).to_be_visible()
    assert opened.engine.running == 0


def test_what_cannot_be_used_is_said_with_a_way_out(page: Page, notes: Path, tmp_path: Path) -> None:
    blank = tmp_path / "wall.png"
    Image.new("RGB", (300, 300), "grey").save(blank)
    expect(page.locator("#veil-start")).to_be_disabled()
    drop(page, "#veil-photos", notes, blank)
    problem = page.get_by_role("alert").first
    expect(problem).to_contain_text("notes.jpg is not a picture that veil can read. It reads JPEG")
    expect(problem).to_contain_text("No face was found in wall.png. Try a photo in which the face is larger")
    assert "/tmp" not in problem.inner_text()
    expect(page.locator("#veil-start")).to_be_disabled()
    shoot(page, "problems")


def test_the_button_waits_for_faces(page: Page, group: Path) -> None:
    """It opens when faces are found, closes when the last one is let go, and while other photos come."""
    start, faces = page.locator("#veil-start"), page.locator(".veil-face")
    expect(start).to_be_disabled()
    drop(page, "#veil-photos", group)
    expect(faces.nth(5)).to_be_visible()
    expect(start).to_be_enabled()
    for number in range(1, faces.count()):  # the last one is taken for no face
        page.locator(f"[data-face='{number}']").click()
        expect(page.locator(f"[data-face='{number}']")).to_have_attribute("aria-pressed", "false")
    expect(start).to_be_disabled()
    page.locator("[data-face='1']").click()
    expect(start).to_be_enabled()


def test_the_example_is_protected(page: Page, tmp_path: Path) -> None:
    page.locator("#veil-example").click()
    expect(page.locator(".veil-face")).to_have_count(1)
    page.locator("#veil-start").click()
    expect(page.locator(".veil-verdict")).to_contain_text("recognise")
    picture = download(page, "Download the photo", tmp_path)
    changed = (np.asarray(Image.open(picture)) != np.asarray(Image.open(EXAMPLE))).any(-1)
    assert 0.01 < changed.mean() < 0.5


def test_a_result_goes_with_its_photo(page: Page, opened: Any, portrait: Path, group: Path) -> None:
    """When other photos come, and when the photo is taken away: then the job is stopped, too."""
    drop(page, "#veil-photos", portrait)
    expect(page.locator(".veil-face")).to_have_count(1)
    page.locator("#veil-start").click()
    expect(page.locator(".veil-verdict")).to_be_visible()
    drop(page, "#veil-photos", group)
    expect(page.locator("#veil-which label")).to_have_count(2)
    expect(page.locator(".veil-verdict")).to_be_hidden()
    expect(page.get_by_role("link", name="Download the photo")).to_be_hidden()
    expect(page.locator("#veil-panel")).to_contain_text("It appears here")
    page.get_by_label("Strong:").first.check()
    page.locator("#veil-start").click()
    expect(page.locator(".veil-progress img")).to_be_visible()
    page.locator("#veil-photos").get_by_role("button", name="Clear").click()
    expect(page.locator("#veil-stop")).to_be_disabled()
    expect(page.locator(".veil-progress")).to_be_hidden()
    assert opened.engine.running == 0
    expect(page.locator(".veil-verdict")).to_be_hidden()
    expect(page.locator("#veil-start")).to_be_disabled()


def test_protect_goes_on_after_a_stop(page: Page, opened: Any, portrait: Path, tmp_path: Path) -> None:
    """What was done is kept and shown; a reload meanwhile is asked about, and to stay loses nothing."""
    named = [tmp_path / "first.jpg", tmp_path / '"second" <b>.jpg']
    for turned, path in enumerate(named):
        Image.open(portrait).rotate(turned).save(path)
    drop(page, "#veil-photos", *named)
    expect(page.locator("#veil-which label")).to_have_count(2)
    asked = list[str]()
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    begun = opened.engine.begun
    page.locator("#veil-start").click()
    expect(page.locator("#veil-panel")).to_contain_text("1 of 2, first.jpg. Changing")
    page.close(run_before_unload=True)
    expect(page.locator("#veil-panel")).to_contain_text('2 of 2, "second" <b>.jpg. Changing')
    page.locator("#veil-stop").click()
    expect(page.locator("#veil-panel")).to_contain_text('1 of 2 photos are protected; not yet: "second" <b>')
    assert asked == ["beforeunload"]
    expect(page.locator(".veil-name")).to_have_text("first.jpg")
    expect(page.locator("#veil-start")).to_have_text("Continue")
    page.locator("#veil-start").click()
    expect(page.locator("#veil-panel")).to_contain_text("Done.")
    assert opened.engine.begun == begun + 3
    page.locator("#veil-result").get_by_label('"second" <b>.jpg').check()
    expect(page.locator(".veil-name")).to_have_text('"second" <b>.jpg')
    record = json.loads(download(page, "Download the report", tmp_path).read_text())
    assert record["photo"] == '"second" <b>.jpg'


def test_photos_dropped_meanwhile_wait_for_their_turn(page: Page, opened: Any, portrait: Path) -> None:
    page.locator("#veil-example").click()
    expect(page.locator(".veil-face")).to_have_count(1)
    page.get_by_label("Strong:").first.check()
    page.locator("#veil-start").click()
    expect(page.locator(".veil-progress img")).to_be_visible()
    drop(page, "#veil-photos", portrait)
    expect(page.locator("#veil-picture img")).to_have_attribute("alt", re.compile("two|astronaut"))
    expect(page.locator("#veil-start")).to_be_disabled()
    page.locator("#veil-stop").click()
    expect(page.locator("#veil-start")).to_be_enabled()
    expect(page.locator(".veil-face")).to_have_count(1)


def test_a_bad_file_among_good_ones_with_a_small_face(
    page: Page, portrait: Path, notes: Path, tmp_path: Path
) -> None:
    """One file cannot be read, and of two faces in the other one is too small: the rest is protected."""
    photo = two_faces(portrait, tmp_path / "two.png")
    found = find_faces(np.asarray(photo))
    assert [one.side >= SMALLEST for one in found] == [True, False]
    drop(page, "#veil-photos", notes, tmp_path / "two.png")
    problems = page.get_by_role("alert").first
    expect(problems).to_contain_text("notes.jpg is not a picture")
    expect(problems).to_contain_text("Not protected: face 2 of two.png, too small (")
    expect(page.locator(".veil-face")).to_have_count(1)
    page.locator("#veil-start").click()
    expect(page.locator(".veil-verdict")).to_be_visible()
    shoot(page, "small-face")
    report = json.loads(download(page, "Download the report", tmp_path).read_text())
    assert [face["number"] for face in report["report"]["faces"]] == [1]
    picture = np.asarray(Image.open(download(page, "Download the photo", tmp_path)).convert("RGB"))
    changed = (picture != np.asarray(photo)).any(-1)
    assert changed[:, :512].any()
    assert not changed[:, 512:].any()


def two_faces(portrait: Path, path: Path) -> Image.Image:
    """A portrait of 512 pixels, and beside it the same so small that the face is found but not protected."""
    whole = Image.open(portrait)
    scale = (SMALLEST + 20) / 2 / find_faces(np.asarray(whole))[0].side
    photo = Image.new("RGB", (720, 512), "white")
    photo.paste(whole, (0, 0))
    photo.paste(whole.resize((round(512 * scale), round(512 * scale)), Image.Resampling.BOX), (530, 40))
    photo.save(path)
    return photo


def protect_quickly(page: Page, photo: Path, to: Path) -> Path:
    """Drop a photo with one face, protect it with the least effort, and download the result."""
    drop(page, "#veil-photos", photo)
    expect(page.locator(".veil-face")).to_have_count(1)
    page.get_by_label("Quick:").first.check()
    page.locator("#veil-start").click()
    expect(page.locator(".veil-verdict")).to_contain_text("recognise")
    return download(page, "Download the photo", to)


def test_a_heic_from_a_phone(page: Page, tmp_path: Path) -> None:
    """Browsers cannot show it, and its EXIF says who took it."""
    exif = Image.Exif()
    exif[0x013B] = "private-author"
    register_heif_opener()
    Image.fromarray(astronaut()).save(tmp_path / "IMG_1.HEIC", "HEIF", exif=exif, quality=90)
    picture = protect_quickly(page, tmp_path / "IMG_1.HEIC", tmp_path)
    size = page.locator(".veil-after img").evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert size == [512, 512]
    shoot(page, "heic")
    assert picture.name == "IMG_1.veiled.heic"
    assert b"private-author" not in picture.read_bytes()
    change = abs(open_photo(picture).pixels.astype(int) - open_photo(tmp_path / "IMG_1.HEIC").pixels) > 10
    assert change[60:220, 140:310].any(-1).mean() > 0.1  # where the face is
    assert change[256:, :100].mean() < 0.01


def test_a_turned_photo(page: Page, tmp_path: Path) -> None:
    """The pixels lie on their side, and nothing says so."""
    turned = np.rot90(astronaut())
    Image.fromarray(turned).save(tmp_path / "turned.png")
    picture = protect_quickly(page, tmp_path / "turned.png", tmp_path)
    shoot(page, "turned")
    change = np.rot90((np.asarray(Image.open(picture)) != turned).any(-1), -1)
    assert change[60:220, 140:310].mean() > 0.3
    change[30:250, 110:340] = False
    assert not change.any()


def test_checking_two_photos(page: Page, portrait: Path, group: Path) -> None:
    page.get_by_role("tab", name="Check").click()
    expect(page.locator("#veil-check")).to_be_disabled()
    drop(page, "#veil-one-file", portrait)
    drop(page, "#veil-other-file", group)
    expect(page.get_by_label("Face 3").last).to_be_visible()
    page.locator("#veil-other-file ~ * [data-face='3']").click()
    page.locator("#veil-check").click()
    expect(page.locator("#veil-answer")).to_contain_text(
        re.compile(f"(None|1) of {len(packaged())} recognisers takes them")
    )
    shoot(page, "check")


def test_linking_an_album(page: Page, portrait: Path, group: Path, notes: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    Image.fromarray(astronaut()[:300, 80:380]).save(other)
    page.get_by_role("tab", name="Check").click()
    expect(page.locator("#veil-link")).to_be_disabled()
    drop(page, "#veil-link-photos", portrait, other, group, notes)
    expect(page.get_by_text("notes.jpg is not a picture")).to_have_count(1)
    page.locator("#veil-link").click()
    table = page.get_by_role("table", name="How many recognisers take each two for one person")
    expect(table.get_by_role("row").nth(2)).to_have_text("2 other.png5–0", timeout=120_000)
    expect(page.locator("#veil-links")).to_contain_text("notes.jpg is not a picture")
    expect(page.get_by_text("notes.jpg is not a picture")).to_have_count(1)
    shoot(page, "links")


def test_an_album_with_a_bad_file(page: Page, portrait: Path, notes: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    Image.fromarray(astronaut()[:300, 80:380]).save(other)
    page.get_by_role("tab", name="Album").click()
    drop(page, "#veil-album", portrait, notes, other)
    expect(page.get_by_role("alert")).to_contain_text("is not a picture")
    page.get_by_label("Quick:").last.check()
    page.locator("#veil-album-start").click()
    rows = page.locator("#veil-album-rows tbody tr")
    expect(page.get_by_text("2 of 2 photos are protected. 1 file cannot be used.")).to_be_visible()
    expect(rows.nth(1)).to_contain_text("is not a picture")
    expect(page.get_by_text("is not a picture")).to_have_count(1)
    expect(rows.nth(0).locator("img")).to_have_count(2)
    expect(rows.nth(0).get_by_alt_text("astronaut.jpg after")).to_have_js_property("complete", True)
    assert rows.nth(0).locator("img").last.evaluate("image => image.naturalWidth") > 100
    expect(page.locator(".veil-limits").last).to_contain_text("with the photo before")
    shoot(page, "album")
    archive = download(page, "Download the zip (2 photos)", tmp_path)
    with zipfile.ZipFile(archive) as zipped:
        assert zipped.testzip() is None
        assert sorted(zipped.namelist()) == [
            *("astronaut.veiled.jpg", "astronaut.veiled.json", "other.veiled.json", "other.veiled.png")
        ]
        assert json.loads(zipped.read("other.veiled.json"))["settings"]["steps"] == 18


def test_an_album_of_one_person(page: Page, portrait: Path, faces: Path) -> None:
    page.get_by_role("tab", name="Album").click()
    drop(page, "#veil-album", portrait, faces / "people" / "person-0" / "a.png")
    drop(page, "#veil-album-only", portrait)
    expect(page.locator("#veil-album-only")).to_contain_text("astronaut")
    expect(page.locator("#veil-album")).to_contain_text(".png")
    page.locator("#veil-album-start").click()
    expect(page.get_by_text("1 of 2 photos are protected.")).to_be_visible()
    rows = page.locator("#veil-album-rows tbody tr")
    expect(rows.nth(1)).to_contain_text("does not show the person who is to be protected")


def test_an_album_goes_on_after_a_stop(page: Page, opened: Any, portrait: Path, tmp_path: Path) -> None:
    photos = [portrait]
    for number in range(2):
        photos.append(tmp_path / f"photo{number}.png")
        Image.fromarray(astronaut()[: 300 + number, 80:380]).save(photos[-1])
    page.get_by_role("tab", name="Album").click()
    drop(page, "#veil-album", *photos)
    expect(page.locator("#veil-album")).to_contain_text("photo1")
    page.locator("#veil-album-start").click()
    rows = page.locator("#veil-album-rows tbody tr")
    expect(rows.nth(1)).to_contain_text("being protected")
    page.locator("#veil-album-stop").click()
    expect(page.locator("#veil-album-start")).to_have_text("Continue")
    begun = opened.engine.begun
    page.locator("#veil-album-start").click()
    expect(page.get_by_text("3 of 3 photos are protected.")).to_be_visible()
    assert opened.engine.begun == begun + 2


def test_reading_a_benchmark(page: Page, done: Path, notes: Path, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Research").click()
    drop(page, "#veil-rows", notes)
    expect(page.get_by_role("alert").last).to_contain_text("notes.jpg cannot be read as Parquet or CSV.")
    expect(page.locator("#veil-research-start")).to_be_hidden()
    page.get_by_label("Or the folder of a run on this machine").fill(str(done))
    page.keyboard.press("Enter")
    rates = page.get_by_role("region", name="Protected", exact=True).locator("tbody tr")
    expect(rates).to_have_count(3 * 3 * 3)  # methods, recognisers and all, disturbances and none
    expect(page.locator(".veil-plot")).to_have_count(4)
    shoot(page, "research")
    page.locator("#veil-methods").get_by_label("random-noise").uncheck()
    page.locator("#veil-disturbances").get_by_label("blazeface").uncheck()
    page.locator("#veil-outcome").get_by_label("against the same photo").check()
    page.locator("#veil-research-start").click()
    expect(rates).to_have_count(2 * 3 * 2)
    archive = download(page, "Download plots and tables (zip)", tmp_path)
    with zipfile.ZipFile(archive) as zipped:
        assert "random-noise" not in zipped.read("rates.csv").decode()
        assert "against the same photo" in zipped.read("report.md").decode()
    for box in page.locator("#veil-methods input").all():
        box.uncheck()
    page.locator("#veil-research-start").click()
    expect(page.get_by_text("Nothing is left to show.")).to_be_visible()


@pytest.mark.parametrize(
    "page", [{"viewport": {"width": 360, "height": 740}, "has_touch": True}], indirect=True
)
def test_phone_width(page: Page, group: Path, done: Path) -> None:
    drop(page, "#veil-photos", group)
    expect(page.locator(".veil-face").nth(5)).to_be_visible()
    page.locator("[data-face='7']").tap()
    page.get_by_role("button", name="Protect", exact=True).tap()
    expect(page.locator(".veil-verdict")).to_be_visible()
    shoot(page, "phone")
    for tab in TABS:
        go_to(page, tab)
        if tab == "Research":
            drop(page, "#veil-rows", done / "rows.csv")
            expect(page.locator(".veil-plot").last).to_be_visible()
            shoot(page, "phone-research")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, (tab, page.evaluate(WIDE))


def go_to(page: Page, name: str) -> None:
    """Open a tab, which a narrow page may have put into a menu."""
    tab = page.get_by_role("tab", name=name)
    if not tab.is_visible():
        page.locator(".overflow-menu > button").tap()
        tab = page.locator(".overflow-dropdown button", has_text=name)
    tab.tap()


WIDE = """[...document.querySelectorAll('body *')].filter(each => each.getBoundingClientRect().right > 361)
  .map(each => each.tagName + '#' + each.id + '.' + each.className).slice(0, 12)"""


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the element of this accessible name, or text, has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        text = page.evaluate(
            "[document.activeElement.getAttribute('aria-label'), document.activeElement.innerText, "
            "document.activeElement.closest('label')?.innerText].join('|')"
        )
        if name in text:
            return
    raise AssertionError(f"{name} is not reached by Tab")


def test_keyboard_only(page: Page, portrait: Path) -> None:
    with page.expect_file_chooser() as chooser:
        tab_to(page, "Click to Upload")
        page.keyboard.press("Enter")
    chooser.value.set_files(portrait)
    expect(page.locator(".veil-face")).to_have_count(1)
    tab_to(page, "Face 1")
    for pressed in ("false", "true"):
        page.keyboard.press("Space")
        expect(page.locator(".veil-face")).to_have_attribute("aria-pressed", pressed)
        page.locator(".veil-face").focus()
    tab_to(page, "Balanced:")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_label("Subtle:").first).to_be_checked()
    expect(page.get_by_label("Balanced:").first).not_to_be_checked()
    tab_to(page, "Protect")
    page.keyboard.press("Enter")
    expect(page.locator("#veil-stop")).to_be_focused()
    expect(page.locator(".veil-verdict")).to_be_visible()
    expect(page.locator(".veil-name")).to_be_focused()
    tab_to(page, "How much of the photo before is shown")
    page.keyboard.press("End")
    tab_to(page, "Download the photo")


@pytest.mark.parametrize(
    "page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=str
)
def test_accessible(page: Page, portrait: Path, done: Path, request: pytest.FixtureRequest) -> None:
    """axe-core has no serious finding, on any tab, before and after a run, in light and in dark."""
    scheme = "dark" if "dark" in request.node.name else "light"
    found = dict[str, list[str]]()

    def look(name: str) -> None:
        page.wait_for_timeout(400)
        result = Axe().run(page).response["violations"]
        found[name] = [
            f"{each['id']}: {node['html'][:150]} {node['failureSummary'][:200]}"
            for each in result
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"]
        ]

    drop(page, "#veil-photos", portrait)
    expect(page.locator(".veil-face")).to_have_count(1)
    page.get_by_role("button", name="Advanced").click()
    look("chosen")
    page.locator("#veil-start").click()
    expect(page.locator(".veil-progress img")).to_be_visible()
    look("progress")
    expect(page.locator(".veil-verdict")).to_be_visible()
    look("result")
    shoot(page, f"result-{scheme}")
    for tab in list(TABS)[1:]:
        page.get_by_role("tab", name=tab).click()
        look(tab)
        if tab == "Check":
            drop(page, "#veil-link-photos", portrait, EXAMPLE)
            expect(page.locator("#veil-link-photos")).to_contain_text("astronaut")
            page.locator("#veil-link").click()
            expect(page.locator(".veil-matrix")).to_be_visible(timeout=120_000)
            look("links")
        if tab == "Research":
            drop(page, "#veil-rows", done / "rows.parquet")
            expect(page.locator(".veil-plot").last).to_be_visible()
            look("findings")
        shoot(page, f"{tab.lower()}-{scheme}")
    assert {name: problems for name, problems in found.items() if problems} == {}


def test_a_visitor_in_line_is_told_the_place(
    page: Page, browser: Browser, opened: Any, portrait: Path
) -> None:
    pages = [page, browser.new_context().new_page()]
    pages[1].goto(opened.address)
    for each in pages:
        drop(each, "#veil-photos", portrait)
        expect(each.locator(".veil-face")).to_have_count(1)
        each.get_by_label("Strong:").first.check()
        each.locator("#veil-start").click()
        if each is page:
            expect(each.locator(".veil-progress img")).to_be_visible()
    expect(pages[1].locator("#veil-panel")).to_contain_text("queue: 1/1")
    shoot(pages[1], "line")
    pages[1].locator("#veil-stop").click()
    expect(pages[1].locator("#veil-panel")).to_contain_text("You left the line.")
    expect(pages[1].locator("#veil-start")).to_be_enabled()
    assert opened.page.waiting() == set()
    assert opened.engine.running == 1
    pages[1].locator("#veil-start").click()
    expect(pages[1].locator("#veil-panel")).to_contain_text("queue: 1/1")
    page.locator("#veil-stop").click()
    expect(pages[1].locator(".veil-progress img")).to_be_visible()
    pages[1].locator("#veil-stop").click()
    expect(pages[1].get_by_text("Stopped.")).to_be_visible()
    pages[1].context.close()


def test_an_album_in_line_can_leave_it(page: Page, browser: Browser, opened: Any, portrait: Path) -> None:
    drop(page, "#veil-photos", portrait)
    expect(page.locator(".veil-face")).to_have_count(1)
    page.get_by_label("Strong:").first.check()
    page.locator("#veil-start").click()
    expect(page.locator(".veil-progress img")).to_be_visible()
    other = browser.new_context().new_page()
    other.goto(opened.address)
    other.get_by_role("tab", name="Album").click()
    drop(other, "#veil-album", portrait)
    expect(other.locator("#veil-album")).to_contain_text("astronaut")
    other.locator("#veil-album-start").click()
    expect(other.get_by_text("It begins as soon as it is your turn").last).to_be_visible()
    other.locator("#veil-album-stop").click()
    expect(other.get_by_text("You left the line.")).to_be_visible()
    expect(other.locator("#veil-album-start")).to_be_enabled()
    page.locator("#veil-stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    other.locator("#veil-album-start").click()
    expect(other.get_by_text("1 of 1 photos are protected.")).to_be_visible()
    other.context.close()


def test_a_clip_is_looked_at_protected_and_played(
    page: Page, film: Any, work: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from veil.ui.web.tabs import clip

    monkeypatch.setattr(clip, "follow", work.follow)
    page.get_by_role("tab", name="Clip").click()
    for button in ("look", "start"):
        expect(page.locator(f"#veil-clip-{button}")).to_be_disabled()
    drop(page, "#veil-clip", film(tmp_path / "a.mp4", sound=0.0))
    expect(page.locator("#veil-clip")).to_contain_text(".mp4")
    page.locator("#veil-clip-look").click()
    expect(page.locator("#veil-clip-sheet img")).to_be_visible()
    expect(page.get_by_text("2 faces found.")).to_be_visible()
    expect(page.locator("#veil-clip-faces").get_by_label("Face 1")).to_be_checked()
    page.locator("#veil-clip-start").click()
    expect(page.locator("#veil-clip-result video")).to_have_count(2)
    expect(page.locator("#veil-clip-result")).to_contain_text("Not protected: face 2, too small")
    before, after = (page.locator("#veil-clip-result video").nth(number) for number in (0, 1))
    after.evaluate("video => { video.muted = true; video.currentTime = 0.2 }")
    page.wait_for_function(
        "Math.abs(document.querySelectorAll('#veil-clip-result video')[0].currentTime - .2) < .1"
    )
    assert before.evaluate("video => video.videoWidth") == 192
    shoot(page, "clip")
    assert (work.followed, work.found, work.drawn) == (1, 1, 12)
    page.locator("#veil-clip-look").click()
    expect(page.locator("#veil-clip-panel")).to_contain_text("2 faces found.")
    assert work.followed == 2
    assert download(page, "Download the clip", tmp_path).stat().st_size > 1000  # what is done stays
    expect(page.locator("#veil-clip-result video")).to_have_count(2)


def test_a_clip_is_judged_beside_what_it_was(
    page: Page, film: Any, work: Any, portrait: Path, tmp_path: Path
) -> None:
    before, after = film(tmp_path / "a.mp4", sound=0.0), film(tmp_path / "a.veiled.mp4", sound=0.0)
    page.get_by_role("tab", name="Check").click()
    drop(page, "#veil-clip-before", portrait)
    expect(page.get_by_role("alert")).to_contain_text("astronaut.jpg is no video by its name.")
    expect(page.locator("#veil-clips-check")).to_be_disabled()
    drop(page, "#veil-clip-after", after)
    page.locator("#veil-clips-check").click()
    expect(page.locator("#veil-clips-panel")).to_contain_text("astronaut.jpg is no video by its name.")
    page.locator("#veil-clip-before").get_by_label("Clear").first.click()
    expect(page.locator("#veil-clips-check")).to_be_disabled()
    drop(page, "#veil-clip-before", before)
    page.locator("#veil-clips-check").click()
    result = page.locator("#veil-clips-result")
    expect(result.locator("video")).to_have_count(2)
    expect(page.locator("#veil-clips-panel")).to_contain_text("No report was given")
    expect(result.locator("tbody tr").first).to_contain_text("sface")
    expect(result.locator("tbody tr").first).to_contain_text("not known")
    expect(result).to_contain_text("Not protected: face 2, too small")
    expect(result).to_contain_text("Machines: the one asked still recognises you")
    expect(result).to_contain_text("Do people still see the same person?")
    expect(result).to_contain_text("Voice, gait, hands, clothes and places")
    result.locator("video").last.evaluate("video => { video.muted = true; video.currentTime = 0.2 }")
    page.wait_for_function(
        "Math.abs(document.querySelectorAll('#veil-clips-result video')[0].currentTime - .2) < .1"
    )
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        shoot(page, f"check-clips-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, page.evaluate(WIDE)


def test_an_album_with_clips(page: Page, film: Any, work: Any, portrait: Path, tmp_path: Path) -> None:
    clip, wrong = film(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    wrong.write_bytes(portrait.read_bytes())
    page.get_by_role("tab", name="Album").click()
    drop(page, "#veil-album", portrait, clip, wrong)
    expect(page.get_by_role("alert")).to_contain_text("b.mp4 is no video but a picture (JPEG).")
    page.get_by_label("Quick:").last.check()
    page.locator("#veil-album-start").click()
    expect(page.get_by_text("2 of 2 files are protected. 1 file cannot be used.")).to_be_visible()
    rows = page.locator("#veil-album-rows tbody tr")
    expect(rows.nth(1)).to_contain_text("Not protected: face 2, too small")
    expect(rows.nth(2)).to_contain_text("is no video but a picture")
    expect(page.locator("#veil-album-links")).to_contain_text("Album: ")
    expect(rows.locator("img")).to_have_count(4)
    expect(page.get_by_text("Hides you in 0 of 9 clips").last).to_be_visible()
    expect(page.locator(".veil-limits").last).to_contain_text("with the photo or clip before")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        shoot(page, f"album-clips-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, page.evaluate(WIDE)
    with zipfile.ZipFile(download(page, "Download the zip (2 files)", tmp_path)) as zipped:
        names = ["a.veiled.json", "a.veiled.mp4", "astronaut.veiled.jpg", "astronaut.veiled.json"]
        assert sorted(zipped.namelist()) == names


def test_an_album_of_clips_is_linked(
    page: Page, film: Any, work: Any, portrait: Path, tmp_path: Path
) -> None:
    page.get_by_role("tab", name="Check").click()
    long = "a_clip_with_a_name_as_long_as_telephones_and_platforms_like_to_give_them.mp4"
    drop(page, "#veil-link-photos", portrait, film(tmp_path / long))
    expect(page.locator("#veil-link-photos")).to_contain_text(".mp4")
    page.locator("#veil-link").click()
    table = page.get_by_role("table", name="How many recognisers take each two for one person")
    expect(table.get_by_role("row").nth(2)).to_have_text(f"2 {long}5–", timeout=120_000)
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, page.evaluate(WIDE)
    page.set_viewport_size({"width": 1280, "height": 900})
    expect(page.locator("#veil-links")).to_contain_text("Of each clip the picture counts")
