"""Clips on the page, without a browser: judged, linked, protected among photos, refused, and not kept."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from typer.testing import CliRunner

from veil.attacks.faces.detection import search
from veil.attacks.person import Person
from veil.core.errors import BadClip, BadPhoto, BadSettings, NoFace
from veil.core.images import open_photo
from veil.core.progress import finish
from veil.core.types import Steps, Track
from veil.core.video import open_clip
from veil.privacy import Protected
from veil.privacy.settings import CLIP_DESCRIPTIONS, CLIP_SECONDS, STRENGTHS
from veil.ui import albums, clip_checks, clip_words, earlier, workflow
from veil.ui.cli import app
from veil.ui.clip_checks import ONE_PICTURE
from veil.ui.limits import CLIP_LIMITS
from veil.ui.records import Record
from veil.ui.web import clip_html, links, policy, results, uploads
from veil.ui.web.page import Page
from veil.ui.web.sessions import Visitors
from veil.ui.web.tabs import clip as clip_tab
from veil.ui.web.tabs.album import Held, continued, each, known_before, linked, what
from veil.ui.web.tabs.check import linking
from veil.ui.web.tabs.check_clips import judging
from veil.ui.web.uploads import admit_album, admit_references, arrive, refusals

pytest.importorskip("av")
pytestmark = pytest.mark.filterwarnings(
    # websockets and starlette's own test aids, used by gradio, announce their next versions
    "ignore::DeprecationWarning",
    "ignore:unclosed:ResourceWarning",
)


@pytest.fixture
def page(tmp_path: Path) -> Page:
    visitors: Any = Visitors(tmp_path / "page", None, 1)
    return Page(policy.LOCAL, visitors, blocks=None)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def one_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is in an album is the same person, in another picture."""
    monkeypatch.setattr(albums, "vectors", lambda pixels, face: {"sface": torch.ones(1)})
    monkeypatch.setattr(albums, "vote", lambda known, shown: torch.tensor(9.0))
    monkeypatch.setattr(albums, "nearly_same", lambda known, person: False)


def veil(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def pair(film: Any, work: Any, tmp_path: Path) -> tuple[str, str, str]:
    """A clip, what became of it, and its report."""
    source = film(tmp_path / "a.mp4")
    assert veil("protect", source, "--quiet").exit_code in (0, 3)
    return str(source), str(tmp_path / "a.veiled.mp4"), str(tmp_path / "a.veiled.json")


def test_a_clip_is_judged_as_on_the_command_line(page: Page, pair: tuple[str, str, str]) -> None:
    before, after, report = pair
    said = finish(judging(page, before, after, report))
    told = json.loads(veil("assess", before, after, "--json").stdout)
    assert said.model_dump(mode="json") == told
    shown = clip_html.verdict(said)
    remarks = (*clip_words.legend(said), *clip_words.remarks(said))
    words = (*clip_words.unprotected(said.faces), *remarks, clip_words.headline(said))
    for text in (*words, *(cell for row in clip_words.match_rows(said) for cell in row)):
        assert text in shown.replace("&#x27;", "'").replace("&quot;", '"')
    assert CLIP_LIMITS[-60:] in shown
    assert "not known" not in shown
    assert clip_html.verdict(said, reported=False).count(">not known<") == len(clip_words.match_rows(said))
    (left,) = (face for face in said.faces if face.left)
    for reason, warned in (("too small", True), ("another person", False)):
        one = said.model_copy(update={"faces": (left.model_copy(update={"left": reason}),)})
        assert ("veil-problem" in clip_html.verdict(one)) == warned


def test_the_sentences_on_strengths_in_clips_hold_the_measured_figures() -> None:
    """They are those of the tables from which the documents are written."""
    results = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "results.py"))
    rated = results["clips_rated"]()
    for strength, same, hidden in (("balanced", 83, 0), ("strong", 0, 7)):
        assert f"`{strength}` {same} % " in rated
        share = f"{100 * hidden / 9:.0f} % "
        assert results["clips_hidden"](strength).startswith(share)
        assert " of 9 clips" in results["clips_hidden"](strength)
        assert f"{hidden} of 9 clips" in CLIP_DESCRIPTIONS[strength]
    assert "(100 % " in results["clips_hidden"]("balanced")  # "matched every picture"
    assert "83 % of blind ratings" in CLIP_DESCRIPTIONS["balanced"]
    assert "Was not measured" in CLIP_DESCRIPTIONS["subtle"]
    assert list(CLIP_DESCRIPTIONS) == list(STRENGTHS)
    using = (Path(__file__).parents[1] / "docs" / "using.md").read_text(encoding="utf-8")
    assert f"to {CLIP_SECONDS['quick']} s at `quick` and\n{CLIP_SECONDS['normal']} s at `normal`" in using


