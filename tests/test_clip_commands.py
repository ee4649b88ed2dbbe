"""Clips on the command line: judged, in albums, stopped, without a face; and what is said of wrong files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from veil.core.errors import BadClip, BadPhoto, NoFace
from veil.core.images import open_photo
from veil.core.progress import finish
from veil.core.video import open_clip
from veil.privacy.settings import settings
from veil.ui import albums, clip_checks, clips, outputs
from veil.ui.cli import app
from veil.ui.selection import Whom

pytest.importorskip("av")


def veil(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def lines(run: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.fixture
def one_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is in an album is the same person."""
    monkeypatch.setattr(albums, "vectors", lambda pixels, face: {"sface": torch.ones(1)})
    monkeypatch.setattr(albums, "vote", lambda known, shown: torch.tensor(9.0))


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
    words = veil("assess", source, tmp_path / "a.veiled.mp4").stdout
    assert "Machines: 0 of 1 no longer recognise you" in words
    assert "Voice, gait" in words


def test_only_clips_of_one_length_and_size_are_judged(
    film: Any, work: Any, tmp_path: Path, portrait: Path
) -> None:
    source, shorter = film(tmp_path / "a.mp4"), film(tmp_path / "b.mp4", times=(0, 512, 1024))
    for other, words in (
        (shorter, "differ in length: 12 and 3 pictures"),
        (portrait, "a.mp4 is a clip, and"),
        (tmp_path, "is a folder"),
        (tmp_path / "c.mp4", "There is no file"),
    ):
        run = veil("assess", source, other, "--json")
        assert run.exit_code == 2
        assert words in run.stderr
        assert lines(run)[-1]["exit"] == 2


def test_an_album_sees_the_best_picture_of_a_clip(film: Any, work: Any, tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")
    key = work.tracks[0].key
    left, top, right, bottom = work.tracks[0].face(key).box.round().astype(int)
    shown = finish(clip_checks.shown(source))
    assert shown.name == "a.mp4"
    (_, whole) = next(open_clip(source).chosen([key]))
    assert shown.pixels.shape[0] <= 3 * (bottom - top) + 2
    assert np.array_equal(shown.pixels, whole[: bottom + 80, max(left - 80, 0) : right + 80])
    work.tracks = ()
    assert finish(clip_checks.shown(source)).size == (192, 192)


def test_clips_of_an_album_are_kept_apart(film: Any, work: Any, one_person: None, tmp_path: Path) -> None:
    film(tmp_path / "a.mp4")
    film(tmp_path / "b.mp4")
    run = veil("protect", tmp_path / "a.mp4", tmp_path / "b.mp4", "--album", "--json")
    assert run.exit_code == 3, run.output
    assert all(one["origin"]["album"] for one in lines(run))
    first, second = work.apart
    assert first == {1: ()}
    ((sighting,),) = second.values()
    assert sighting.frame.pixels[..., 2].max() > 220  # as it was protected
    (tmp_path / "b.veiled.mp4").unlink()
    (tmp_path / "b.veiled.json").unlink()
    veil("protect", tmp_path / "a.mp4", tmp_path / "b.mp4", "--album")
    again = work.apart[-1][1]
    assert len(work.apart) == 3
    assert np.array_equal(again[0].frame.pixels, sighting.frame.pixels)


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
    assert "the same command goes on from there" in run.stderr


def test_a_missing_folder_is_refused_before_any_work(
    film: Any, work: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from veil.ui import workflow

    def too_late(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(workflow, "check_models", too_late)
    run = veil("protect", film(tmp_path / "a.mp4"), "-o", tmp_path / "missing", "--json")
    assert run.exit_code == 2
    (said,) = lines(run)
    assert "There is no folder" in said["error"]
    assert "Create it first" in said["hint"]


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
    with pytest.raises(BadClip) as wrong:
        open_clip(tmp_path / "d.mp4")
    assert "FFmpeg says: Invalid data found" in wrong.value.message
    assert "Errno" not in wrong.value.message
    assert str(tmp_path) not in wrong.value.message
