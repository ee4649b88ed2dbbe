"""Clips on the command line: judged, in albums, stopped, without a face; and what is said of wrong files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from skimage.data import astronaut
from typer.testing import CliRunner

from veil.attacks.faces import tracking
from veil.core.errors import BadClip, BadPhoto, NoFace
from veil.core.images import open_photo
from veil.core.progress import finish
from veil.core.types import Stage, Step, Steps, Track
from veil.core.video import open_clip
from veil.privacy import Protected
from veil.privacy.settings import Settings, settings
from veil.ui import album_links, albums, clip_checks, clips, outputs, workflow
from veil.ui.api import link
from veil.ui.cli import app
from veil.ui.selection import Whom

pytest.importorskip("av")


def veil(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def lines(run: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.fixture
def one_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is in an album is the same person, in another picture."""
    monkeypatch.setattr(albums, "vectors", lambda pixels, face: {"sface": torch.zeros(128)})
    for module in (albums, album_links):
        monkeypatch.setattr(module, "vote", lambda known, shown: torch.tensor(9.0))
        monkeypatch.setattr(module, "nearly_same", lambda known, shown: False)


def test_a_protected_clip_is_judged(film: Any, work: Any, tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")
    assert veil("protect", source, "--faces", "1").exit_code in (0, 3)
    run = veil("assess", source, tmp_path / "a.veiled.mp4", "--json")
    assert run.exit_code == 0, run.output
    (said,) = lines(run)
    assert (said["size"], said["pictures"]) == ([192, 192], 12)
    first, second = said["faces"]
    assert (first["number"], first["left"], second["left"]) == (1, None, "too small")
    (match,) = first["matches"]
    assert match["recognizer"] == "sface"
    assert match["used_by_attack"] == "no"
    assert match["best"] > match["threshold"]
    assert veil("assess", source, tmp_path / "a.veiled.mp4", "--fail-if-recognised").exit_code == 3
    other = veil("assess", tmp_path / "a.veiled.mp4", source, "--json")
    assert other.stdout == run.stdout
    assert f"{tmp_path / 'a.veiled.mp4'} is the protected one, made of {source}" in other.stderr
    assert "is the protected one" not in run.stderr
    words = " ".join(veil("assess", source, tmp_path / "a.veiled.mp4").stdout.split())
    assert "Machines: the one asked still recognises you" in words
    assert "Voice, gait" in words


def test_only_clips_of_one_length_and_size_are_judged(
    film: Any, work: Any, tmp_path: Path, portrait: Path
) -> None:
    source, shorter = film(tmp_path / "a.mp4"), film(tmp_path / "b.mp4", times=(0, 512, 1024))
    for other, words in (
        (shorter, "differ in length: 12 and 3 pictures"),
        (portrait, "a.mp4 is a clip by its name, and"),
        (tmp_path, "is a folder"),
        (tmp_path / "c.mp4", "There is no file"),
    ):
        run = veil("assess", source, other, "--json")
        assert run.exit_code == 2
        assert words in run.stderr
        assert lines(run)[-1]["exit"] == 2
        assert ("--probe" in run.stderr) == (other in (portrait, tmp_path))


def test_an_album_sees_the_best_picture_of_a_clip(film: Any, work: Any, tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")
    key = work.tracks[0].key
    left, top, right, bottom = work.tracks[0].face(key).box.round().astype(int)
    seen = finish(clip_checks.album_view(source))
    shown = seen.photo
    assert not seen.others  # but one that is too small
    assert shown.name == "a.mp4"
    (_, whole) = next(open_clip(source).chosen([key]))
    assert shown.pixels.shape[0] <= 3 * (bottom - top) + 2
    assert np.array_equal(shown.pixels, whole[: bottom + 80, max(left - 80, 0) : right + 80])
    work.tracks = ()
    assert finish(clip_checks.album_view(source)).photo.size == (192, 192)


def test_who_else_a_clip_shows_is_named(film: Any, work: Any, tmp_path: Path) -> None:
    clips = [film(tmp_path / f"{name}.mp4") for name in "ab"]
    assert link(clips, recognizers=["sface"]).with_others == ()  # one that is too small
    work.tracks = (work.tracks[0], replace(work.tracks[0], person=2))
    said = link(clips, recognizers=["sface"])
    assert said.with_others == ("a.mp4", "b.mp4")
    assert "Only the main face was compared of a.mp4, b.mp4" in str(said)


def test_clips_of_an_album_are_kept_apart(film: Any, work: Any, one_person: None, tmp_path: Path) -> None:
    film(tmp_path / "a.mp4")
    film(tmp_path / "b.mp4")
    run = veil("protect", tmp_path / "a.mp4", tmp_path / "b.mp4", "--album", "--json")
    assert run.exit_code == 3, run.output
    *clips, whole = lines(run)
    assert all(one["origin"]["album"] for one in clips)
    assert all("linked" in one["exit_because"] for one in clips)
    assert (whole["album"], whole["exit_because"]) == (["a.mp4", "b.mp4"], ["linked"])
    assert [(one["recognizer"], one["pairs"], one["groups"]) for one in whole["links"]] == [
        ("sface", 1, [["a.mp4", "b.mp4"]])
    ]
    assert "a recogniser that judges links a face with another of the album (a.mp4, b.mp4)" in run.stderr
    first, second = work.apart
    assert first == {1: ()}
    ((sighting,),) = second.values()
    assert sighting.frame.pixels[..., 2].max() > 220  # as it was protected
    (tmp_path / "b.veiled.mp4").unlink()
    (tmp_path / "b.veiled.json").unlink()
    said = veil("protect", tmp_path / "a.mp4", tmp_path / "b.mp4", "--album").stdout
    assert (said.count("Machines:"), said.count("does not promise"), said.count("Album:")) == (2, 1, 1)
    assert said.index("Machines:") < said.index("Album:") < said.index("does not promise")
    assert said.index("b.veiled.json") < said.index("Machines:", said.index("b.veiled.mp4"))
    assert said.count("Closest and all: similarities") == 1
    assert said.index("Album:") < said.index("Before and after: in how many") < said.index("does not promise")
    again = work.apart[-1][1]
    assert len(work.apart) == 3
    assert np.array_equal(again[0].frame.pixels, sighting.frame.pixels)


def test_an_album_goes_on_with_a_clip_that_is_not_named(
    film: Any, work: Any, one_person: None, tmp_path: Path
) -> None:
    films = [film(tmp_path / name) for name in ("a.mp4", "b.mp4")]
    runs = [veil("protect", one, "-o", tmp_path / "out", "--album", "--json") for one in films]
    first, second = work.apart
    assert first == {1: ()}
    ((sighting,),) = second.values()
    assert sighting.frame.pixels[..., 2].max() > 220  # as it was protected
    assert lines(runs[-1])[-1]["album"] == ["a.mp4", "b.mp4"]


def test_clips_are_matched_with_other_photos_of_the_person(
    film: Any, work: Any, photo: Path, one_person: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that counted, and what an honest judge makes of them and the best picture."""
    monkeypatch.setattr(
        albums, "vectors", lambda pixels, face: {"sface": torch.tensor([0.6 if len(pixels) > 192 else 1.0])}
    )
    run = veil("protect", film(tmp_path / "a.mp4"), "--me", photo)
    record = json.loads((tmp_path / "a.veiled.json").read_bytes())
    assert "Note: Who face 1 is was also learnt from 1 other photo (IMG_1.png)." in run.stderr
    found, (match,) = (one := record["faces"][0]["references"])["photos"], one["matches"]
    assert (found, match["recognizer"], match["recognised"]) == (["IMG_1.png"], "sface", False)
    assert "Face 1 against the other photo of you: no recogniser that the protection has never met" in (
        " ".join(run.stdout.split())
    )
    assert "Strength balanced, effort normal." in run.stdout


def test_a_clip_without_a_face_among_several_is_no_error(film: Any, work: Any, tmp_path: Path) -> None:
    work.tracks = ()
    film(tmp_path / "a.mp4")
    film(tmp_path / "b.mp4")
    run = veil("protect", tmp_path, "--json")
    assert run.exit_code == 3, run.output
    assert [one["exit_because"] for one in lines(run)] == [["no face found"]] * 2
    assert "in 2 clips no face was found" in run.stderr
    alone = veil("protect", tmp_path / "a.mp4", "--json")
    assert alone.exit_code == 2
    (said,) = lines(alone)
    assert said["hint"].startswith("Nothing is written. If it does show one, it is too small")
    assert (said["clip"], said["exit"]) == ("a.mp4", 2)


def test_faces_that_are_too_small_are_an_error_where_a_clip_is_alone(
    film: Any, work: Any, tmp_path: Path
) -> None:
    source, chosen = film(tmp_path / "a.mp4"), settings("balanced", "quick")
    work.tracks = work.tracks[1:]

    def run(alone: bool) -> Any:
        job = clips.prepare(source, outputs.Output(), Whom(), set(), alone, chosen)
        assert isinstance(job, clips.ClipJob)
        return finish(clips.run(job, chosen, Whom()))

    with pytest.raises(NoFace, match="Face 2 of a.mp4 measures only 20 pixels"):
        run(True)
    passed = run(False)
    assert (passed.why, passed.shortfalls) == ("shows no face that is large enough", ("face left",))


@pytest.mark.parametrize("stop", [0, 7])
def test_a_clip_that_changes_meanwhile_is_refused(
    film: Any, work: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    source, chosen = film(tmp_path / "a.mp4"), settings("balanced", "quick")
    job = clips.prepare(source, outputs.Output(), Whom(), set(), True, chosen)
    assert isinstance(job, clips.ClipJob)
    work_on = clips.run(job, chosen, Whom())
    for _ in range(stop):
        next(work_on)
    with source.open("ab") as file:
        file.write(b"more")
    with pytest.raises(BadClip, match="has changed"):
        finish(work_on)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_stopped_run_says_that_it_goes_on(film: Any, work: Any, tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")
    work.stops = 7
    run = veil("protect", source)
    assert run.exit_code == 130
    assert run.stderr.startswith("Stopped. ")  # with no empty lines before
    assert run.stderr.endswith("the same command goes on from there.\n")


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A photo, IMG_1.png, for which a stand-in takes the engine's place."""

    def engine(tracks: Sequence[Track], settings: Settings, target: Any) -> Steps[Protected]:
        yield Step(Stage.PROTECTING, 1, 1)
        before = tracks[0].key.frame
        return Protected((before.with_pixels(255 - before.pixels),), tuple(tracks), ({},), settings)

    monkeypatch.setattr(workflow, "protect", engine)
    monkeypatch.setattr(workflow, "assess", partial(workflow.assess, recognizers=("sface",)))
    Image.fromarray(astronaut()[20:260, 100:340]).save(tmp_path / "IMG_1.png")
    return tmp_path / "IMG_1.png"


def test_a_clip_and_a_photo_of_one_name_have_a_record_each(
    film: Any, work: Any, photo: Path, tmp_path: Path
) -> None:
    clip = film(tmp_path / "IMG_1.mp4")
    both, record = (clip, photo), tmp_path / "IMG_1.veiled.json"
    words = [veil("protect", source).stderr for source in both]
    named = "Note: The result of IMG_1.png is IMG_1-2.veiled.png: IMG_1.veiled is that of IMG_1.mp4."
    assert [named in said for said in words] == [False, True]
    (tmp_path / "out").mkdir()
    assert named in veil("protect", clip, photo, "-o", tmp_path / "out").stderr
    kept = record.read_bytes()
    assert json.loads(kept)["clip"] == "IMG_1.mp4"
    assert (tmp_path / "IMG_1-2.veiled.png").exists()
    assert json.loads((tmp_path / "IMG_1-2.veiled.json").read_bytes())["photo"] == "IMG_1.png"
    for source in both:
        (said,) = lines(veil("protect", source, "--json"))
        assert said["passed_over"] == "was done before"
    assert [said["passed_over"] for said in lines(veil("protect", tmp_path, "--json"))] == [
        "was done before"
    ] * 2
    assert veil("protect", photo, "--force").exit_code in (0, 3)
    refused = veil("protect", photo, "-o", tmp_path / "IMG_1.veiled.png", "--force")
    assert (refused.exit_code, "is the report of IMG_1.mp4" in refused.stderr) == (2, True)
    assert record.read_bytes() == kept
    assert veil("assess", clip, tmp_path / "IMG_1.veiled.mp4").exit_code == 0
    # as veil did it before: the photo took the record of the clip
    (tmp_path / "IMG_1-2.veiled.png").rename(tmp_path / "IMG_1.veiled.png")
    (tmp_path / "IMG_1-2.veiled.json").rename(record)
    before = {path: path.read_bytes() for path in tmp_path.glob("IMG_1.*")}
    assert veil("protect", clip).exit_code in (0, 3)
    assert json.loads((tmp_path / "IMG_1-2.veiled.json").read_bytes())["clip"] == "IMG_1.mp4"
    assert {path: path.read_bytes() for path in before} == before
    assert lines(veil("protect", photo, "--json"))[0]["passed_over"] == "was done before"


def test_a_container_without_a_place_for_the_sound_is_refused_before_any_work(
    film: Any, work: Any, tmp_path: Path
) -> None:
    run = veil("protect", film(tmp_path / "a.mp4", sound=0.0), "-o", tmp_path / "b.webm")
    assert run.exit_code == 2
    assert "does not hold the sound of a.mp4 (aac)" in run.stderr
    assert work.followed == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_result_without_all_pictures_is_refused(
    film: Any, work: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = film(tmp_path / "a.mp4")
    joined = clips.join
    monkeypatch.setattr(clips, "join", lambda clip, segments, *rest: joined(clip, segments[:-1], *rest))
    run = veil("protect", source)
    assert run.exit_code == 2
    assert "has not all of its pictures" in run.stderr
    assert not list(tmp_path.glob("*.veiled.*"))


def test_the_last_words_are_of_clips_only_where_one_was_protected(
    film: Any, work: Any, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    for clip, of_clips in ((tmp_path / "bad.mp4", False), (film(tmp_path / "a.mp4"), True)):
        run = veil("protect", photo, clip)
        assert "What this does not promise" in run.stdout
        assert ("a machine that watches" in run.stdout) == of_clips


def test_a_clip_that_is_piped_in_is_refused_in_words(film: Any, tmp_path: Path) -> None:
    data = film(tmp_path / "a.mp4").read_bytes()
    for command in ("protect", "faces"):
        run = CliRunner().invoke(app, [command, "-"], input=data)
        assert run.exit_code == 2
        assert run.stderr == (
            "Error: What is piped in is a clip, and only photos can be.\nName its file instead of -.\n"
        )


def test_json_of_clips_is_as_that_of_photos(film: Any, work: Any, photo: Path, tmp_path: Path) -> None:
    film(tmp_path / "a.mp4")
    of_photo, of_clip = lines(veil("protect", photo, tmp_path / "a.mp4", "--json"))
    shared = {"source", "picture", "record", "exit", "exit_because", "schema_number", "picture_sha256"}
    assert shared <= set(of_photo) & set(of_clip)
    assert of_clip["schema_number"] == of_photo["schema_number"]
    record = tmp_path / "a.veiled.json"
    old = json.loads(record.read_text())
    del old["schema_number"]
    record.write_text(json.dumps(old))
    assert lines(veil("protect", tmp_path / "a.mp4", "--json"))[0]["passed_over"] == "was done before"
    work.tracks = ()
    source = film(tmp_path / "b.mp4", times=(0, 512, 1024, 1536))
    none = lines(veil("protect", source, tmp_path / "a.mp4", "--json"))[0]
    assert (none["clip"], none["source"], none["exit"]) == ("b.mp4", str(source), 3)


def test_the_last_line_says_why(film: Any, work: Any, tmp_path: Path) -> None:
    film(tmp_path / "a.mp4")
    short = "Note: exit code 3, since in 1 clip a face stayed as it was, too small to be protected (a.mp4)"
    assert short in veil("protect", tmp_path / "a.mp4", "--force").stderr
    quiet = veil("protect", tmp_path / "a.mp4", "--force", "-q")
    assert quiet.exit_code == 3
    assert quiet.stderr.splitlines()[-1].startswith(short)
    (tmp_path / "b.mp4").write_bytes(b"nothing")
    for options in ((), ("-q",)):
        run = veil("protect", tmp_path, *options)
        assert run.exit_code == 2
        last = run.stderr.splitlines()[-1]
        assert last == "Note: exit code 2, since 1 of 2 could not be protected (b.mp4)."
        assert "" not in run.stderr.splitlines()


def test_a_result_that_cannot_be_read_again_does_not_end_an_album(
    film: Any, work: Any, one_person: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / "a.mp4")
    film(tmp_path / "b.mp4")
    veil("protect", tmp_path / "a.mp4", "--album")

    def damaged(*_: object) -> None:
        raise BadClip("a.veiled.mp4 cannot be decoded.")

    with monkeypatch.context() as patch:
        patch.setattr(albums.Album, "add", damaged)
        run = veil("protect", tmp_path, "--album", "--json")
    assert run.exit_code == 2
    assert lines(run)[0]["clip"] == "a.mp4"
    assert (tmp_path / "b.veiled.mp4").exists()


def test_people_are_listed_again_and_only_a_sheet_of_veils_is_replaced(
    film: Any, work: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "follow", work.follow)
    source, sheet = film(tmp_path / "a.mp4"), tmp_path / "a.veil-faces.png"
    for _ in range(2):
        run = veil("faces", source)
        assert run.exit_code == 0, run.output
        assert "Can be protected" in run.stdout
        assert Image.open(sheet).format == "PNG"
    assert veil("faces", source, "-o", tmp_path / "new").exit_code == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == [sheet.name]
    Image.new("RGB", (8, 8)).save(sheet)
    mine = sheet.read_bytes()
    run = veil("faces", source)
    assert run.exit_code == 2
    assert "exists already" in run.stderr
    assert sheet.read_bytes() == mine


def test_who_is_not_protected_is_named_with_the_clip(
    film: Any, work: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, person = film(tmp_path / "a.mp4"), SimpleNamespace(verdict=lambda *_: "other")
    monkeypatch.setattr(workflow, "person_of", lambda _: person)
    run = veil("protect", source, "--only", source)
    assert "a.mp4 does not show the person" in run.stderr
    assert "Not protected: face 1 of a.mp4, another person" in run.stdout


def test_a_missing_folder_is_refused_before_any_work(
    film: Any, work: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from veil.ui import workflow

    def too_late(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(workflow, "check_models", too_late)
    source = film(tmp_path / "a.mp4")
    run = veil("protect", source, "-o", tmp_path / "missing" / "deep", "--json")
    assert run.exit_code == 2
    (said,) = lines(run)
    assert "There is no folder" in said["error"]
    assert "Create it first" in said["hint"]
    assert isinstance(veil("protect", source, "-o", tmp_path / "new").exception, AssertionError)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_files_with_wrong_endings_are_told_apart(film: Any, tmp_path: Path, portrait: Path) -> None:
    picture, clip = tmp_path / "a.mp4", tmp_path / "b.jpg"
    picture.write_bytes(portrait.read_bytes())
    clip.write_bytes(film(tmp_path / "c.mp4").read_bytes())
    format = open_photo(portrait).format
    with pytest.raises(BadClip) as wrong:
        open_clip(picture)
    assert f"no video but a picture ({format})" in wrong.value.message
    with pytest.raises(BadPhoto) as wrong:
        open_photo(clip)
    assert wrong.value.hint.startswith("It is a clip: give its name")
    with pytest.raises(BadPhoto) as wrong:
        open_photo(tmp_path / "c.mp4")
    assert wrong.value.hint == "It is a clip; here a photo is needed."
    (tmp_path / "d.mp4").write_bytes(b"nothing at all")
    with pytest.raises(BadPhoto) as wrong:
        open_photo(tmp_path / "d.mp4")
    assert wrong.value.hint == "It is called a clip; here a photo is needed."
    with pytest.raises(BadClip) as wrong:
        open_clip(tmp_path / "d.mp4")
    assert wrong.value.message.startswith(f"{tmp_path / 'd.mp4'} is no video")
    assert "FFmpeg says: Invalid data found" in wrong.value.message
    assert "Errno" not in wrong.value.message
    assert wrong.value.message.count(str(tmp_path)) == 1
