"""Clips from file to file: faces are chosen, results whole or not there, stopped runs go on."""

from __future__ import annotations

import json
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut
from typer.testing import CliRunner

from veil.attacks.faces.tracks import Tracks
from veil.core.errors import BadClip, BadPhoto, BadSettings, NoFace
from veil.core.files import kept_workplace
from veil.core.progress import finish
from veil.core.types import Pixels, Stage
from veil.core.video import open_clip
from veil.core.video_writing import rewrite
from veil.privacy.settings import settings
from veil.ui import clip_faces, clips, outputs
from veil.ui.cli import app
from veil.ui.selection import Whom
from veil.ui.web import clip_html

pytest.importorskip("av")
SIZE = (192, 192)


def protect(source: Path, whom: Whom = Whom(), **output: Any) -> Any:  # noqa: B008
    chosen = settings("balanced", "quick")
    job = clips.prepare(source, outputs.Output(**output), whom, set(), True, chosen)
    return finish(clips.run(job, chosen, whom)) if isinstance(job, clips.ClipJob) else job


def blue(pixels: Pixels) -> float:
    return float(pixels[30:90, 65:110, 2].mean())


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_clip_is_protected_and_what_was_left_is_named(film: Any, work: Any, tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", sound=0.0)
    record = protect(source)
    result = open_clip(tmp_path / "a.veiled.mp4")
    assert (result.count, result.size) == (12, SIZE)
    assert all(blue(pixels) > 220 for _, pixels in result.frames())
    assert (work.followed, work.found, work.drawn) == (1, 1, 12)
    assert [(face.number, face.left) for face in record.faces] == [(1, None), (2, "too small")]
    assert record.faces[0].shown == ((0.0, 0.4),)
    assert record.faces[0].margin == 1.5
    assert [match.recognizer for match in record.faces[0].matches] == ["sface"]
    assert record.faces[0].flicker.ratio == 1.1
    assert [face.behaviour is None for face in record.faces] == [False, True]
    assert "Flicker: 1.10 times" in clip_html.verdict(record)
    assert "Strength balanced, effort quick." in clip_html.verdict(record)
    assert clip_html.verdict(record).count("<summary>What you express") == 1
    assert record.shortfalls(by_choice=False)[0] == "face left"
    assert json.loads((tmp_path / "a.veiled.json").read_text()) == record.model_dump(mode="json")
    assert not hidden(tmp_path)


def test_what_was_done_before_is_left(film: Any, work: Any, tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")
    protect(source)
    with suppress(KeyboardInterrupt), kept_workplace(tmp_path / "a.veiled.mp4") as left:  # killed at its end
        (left / "segment").touch()
        raise KeyboardInterrupt
    assert hidden(tmp_path)
    again = protect(source)
    assert isinstance(again, clips.ClipDone)
    assert not hidden(tmp_path)
    assert work.drawn == 12
    with pytest.raises(BadPhoto, match="effort quick, without --crf"):
        protect(source, crf=30)
    protect(source, crf=30, force=True)
    assert work.drawn == 24
    passed = clips.prepare(
        tmp_path / "a.veiled.mp4", outputs.Output(), Whom(), set(), False, settings("balanced", "quick")
    )
    assert isinstance(passed, clips.ClipPassedOver)


def test_a_stopped_run_goes_on_and_gives_the_same(film: Any, work: Any, tmp_path: Path) -> None:
    whole, source = film(tmp_path / "a.mp4", sound=0.0), tmp_path / "b" / "a.mp4"
    protect(whole)
    source.parent.mkdir()
    source.write_bytes(whole.read_bytes())
    work.stops = 7
    with pytest.raises(KeyboardInterrupt):
        protect(source)
    assert not (source.parent / "a.veiled.mp4").exists()
    (kept,) = hidden(source.parent)
    assert kept.stat().st_mode & 0o777 == 0o700
    before = (work.followed, work.found, work.drawn)
    protect(source)
    assert (work.followed, work.found, work.drawn) == (before[0], before[1], before[2] + 7)
    assert (source.parent / "a.veiled.mp4").read_bytes() == (tmp_path / "a.veiled.mp4").read_bytes()
    assert not hidden(source.parent)


def test_what_was_found_in_another_way_is_not_used(film: Any, work: Any, tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")
    work.stops = 7
    with pytest.raises(KeyboardInterrupt):
        protect(source)
    protect(source, crf=40)
    assert (work.followed, work.found, work.drawn) == (1, 2, 7 + 12)


def test_what_is_damaged_is_found_anew(film: Any, work: Any, tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")
    work.stops = 7
    with pytest.raises(KeyboardInterrupt):
        protect(source)
    (kept,) = hidden(tmp_path)
    for path in kept.rglob("*.npz"):
        path.write_bytes(b"no numbers")
    protect(source)
    assert (work.followed, work.found) == (2, 2)


def test_two_runs_do_not_meet(film: Any, work: Any, tmp_path: Path) -> None:
    source, chosen = film(tmp_path / "a.mp4"), settings("balanced", "quick")
    job = clips.prepare(source, outputs.Output(), Whom(), set(), True, chosen)
    assert isinstance(job, clips.ClipJob)
    first = clips.run(job, chosen, Whom())
    next(first)
    with pytest.raises(BadPhoto, match="Another veil"):
        finish(clips.run(job, chosen, Whom()))
    finish(first)
    assert (tmp_path / "a.veiled.mp4").exists()


def test_faces_are_chosen_by_number_and_by_person(film: Any, work: Any, tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")
    with pytest.raises(BadSettings, match="no face number 7"):
        protect(source, Whom(frozenset([7])))
    with pytest.raises(NoFace, match="only 20 pixels"):
        protect(source, Whom(frozenset([2])))

    class Somebody:
        def verdict(self, pixels: Pixels, face: Any) -> str:
            assert pixels.shape == (192, 192, 3)
            return "other"

    passed = protect(source, Whom(person=Somebody()))  # pyright: ignore[reportArgumentType]
    assert isinstance(passed, clips.ClipPassedOver)
    assert [(face.number, face.left) for face in passed.faces] == [(1, "another person"), (2, "too small")]
    assert protect(source, Whom(person=Somebody(), spare=True)).faces[0].left is None  # pyright: ignore
    work.tracks = ()
    with pytest.raises(NoFace, match="No face was found"):
        protect(film(tmp_path / "b.mp4"))
    assert not hidden(tmp_path)


def test_a_cover_is_kept_bare_unless_it_shows_a_face(film: Any, work: Any, tmp_path: Path) -> None:
    film(tmp_path / "plain.mp4")
    for name, picture in (("face", astronaut()), ("sky", np.full((60, 80, 3), 200, np.uint8))):
        exif = Image.Exif()
        exif[0x013B] = "somebody"
        Image.fromarray(picture).save(buffer := BytesIO(), "JPEG", exif=exif)
        clip = open_clip(tmp_path / "plain.mp4")
        rewrite(clip, tmp_path / f"{name}.mp4", clip.frames(), cover=buffer.getvalue())
        record = protect(tmp_path / f"{name}.mp4")
        kept = open_clip(tmp_path / f"{name}.veiled.mp4").cover
        assert (kept is None) == (name == "face") == any("shows a face" in note for note in record.notes)
        assert b"somebody" not in (tmp_path / f"{name}.veiled.mp4").read_bytes()


def test_the_sheet_shows_everybody(film: Any, work: Any, tmp_path: Path) -> None:
    clip = open_clip(film(tmp_path / "a.mp4"))
    tracks = Tracks(work.tracks, (0,), 12)
    sheet = clip_faces.sheet(clip, tracks)
    assert sheet.size == (2 * clip_faces.TILE, clip_faces.TILE + clip_faces.LINE)
    whole = np.asarray(sheet)
    assert whole[: clip_faces.TILE].std() > 20
    assert (whole[clip_faces.TILE :] < 128).any()


def test_the_command_line_takes_photos_and_clips(
    film: Any, work: Any, tmp_path: Path, portrait: Path, opened: Any
) -> None:
    """With the page's stand-in for the engine, which photos meet."""
    film(tmp_path / "a.mp4")
    (tmp_path / "b.jpg").write_bytes(portrait.read_bytes())
    (tmp_path / "c.mp4").write_bytes(b"nothing")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "a.veil-faces.png").write_bytes(b"a sheet of faces is passed over")
    run = CliRunner().invoke(app, ["protect", str(tmp_path), "--json", "--crf", "30"])
    assert run.exit_code == 2, run.output
    said = [json.loads(line) for line in run.stdout.splitlines()]
    assert {one.get("clip") or one["photo"] for one in said} == {"a.mp4", "b.jpg", "c.mp4"}
    (failed,) = (one for one in said if one["exit"] == 2)
    assert "c.mp4" in failed["error"]
    clip = next(one for one in said if one.get("clip") == "a.mp4")
    assert clip["origin"]["crf"] == 30
    assert clip["exit_because"][0] == "face left"
    assert (tmp_path / "a.veiled.mp4").exists()
    assert (tmp_path / "b.veiled.jpg").exists()
    refused = CliRunner().invoke(app, ["protect", str(tmp_path / "a.mp4"), "-o", str(tmp_path / "x.jpg")])
    assert refused.exit_code == 2
    assert "no name for what becomes of a.mp4" in refused.output


def test_impersonation_and_pipes_are_refused(film: Any, work: Any, tmp_path: Path, portrait: Path) -> None:
    source = film(tmp_path / "a.mp4")
    aimed = ["protect", str(source), "--goal", "impersonate", "--target", str(portrait)]
    for arguments in (
        aimed,
        ["protect", str(source), "-o", "-"],
        ["protect", str(source), "--codec", "h263"],
    ):
        run = CliRunner().invoke(app, arguments)
        assert run.exit_code == 2, run.output
        assert "Error" in run.output


def test_python_protects_clips(film: Any, work: Any, tmp_path: Path) -> None:
    import veil

    source, stages = film(tmp_path / "a.mp4"), set[Stage]()
    result = veil.protect(source, effort="quick", crf=30, progress=lambda step: stages.add(step.stage))
    assert isinstance(result, veil.ClipResult)
    assert {Stage.FOLLOWING, Stage.PROTECTING, Stage.RENDERING, Stage.JUDGING} <= stages
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert "too small" in str(result)
    assert result.save(tmp_path / "b.mp4") == result.report
    assert open_clip(tmp_path / "b.mp4").count == 12
    assert json.loads((tmp_path / "b.json").read_text())["origin"]["crf"] == 30
    with pytest.raises(BadPhoto, match="exists already"):
        result.save(tmp_path / "b.mp4")
    with pytest.raises(BadPhoto, match="is a .mp4"):
        result.save(tmp_path / "b.mkv")
    (tmp_path / "c.json").write_text('{"photo": "c.jpg"}')
    with pytest.raises(BadPhoto, match="is the report of c.jpg"):
        result.save(tmp_path / "c.mp4", replace=True)
    with pytest.raises(BadSettings, match="nobody known"):
        veil.protect(source, target=astronaut())


@pytest.mark.slow
def test_faces_of_a_clip_are_listed(film: Any, tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", times=(0, 512, 1024))
    run = CliRunner().invoke(app, ["faces", str(source), "--json"])
    assert run.exit_code == 0, run.output
    (said,) = (json.loads(line) for line in run.stdout.splitlines())
    assert [(face["number"], face["protectable"], face["shown"]) for face in said["faces"]] == [
        (1, True, [[0.0, 0.1]])
    ]
    assert Image.open(tmp_path / "a.veil-faces.png").size[0] == clip_faces.TILE


def test_a_clip_that_cannot_be_decoded_leaves_nothing(film: Any, work: Any, tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")
    source.write_bytes(source.read_bytes()[:2000])
    with pytest.raises(BadClip):
        protect(source)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