def test_a_report_tells_who_is_an_honest_judge(
    page: Page, pair: tuple[str, str, str], work: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after, report = pair
    record = json.loads(Path(report).read_text())
    surrogates = frozenset(record["settings"]["surrogates"])
    elsewhere = tmp_path / "elsewhere.json"  # as uploads lie, not beside the clip
    elsewhere.write_text(json.dumps(record))

    used = list[frozenset[str]]()

    def judge(*given: Any) -> Any:
        used.append(given[4])
        return work.judge(*given)

    monkeypatch.setattr(clip_checks, "judge", judge)
    for given in ((str(elsewhere),), ()):
        finish(judging(page, before, after, *given))
    assert used == [surrogates, frozenset()]
    assert surrogates
    with pytest.raises(BadSettings, match=r"a\.veiled\.mp4 is the protected one, made of a\.mp4"):
        finish(judging(page, after, before, str(elsewhere)))
    named = tmp_path / "b.veiled.mp4"  # by its name alone
    shutil.copy(after, named)
    with pytest.raises(BadSettings, match=r"b\.veiled\.mp4 is a protected one by its name") as places:
        finish(judging(page, str(named), before))
    assert "as the clip after" in places.value.hint
    record["picture_sha256"] = "another"
    elsewhere.write_text(json.dumps(record))
    with pytest.raises(BadSettings, match="the report of another picture") as wrong:
        finish(judging(page, before, after, str(elsewhere)))
    assert "--seen" not in wrong.value.hint


def test_only_two_clips_of_a_kind_are_judged(
    page: Page, film: Any, work: Any, tmp_path: Path, portrait: Path
) -> None:
    source, shorter = film(tmp_path / "a.mp4"), film(tmp_path / "b.mp4", times=(0, 512, 1024))
    for other, words in (
        (shorter, "differ in length: 12 and 3 pictures"),
        (portrait, "astronaut.jpg is no video by its name"),
        ("", "There is no clip yet"),
    ):
        with pytest.raises(BadClip, match=words):
            finish(judging(page, str(source), str(other)))
    with pytest.raises(BadPhoto, match=r"a\.mp4 is a clip") as wrong:
        arrive(page, page.visitors.of("ann"), str(source))
    assert "Check judges them" in wrong.value.hint


def test_clips_are_linked_with_photos(
    page: Page, film: Any, work: Any, tmp_path: Path, portrait: Path
) -> None:
    """What cannot be used is named; of a clip each picture is a step, so that it can be stopped."""
    source, wrong, notes = film(tmp_path / "a.mp4"), tmp_path / "b.mp4", tmp_path / "c.txt"
    wrong.write_bytes(portrait.read_bytes())
    notes.write_text("no picture")
    said = finish(linking(page, [str(path) for path in (portrait, source, wrong, notes)]))
    assert said.photos == ("astronaut.jpg", "a.mp4")
    assert said.groups == ((1, 2),)
    assert [one.photo for one in said.unusable] == ["b.mp4", "c.txt"]
    assert "no video but a picture" in said.unusable[0].error
    shown = links.shown(said)
    assert ONE_PICTURE in shown
    assert "c.txt" in shown
    result = tmp_path / "a.veiled.mp4"
    result.write_bytes(source.read_bytes())
    said = finish(linking(page, [str(path) for path in (portrait, source, result)]))
    assert (said.photos, said.originals) == (("astronaut.jpg", "a.veiled.mp4"), ("a.mp4",))
    steps = linking(page, [str(source)] * 2)
    assert next(steps).stage == "following"
    steps.close()


def test_what_cannot_be_used_is_told_at_once(page: Page, film: Any, tmp_path: Path, portrait: Path) -> None:
    source, wrong, hidden = film(tmp_path / "a.mp4"), tmp_path / "b.mp4", tmp_path / "c.jpg"
    wrong.write_bytes(portrait.read_bytes())
    hidden.write_bytes(source.read_bytes())
    notes = tmp_path / "d.txt"
    notes.write_text("no picture")
    told = refusals(page, [str(path) for path in (portrait, source, wrong, hidden, notes)])
    assert [error.message.partition(" ")[0] for error in told] == ["b.mp4", "c.jpg", "d.txt"]
    assert "give its name the ending of one" in told[1].hint
    (alone,) = refusals(page, [str(portrait)], film=True)
    assert "is no video by its name" in alone.message


def test_limits_of_clips_are_told_and_kept(
    page: Page, film: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert policy.LOCAL.said == ""
    said = policy.HOSTED.said
    for bound in ("20 files at a time", "25 MB a file", "4096 pixels a side", "15 s of clips in all"):
        assert bound in said
    clips = [str(film(tmp_path / f"{name}.mp4")) for name in "ab"]  # of .4 s each
    strict = replace(page, rules=policy.Rules(film=0.5))
    assert not refusals(strict, clips[:1])
    admit_album(strict, clips[:1])
    opened = list[Path]()
    monkeypatch.setattr(uploads, "open_clip", lambda path: (opened.append(path), open_clip(path))[1])
    (together,) = refusals(strict, clips)
    assert [*map(str, opened)] == clips
    assert "s together; this page takes 0.5." in together.message
    with pytest.raises(BadPhoto, match=r"The clips last 0\.[89] s together; this page takes 0\.5\."):
        admit_album(strict, clips)
    (long, _) = refusals(replace(page, rules=policy.Rules(film=0.3)), clips)
    assert re.search(r"a\.mp4 lasts 0\.[45] s; this page takes 0\.3\.", long.message)
    with pytest.raises(BadPhoto, match=r"a\.mp4 lasts 15\.1 s; this page takes 15\."):
        policy.HOSTED.admit_clip("a.mp4", (100, 100), 15.001)
    (large, _) = refusals(replace(page, rules=policy.Rules(longest=100)), clips)
    assert "192 x 192 pixels" in large.message
    (heavy, _) = refusals(replace(page, rules=policy.Rules(heaviest=100)), clips)
    assert "larger than" in heavy.message


def test_photos_of_people_keep_the_rules(page: Page, portrait: Path) -> None:
    strict = replace(page, rules=policy.Rules(heaviest=100, album=2))
    for me, only, words in (
        ([portrait], None, "larger than"),
        ([], str(portrait), "larger than"),
        ([], f"{portrait}.gone", "is not here any more"),
        ([portrait] * 3, None, "2 files at a time"),
    ):
        with pytest.raises(BadPhoto, match=words):
            admit_references(strict, me, only)
    admit_references(page, [portrait], str(portrait))


def test_clips_of_an_album_are_kept_apart(
    page: Page, film: Any, work: Any, one_person: None, tmp_path: Path
) -> None:
    """From each other, and after a stop from what was done before; work that was stopped goes on."""
    clips = [str(film(tmp_path / f"{name}.mp4")) for name in "ab"]
    visitor, asked = page.visitors.of("ann"), results.wish("balanced", "quick", apart=True)
    held = continued(page, Held(), visitor, clips, asked)
    finish(each(page, clips[0], asked, None, visitor, held, finish(held.shown())))
    kind, name, said, shown = held.rows[clips[0]]
    assert (kind, name) == ("done", "a.mp4")
    assert shown.count("<img") == 2
    assert "Not protected: face 2, too small" in said
    assert "Machines: " in said
    work.stops = 7
    begun = each(page, clips[1], asked, None, visitor, held, finish(held.shown()))
    with pytest.raises(KeyboardInterrupt):
        finish(begun)
    held = continued(page, held, visitor, clips, asked)
    assert held.count == 1
    found = work.found
    finish(each(page, clips[1], asked, None, visitor, held, finish(held.shown())))
    assert work.found == found
    ((sighting,),) = work.apart[1].values()
    assert sighting.frame.pixels[..., 2].max() > 220  # as it was protected
    held.pack()
    assert held.zip
    with zipfile.ZipFile(held.zip) as archive:
        names = [f"{name}.veiled.{ending}" for name in "ab" for ending in ("json", "mp4")]
        assert sorted(archive.namelist()) == names
    page.visitors.leave("ann")
    assert not [path for path in page.visitors.root.rglob("*") if path.is_file()]


def test_a_clip_of_somebody_else_is_left_alone(
    page: Page, film: Any, work: Any, tmp_path: Path, portrait: Path
) -> None:
    source, visitor = str(film(tmp_path / "a.mp4")), page.visitors.of("ann")
    asked, nobody = results.wish("balanced", "quick", only=str(portrait)), Stranger()
    held = continued(page, Held(), visitor, [source], asked)
    with pytest.raises(NoFace, match=r"a\.mp4 does not show the person"):
        finish(each(page, source, asked, nobody, visitor, held))  # pyright: ignore[reportArgumentType]
    assert held.count == 0


class Stranger:
    """A person who is not in any picture."""

    def verdict(self, pixels: object, face: object) -> str:
        return "other"


def test_only_protected_faces_of_a_photo_are_in_its_album(
    page: Page, portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a run that goes on keeps apart is what was protected, not all faces that are found."""
    two = two_people(portrait, tmp_path / "two.png")

    def engine(tracks: Sequence[Track], settings: Any, target: Any) -> Steps[Protected]:
        photo = tracks[0].key.frame
        yield from ()
        return Protected((photo.with_pixels(255 - photo.pixels),), tuple(tracks), ({},), settings)

    monkeypatch.setattr(workflow, "protect", engine)
    monkeypatch.setattr(workflow, "assess", partial(workflow.assess, recognizers=("sface",)))
    asked, visitor = results.wish("balanced", "quick"), page.visitors.of("ann")
    done = finish(results.protect(two, [2], asked, visitor, endure=False))
    shown = list[Any]()

    class Shown(albums.Album):
        def reopen(self, source: Path, picture: Path, faces: Any) -> None:
            shown.extend(faces)

    earlier.reopen(Shown(), two, done.after, done.record)
    (face,) = shown
    assert face.box.tolist() == search(open_photo(two).pixels).numbered[2].box.tolist()


def test_work_on_a_clip_that_was_stopped_goes_on(page: Page, film: Any, work: Any, tmp_path: Path) -> None:
    clip, visitor = open_clip(film(tmp_path / "a.mp4")), page.visitors.of("ann")
    wanted = clip_tab.Wanted(results.wish("balanced", "quick"))
    held = clip_tab.begun(clip_tab.HeldClip(str(clip.path)), visitor)
    work.stops = 7
    with pytest.raises(KeyboardInterrupt):
        finish(clip_tab.protect(clip, held, wanted))
    assert clip_tab.begun(held, visitor) == held
    done = finish(clip_tab.protect(clip, held, wanted))
    assert open_clip(done.after).count == 12
    assert (work.followed, work.found) == (1, 1)
    assert held.folder
    assert {path.name for path in held.folder.iterdir()} == {"a.veiled.mp4", "a.veiled.json"}
    page.visitors.leave("ann")
    assert not [path for path in visitor.folder.rglob("*") if path.is_file()]
    assert clip_tab.begun(held, visitor).folder != held.folder  # which is gone


def test_other_photos_of_a_person_reach_clips(
    page: Page,
    film: Any,
    work: Any,
    one_person: None,
    tmp_path: Path,
    portrait: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that only say whom to protect do not; one that shows several people is named."""
    monkeypatch.setattr(Person, "verdict", lambda self, pixels, face: "same")  # of a square
    clip, visitor = open_clip(film(tmp_path / "a.mp4")), page.visitors.of("ann")
    for only, others, count in ((None, [portrait], 1), (portrait, [], 0), (portrait, [portrait], 1)):
        asked = results.wish("balanced", "quick", only=only and str(only), me=[*map(str, others)])
        wanted, held = clip_tab.Wanted(asked), clip_tab.begun(clip_tab.HeldClip(str(clip.path)), visitor)
        done = finish(clip_tab.protect(clip, held, wanted))
        assert done.said.origin
        assert len(done.said.origin.references) == count
        assert not done.said.origin.album
    two = two_people(portrait, tmp_path / "two.png")
    with pytest.raises(BadPhoto, match=r"two\.png shows 2 faces"):
        finish(results.beside(results.wish("balanced", "quick", me=[str(two)])))


def two_people(portrait: Path, path: Path) -> Path:
    wide = Image.new("RGB", (520, 260))
    for left in (0, 260):
        wide.paste(Image.open(portrait).crop((90, 0, 350, 260)), (left, 0))
    wide.save(path)
    return path


def test_photos_of_me_are_references(
    page: Page, tmp_path: Path, portrait: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photos of an album are none; what of it is linked in the end is told."""
    asked = dict[str, list[str]]()

    def engine(tracks: Sequence[Track], settings: Any, target: Any) -> Steps[Protected]:
        photo = tracks[0].key.frame
        asked[photo.name] = [one.frame.name for one in tracks[0].references]
        yield from ()
        return Protected((photo.with_pixels(photo.pixels),), tuple(tracks), ({},), settings)

    monkeypatch.setattr(workflow, "protect", engine)
    monkeypatch.setattr(workflow, "assess", partial(workflow.assess, recognizers=("sface",)))
    photos = [str(tmp_path / name) for name in ("b.png", "c.png")]
    face = Image.open(portrait).crop((100, 20, 340, 260))
    face.save(photos[0])
    face.resize((80, 80)).resize(face.size).point(lambda value: 255 * (value / 255) ** 1.6).save(photos[1])
    visitor, alone = page.visitors.of("ann"), results.wish("balanced", "quick", me=photos[1:])
    album = finish(results.beside(alone))
    done = finish(results.protect(tmp_path / "b.png", [1], alone, visitor, endure=False, album=album))
    assert asked == {"b.png": ["c.png"]}
    assert done.notes[-1].endswith("learnt from 1 other photo (c.png).")
    assert (done.made, done.report.faces[0].references is None) == ("Strength balanced, effort quick.", False)
    origin = Record.model_validate_json(done.record.read_bytes()).origin
    assert origin
    assert (len(origin.references), origin.album) == (1, False)
    asked.clear()
    apart = results.wish("balanced", "quick", apart=True)
    held = continued(page, Held(), visitor, photos, apart)
    shown = finish(known_before(held, apart))
    for path in photos:
        finish(each(page, path, apart, None, visitor, held, shown))
    assert asked == {"b.png": [], "c.png": []}
    said = finish(linked(held, apart, shown))
    assert "sface, which the protection has never met, still links the two files" in said
    assert "In 2 photos a recogniser that judges links a face" in said
    assert finish(linked(held, alone, album)) == ""


@pytest.mark.parametrize(
    ("names", "word"), [(["a.jpg", "b.mp4"], "file"), (["a.MP4"], "clip"), (["a.jpg"], "photo")]
)
def test_files_are_called_what_they_are(names: list[str], word: str) -> None:
    assert (what(names), what(names, 2)) == (word, f"{word}s")


@pytest.mark.slow
def test_programs_protect_and_judge_clips(
    opened: Any, film: Any, work: Any, tmp_path: Path, portrait: Path
) -> None:
    page, source = Client(opened.address, download_files=tmp_path, verbose=False), film(tmp_path / "a.mp4")
    after, report = page.predict(handle_file(source), effort="quick", api_name="/protect")
    assert Path(after).name == "a.veiled.mp4"
    assert open_clip(Path(after)).count == 12
    assert (report["clip"], report["settings"]["steps"]) == ("a.mp4", 18)
    said = page.predict(handle_file(source), handle_file(after), api_name="/check")
    assert [face["left"] for face in said["faces"]] == [None, "too small"]
    (match,) = said["faces"][0]["matches"]
    assert match["recognizer"] == "sface"
    assert "used_by_attack" not in match  # which the page cannot know
    for asked, options, words in (
        ((source, portrait), {"api_name": "/check"}, "A clip is judged beside a clip"),
        ((source,), {"api_name": "/protect", "format": "png"}, "A clip keeps its format"),
        ((source,), {"api_name": "/faces"}, r"a\.mp4 is a clip"),
    ):
        with pytest.raises(AppError, match=words):
            page.predict(*map(handle_file, asked), **options)
    page.close()
