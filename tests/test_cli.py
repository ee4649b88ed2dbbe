"""What people meet at the command line; a quick stand-in takes the engine's place."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from errno import ENOSPC
from functools import partial
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from skimage.data import astronaut
from typer.testing import CliRunner, Result

from veil.core.errors import BadPhoto, NoFace, WeightsMissing
from veil.core.images import open_photo
from veil.core.progress import finish
from veil.core.types import Face, Sighting, Stage, Step, Steps, Track
from veil.eval import FACE_MEASURES, MEASURES
from veil.eval.behaviour import BEHAVIOURS
from veil.eval.disturbances import DISTURBANCES
from veil.eval.report import Report
from veil.eval.trackers import TRACKERS
from veil.privacy import METHODS, Protected
from veil.privacy.settings import EFFORTS, STRENGTHS, Settings, settings
from veil.ui import beside, recognizers, records, workflow
from veil.ui.beside import Beside
from veil.ui.cli import app
from veil.ui.limits import LIMITS
from veil.ui.terminal import Terminal, in_its_folder
from veil.ui.web import results
from veil.ui.web.sessions import Visitor
from veil.ui.wording import ON_LIMITS, headline, likeness, machines
from veil.weights import store
from veil.weights.registry import cards
from veil.weights.store import WeightsStore, default_store

PORTRAIT = astronaut()[20:260, 100:340]


def veil(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "120"})


def engine(tracks: Sequence[Track], settings: Settings, target: Sighting | None) -> Steps[Protected]:
    """Covers the chosen faces with noise."""
    photo = tracks[0].key.frame
    pixels = photo.pixels.copy()
    noise = np.random.default_rng(0)
    for track in tracks:
        yield Step(Stage.PROTECTING, 1, 1)
        left, top, right, bottom = track.key.face.box.round().astype(int)
        part = pixels[top:bottom, left:right]
        part[:] = noise.integers(0, 256, part.shape)
    return Protected((photo.with_pixels(pixels),), tuple(tracks), ({},) * len(tracks), settings)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a portrait; the engine and, for speed, all but two judges are replaced."""
    monkeypatch.setattr(workflow, "protect", engine)
    monkeypatch.setattr(workflow, "assess", partial(workflow.assess, recognizers=("dlib", "sface")))
    checked = ("dlib", "sface", "faceres", "facenet", "stable-diffusion")
    monkeypatch.setattr(workflow, "cards", lambda: dict.fromkeys(checked))
    Image.fromarray(PORTRAIT).save(tmp_path / "photo.png")
    return tmp_path


def files(folder: Path) -> dict[Path, bytes | None]:
    """Everything that lies in a folder."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_protect_writes_picture_and_report(folder: Path) -> None:
    source = (folder / "photo.png").read_bytes()
    result = veil("protect", folder / "photo.png", "--seed", 7)
    assert result.exit_code == 0, result.output
    assert (folder / "photo.png").read_bytes() == source
    assert sorted(path.name for path in folder.iterdir()) == [
        *("photo.png", "photo.veiled.json", "photo.veiled.png")
    ]
    after = np.asarray(Image.open(folder / "photo.veiled.png"))
    assert (after != PORTRAIT).any()
    record = records.Record.model_validate_json((folder / "photo.veiled.json").read_text())
    assert record.photo == "photo.png"
    assert record.limits == LIMITS
    assert record.settings.seed == 7
    (face,) = record.report.faces
    assert {match.recognizer: match.used_by_attack for match in face.matches} == {
        "dlib": "yes",
        "sface": "no",
    }
    assert record.report.headline
    assert record.report.headline.judges == 1
    for words in ("sface", "no longer", "photo.veiled.png", "does not promise"):
        assert words in result.stdout


@pytest.mark.parametrize(
    ("name", "option", "written"),
    [
        ("a.jpg", "keep", "a.veiled.jpg"),
        ("a.webp", "keep", "a.veiled.webp"),
        ("a.heic", "keep", "a.veiled.heic"),
        ("a.bmp", "keep", "a.veiled.png"),
        ("a.jxl", "keep", "a.veiled.jpg"),
        ("a.jpg", "png", "a.veiled.png"),
        ("a.png", "jpeg", "a.veiled.jpg"),
        ("a.png", "webp", "a.veiled.webp"),
    ],
)
def test_formats_and_output_folder(folder: Path, name: str, option: str, written: str) -> None:
    Image.fromarray(PORTRAIT).save(folder / name)
    result = veil("protect", folder / name, "-o", folder / "out", "--format", option)
    assert result.exit_code == 0, result.output
    changed_by_itself = option == "keep" and Path(name).suffix != Path(written).suffix
    assert ("veil does not write" in result.stderr) == changed_by_itself
    assert sorted(path.name for path in (folder / "out").iterdir()) == sorted(["a.veiled.json", written])


@pytest.mark.parametrize("name", ["mine.png", "mine.JPG", "mine.webp"])
def test_the_picture_may_be_named(folder: Path, name: str) -> None:
    assert veil("protect", folder / "photo.png", "-o", folder / name).exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == sorted(["mine.json", name, "photo.png"])
    assert np.asarray(Image.open(folder / name)).shape == PORTRAIT.shape
    result = veil("assess", folder / "photo.png", folder / name)
    assert "no report" not in result.stderr


def test_every_command_refuses_empty_paths(folder: Path) -> None:
    for arguments in (
        *(["faces", ""], ["assess", folder / "photo.png", ""], ["assess", "--album", ""]),
        *(["benchmark", "", "--json"], ["calibrate", folder, "--output="], ["--weights", "", "models"]),
    ):
        refused = veil(*arguments)
        assert refused.exit_code == 2
        assert refused.stderr.splitlines()[0].startswith("Error: An empty path was given for ")
        assert refused.stdout.count('"exit": 2') == ("--json" in arguments)


def test_metadata_is_kept_on_request_only(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x013B] = "private-author"
    Image.fromarray(PORTRAIT).save(folder / "photo.png", exif=exif)
    for options, kept in ([], False), (["--keep-metadata", "--force"], True):
        assert veil("protect", folder / "photo.png", *options).exit_code == 0
        assert (b"private-author" in (folder / "photo.veiled.png").read_bytes()) == kept


def _write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _small(name: str) -> Callable[[Path], object]:
    return lambda folder: Image.fromarray(PORTRAIT).resize((72, 72)).save(folder / name)


def _blank(name: str) -> Callable[[Path], object]:
    return lambda folder: Image.new("RGB", (200, 200), "grey").save(folder / name)


def _truncate(folder: Path) -> None:
    Image.fromarray(PORTRAIT).save(folder / "a.jpg")
    (folder / "a.jpg").write_bytes((folder / "a.jpg").read_bytes()[:5000])


def _loop(folder: Path) -> None:
    (folder / "a.jpg").symlink_to("b.jpg")
    (folder / "b.jpg").symlink_to("a.jpg")


def _two(name: str) -> Callable[[Path], object]:
    return lambda folder: Image.fromarray(np.hstack([PORTRAIT, PORTRAIT])).save(folder / name)


def _no(folder: Path) -> None:
    """Nothing to prepare."""


BAD: dict[str, tuple[Callable[[Path], object], list[str], str]] = {
    "no such file": (_no, ["a.jpg"], "There is no file"),
    "empty folder": (lambda folder: (folder / "a").mkdir(), ["a"], "There are no photos or clips in a"),
    "not an image": (_write("a.jpg", b"hello"), ["a.jpg"], "is not a picture"),
    "truncated": (_truncate, ["a.jpg"], "is damaged or incomplete"),
    "bomb": (_write("a.ppm", b"P5 30000 30000 255\n"), ["a.ppm"], "million pixels"),
    "zero bytes": (_write("a.jpg", b""), ["a.jpg"], "is empty"),
    "no face": (_blank("a.png"), ["a.png"], "No face was found in a.png"),
    "small face": (_small("a.png"), ["a.png"], "Face 1 of a.png measures only"),
    "small face by number": (_small("a.png"), ["a.png", "--faces", "1"], "Face 1 of a.png measures only"),
    "strength": (_no, ["photo.png", "--strength", "huge"], "no strength called 'huge'"),
    "effort": (_no, ["photo.png", "--effort", "huge"], "no effort called 'huge'"),
    "quality of a PNG": (_no, ["photo.png", "--format", "png", "--quality", "80"], "A PNG has no quality"),
    "JSON beside a picture": (_no, ["photo.png", "-o", "-", "--json"], "stands alone"),
    "loop of links": (_loop, ["a.jpg"], "There is no file"),
    "name that is too long": (_no, ["a" * 300 + ".jpg"], "cannot be read"),
    "surrogate": (_no, ["photo.png", "--surrogates", "dlib,arcnet"], "no recogniser called 'arcnet'"),
    "left out": (_no, ["photo.png", "--leave-out", "arcnet"], "no recogniser called 'arcnet'"),
    "prior": (_no, ["photo.png", "--prior", "flux"], "no prior called 'flux'"),
    "prior elsewhere": (_no, ["photo.png", "--prior", "stable-diffusion:no/where"], "is not on this machine"),
    "prior's folder": (_no, ["photo.png", "--prior", "stable-diffusion:./a/b/c"], "There is no folder"),
    "surrogate elsewhere": (
        _no,
        ["photo.png", "--surrogates", "facenet:casia-webface"],
        "not on this machine",
    ),
    "surrogate's model": (
        _no,
        ["photo.png", "--surrogates", "facenet:ms1m"],
        "model of 'facenet' called 'ms1m'",
    ),
    "device": (_no, ["photo.png", "--device", "gpu"], "no device 'gpu'"),
    "face number": (_no, ["photo.png", "--faces", "1,3"], "photo.png has no face number 3"),
    "face zero": (_no, ["photo.png", "--faces", "0"], "photo.png has no face number 0"),
    "face name": (_no, ["photo.png", "--faces", "one"], "'one' is no list of face numbers"),
    "faces twice": (_no, ["photo.png", "--faces", "1", "--largest"], "exclude each other"),
    "surrogates twice": (_no, ["photo.png", "--leave-out", "dlib", "--all-surrogates"], "exclude each other"),
    "output in no folder": (_no, ["photo.png", "-o", "nowhere/deep"], "There is no folder nowhere"),
    "output a file": (_write("a.txt", b"words"), ["photo.png", "-o", "a.txt"], "a.txt is a file, and no"),
    "output of another kind": (_no, ["photo.png", "-o", "a.tif"], "-o a.tif names a file of a kind"),
    "a folder that is called as a photo": (_no, ["photo.png", "-o", "new.png/"], "no folder new.png/"),
    "a folder that is made": (_no, ["photo.png", "-o", "new", "--faces", "3"], "has no face number 3"),
    "empty path": (_no, [""], "An empty path was given for 'photos'."),
    "empty path of an option": (_no, ["photo.png", "--json", "--me", ""], "was given for '--me'."),
    "existing": (_write("photo.veiled.json", b"old"), ["photo.png"], "exists already"),
    "existing picture": (_write("photo.veiled.png", b"old"), ["photo.png"], "exists already"),
    "goal without target": (_no, ["photo.png", "--goal", "impersonate"], "belong together"),
    "one picture for two photos": (
        _small("b.png"),
        ["photo.png", "b.png", "-o", "c.png"],
        "names one file for 2",
    ),
    "the photo itself": (_no, ["photo.png", "--force", "-o", "photo.png"], "would replace another photo"),
    "a picture in no folder": (_no, ["photo.png", "-o", "nowhere/a.png"], "There is no folder nowhere"),
    "only by number": (_no, ["photo.png", "--only", "photo.png", "--faces", "1"], "exclude each other"),
    "only nobody": (_blank("a.png"), ["photo.png", "--only", "a.png"], "No face of 32 pixels or more"),
    "except one of two": (_two("a.png"), ["photo.png", "--except", "a.png"], "a.png shows 2 faces"),
    "target without goal": (_no, ["photo.png", "--target", "photo.png"], "belong together"),
    "target": (
        _blank("a.png"),
        ["photo.png", "--goal", "impersonate", "--target", "a.png"],
        "No face was found",
    ),
    "probe": (_blank("a.png"), ["photo.png", "--probe", "a.png"], "No face was found"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_before_the_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    prepare, arguments, message = BAD[case]
    prepare(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(workflow, "protect", None)
    refuses(folder, arguments, message)


def refuses(folder: Path, arguments: Sequence[str], message: str) -> None:
    """Protecting ends with 2 and two lines on stderr, and writes nothing."""
    before = files(folder)
    result = veil("protect", *arguments)
    assert result.exit_code == 2
    first, second = result.stderr.splitlines()
    assert message in first
    assert second
    said = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["exit"] for one in said] == [2] * ("--json" in arguments)
    assert files(folder) == before


def test_a_read_only_folder_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.chdir(folder)
    monkeypatch.setattr("os.mkdir", refuse)  # as root, no mode stops us from writing
    refuses(folder, ["photo.png", "-o", "."], "Nothing can be written into")
    refuses(folder, ["photo.png"], "Nothing can be written into")
    shutil.copy("photo.png", "other.png")
    several = veil("protect", "photo.png", "other.png", "--json")
    assert several.stderr.count("Error: Nothing can be written into") == 1  # it concerns both
    assert [json.loads(line)["source"] for line in several.stdout.splitlines()] == ["photo.png", "other.png"]
    assert "2 of 2 could not be protected (photo.png, other.png)" in several.stderr


@pytest.fixture
def flipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of which one file has a flipped byte."""
    weights = tmp_path / "weights"
    shutil.copytree(store.PACKAGED, weights)
    damaged = bytearray((weights / "faceres.safetensors").read_bytes())
    damaged[100_000] ^= 1
    (weights / "faceres.safetensors").write_bytes(damaged)
    monkeypatch.setattr(store, "default_store", lambda: WeightsStore(tmp_path, packaged_dir=weights))
    return weights


def test_damaged_weights_are_refused(folder: Path, flipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    refuses(folder, ["photo.png"], "faceres.safetensors is damaged")
    result = veil("models")
    assert result.exit_code == 0
    states = {line.split()[0]: line.split()[-1] for line in result.stdout.splitlines() if " MB" in line}
    assert states["faceres"] == "damaged"
    assert states["dlib"] == "yes"


def test_a_model_that_only_the_judge_needs_is_looked_for_before_the_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def path(name: str) -> None:
        if name == "facemesh":
            raise WeightsMissing("It is not here.", "Install veil again.")

    monkeypatch.setattr(workflow, "cards", cards)
    monkeypatch.setattr(store, "path", path)
    monkeypatch.setattr(workflow, "prepare", None)
    shutil.copy(folder / "photo.png", folder / "b.png")
    refuses(folder, [str(folder)], "It is not here.")


@pytest.mark.parametrize("name", [None, 3, "", "a.png"])
@pytest.mark.parametrize("kind", [FileNotFoundError, PermissionError])
def test_what_the_file_system_refuses_names_a_file_and_no_descriptor(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str | int | None, kind: type[OSError]
) -> None:
    def refuse(*_: object) -> None:
        error = kind(1, "refused")
        error.filename = name
        raise error

    monkeypatch.setattr(workflow, "check_models", refuse)
    first, second = veil("protect", folder / "photo.png").stderr.splitlines()
    missing = "There is no file a.png." if kind is FileNotFoundError else "a.png cannot be used (refused)."
    assert first == f"Error: {missing if name == 'a.png' else 'A file cannot be used (refused).'}"
    assert second


def test_a_bad_photo_does_not_lose_the_others(folder: Path) -> None:
    result = veil("protect", folder / "missing.jpg", folder / "photo.png")
    assert result.exit_code == 2
    assert "There is no file" in result.stderr
    assert (folder / "photo.veiled.png").exists()
    assert "no longer" in result.stdout
    out = folder / "out"  # which is made only for something
    assert veil("protect", folder / "missing.jpg", folder / "missing.png", "-o", out).exit_code == 2
    assert not out.exists()
    assert veil("protect", folder / "missing.jpg", folder / "photo.png", "-o", out).exit_code == 2
    assert names(out) == {"photo.veiled.png", "photo.veiled.json"}


@pytest.fixture
def half_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two photos of which the first is done."""
    (folder / "in").mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy(folder / "photo.png", folder / "in" / name)
    (folder / "photo.png").unlink()

    def killed(tracks: Sequence[Track], *rest: Any) -> Steps[Protected]:
        if tracks[0].key.frame.name == "b.png":
            raise KeyboardInterrupt
        return engine(tracks, *rest)

    monkeypatch.setattr(workflow, "protect", killed)
    assert veil("protect", folder / "in").exit_code == 130
    assert names(folder / "in") == {"a.png", "b.png", "a.veiled.png", "a.veiled.json"}
    monkeypatch.setattr(workflow, "protect", engine)
    return folder / "in"


def test_a_run_that_goes_on_passes_over_what_is_done(
    half_done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(half_done)
    result = veil("protect", half_done, "--json")
    assert result.exit_code == 0, result.output
    done, fresh = (json.loads(line) for line in result.stdout.splitlines())
    assert (done["photo"], done["passed_over"], done["exit"]) == ("a.png", "was done before", 0)
    assert Path(done["picture"]).name == "a.veiled.png"
    assert done["report"]["faces"]
    assert (fresh["photo"], fresh["exit"], fresh.get("passed_over")) == ("b.png", 0, None)
    assert "Note: a.png was done before" in result.stderr
    assert before.items() <= files(half_done).items()
    monkeypatch.setattr(workflow, "protect", None)
    before = files(half_done)
    again = veil("protect", half_done)
    assert (again.exit_code, again.stdout.count("Machines:")) == (0, 2)
    assert again.stdout.endswith(f"\n{ON_LIMITS}\n")  # at length it was said when they were made
    parts = ("a.veiled.json", "People:", "Used  ", "On the face", "Strength balanced, effort normal.")
    places = [again.stdout.index(part) for part in parts]
    assert places == sorted(places)  # the answer right after the names
    assert again.stdout.count("Before and after are") == 1
    assert again.stdout.index("b.veiled.json") < again.stdout.index("Before and after are")
    assert again.stdout.index("Before and after are") < again.stdout.index("does not promise")
    other = veil("protect", half_done, "--effort", "quick")
    assert other.exit_code == 2
    assert other.stderr.splitlines()[-1] == (
        "Note: exit code 2, since 2 of 2 already had a result of other settings, which is left as it is "
        "(a.png, b.png)."
    )
    alone = veil("protect", half_done / "b.png")
    assert (alone.exit_code, "b.png was done before" in alone.stderr) == (0, True)
    assert files(half_done) == before
    record = (half_done / "a.veiled.json").read_text()
    judged = json.loads(record)
    judged["report"]["faces"][0]["matches"][-1].update(seen="no", after=1.0)
    judged["report"]["unprotected"] = [{"number": 2, "box": [0, 0, 9, 9], "reason": "too small"}]
    (half_done / "a.veiled.json").write_text(json.dumps(judged))
    result = veil("protect", half_done, "--json")
    assert result.exit_code == 3
    assert "Note: a.png was done before" in result.stderr
    assert "Not protected: face 2 of a.png, too small" in result.stderr
    done = json.loads(result.stdout.splitlines()[0])
    assert (done["exit"], done["exit_because"]) == (3, ["face left", "still recognised"])


def _edit(name: str) -> Callable[[Path], object]:
    """Change a file by a byte, a picture still being one."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes() + b"\0")


def _from_before(folder: Path) -> None:
    record = json.loads((folder / "a.veiled.json").read_text())
    del record["origin"]
    (folder / "a.veiled.json").write_text(json.dumps(record))


def _unnamed(folder: Path) -> None:
    """A record that does not name strength and effort."""
    record = json.loads((folder / "a.veiled.json").read_text())
    (folder / "a.veiled.json").write_text(json.dumps(record | {"strength": None, "effort": None}))


def _another_face(folder: Path) -> None:
    """The report is of a face elsewhere."""
    record = json.loads((folder / "a.veiled.json").read_text())
    record["report"]["faces"][0]["box"] = [0, 0, 30, 30]
    (folder / "a.veiled.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("change", "options", "made"),
    [
        (_edit("a.png"), [], "effort normal, of another file of this name."),
        (_edit("a.veiled.png"), [], ""),
        (lambda folder: (folder / "a.veiled.png").unlink(), [], ""),
        (lambda folder: (folder / "a.veiled.json").unlink(), [], ""),
        (_write("a.veiled.json", b"{}"), [], ""),
        (_from_before, [], ""),
        (_another_face, [], "of other faces."),
        (_no, ["--strength", "subtle"], "at strength balanced, effort normal."),
        (_unnamed, ["--strength", "subtle"], "with another ceiling."),
        (_no, ["--seed", "1"], "at strength balanced, effort normal, with another seed."),
        (_no, ["--keep-metadata"], "effort normal, without --keep-metadata."),
        (_no, ["--quality", "50"], "effort normal, without --quality."),
        (_no, ["--probe", "in/b.png"], "effort normal, without --probe."),
        (_no, ["--album"], "effort normal, without --album."),
    ],
)
def test_what_is_not_done_in_just_this_way_is_not_passed_over(
    half_done: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], object],
    options: list[str],
    made: str,
) -> None:
    monkeypatch.chdir(half_done.parent)
    monkeypatch.setattr(workflow, "protect", None)
    change(half_done)
    how = f"exists already, made with other settings: {made}" if made.startswith("at") else made
    refuses(half_done, [str(half_done / "a.png"), *options], how or "exists already.")


def test_another_target_is_another_result(half_done: Path) -> None:
    arguments = ["protect", half_done / "b.png", "--goal", "impersonate", "--target"]
    assert veil(*arguments, half_done / "a.png").exit_code in (0, 3)
    assert "was done before" in veil(*arguments, half_done / "a.png").stderr
    _edit("a.png")(half_done)
    assert "exists already" in veil(*arguments, half_done / "a.png").stderr


@pytest.mark.slow
def test_results_never_replace_photos_or_each_other(folder: Path) -> None:
    shutil.copy(folder / "photo.png", folder / "photo.veiled.png")
    Image.fromarray(PORTRAIT).save(folder / "photo.jpg")
    before = files(folder)
    result = veil("protect", folder / "photo.png", folder / "photo.veiled.png", "--force", "--largest")
    assert result.exit_code == 0, result.output
    assert {path: files(folder)[path] for path in before} == before
    assert {"photo-2.veiled.png", "photo-2.veiled.json", "photo.veiled.veiled.png"} <= names(folder)
    (folder / "out").mkdir()
    result = veil("protect", folder / "photo.jpg", folder / "photo.png", "-o", folder / "out")
    assert result.exit_code == 0, result.output
    assert names(folder / "out") == {
        *("photo.veiled.jpg", "photo.veiled.json", "photo-2.veiled.png", "photo-2.veiled.json")
    }
    assert {path: files(folder)[path] for path in before} == before


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), BadPhoto("broken", "really")])
@pytest.mark.parametrize("stage", ["protect", "save_photo", "assess"])
def test_stopping_leaves_the_folder_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch, stage: str, stop: BaseException
) -> None:
    closed: list[bool] = []

    def stopped(*_: Any, **__: Any) -> Any:
        raise stop

    def protecting(*_: Any) -> Steps[Protected]:
        try:
            yield Step(Stage.PROTECTING, 1, 2)
            stopped()
        finally:
            closed.append(True)
        raise AssertionError

    monkeypatch.setattr(workflow, stage, protecting if stage == "protect" else stopped)
    before = files(folder)
    result = veil("protect", folder / "photo.png")
    assert result.exit_code == (130 if isinstance(stop, KeyboardInterrupt) else 2)
    assert files(folder) == before
    assert closed == [True] * (stage == "protect")
    assert "Traceback" not in result.output


@pytest.mark.slow
def test_faces_are_chosen_by_number(folder: Path) -> None:
    pair = np.hstack(
        [PORTRAIT, np.asarray(Image.fromarray(PORTRAIT).resize((192, 192)).crop((0, 0, 192, 240)))]
    )
    Image.fromarray(pair).save(folder / "pair.png")
    rows = [line.split() for line in veil("faces", folder / "pair.png").stdout.splitlines() if "yes" in line]
    assert [row[0] for row in rows] == ["1", "2"]
    for options, left, right in ((["--faces", "2"], 0, 1), (["--largest"], 1, 0), ([], 1, 1)):
        assert veil("protect", folder / "pair.png", "--force", *options).exit_code == 0
        changed = (np.asarray(Image.open(folder / "pair.veiled.png")) != pair).any(-1)
        assert (changed[:, :240].any(), changed[:, 240:].any()) == (left, right)
        numbers = [face.number for face in _record(folder / "pair.veiled.json").report.faces]
        assert numbers == [number for number, chosen in ((1, left), (2, right)) if chosen]


def _record(path: Path) -> records.Record:
    return records.Record.model_validate_json(path.read_text())


def test_the_honest_judge_is_left_out_of_the_surrogates() -> None:
    assert recognizers.surrogates(None, False, None) == Settings().surrogates
    for left_out in ("dlib", "faceres", "faceres-deep"):
        assert left_out not in recognizers.surrogates(None, False, left_out)
    assert "faceres" not in recognizers.surrogates(None, False, "faceres-deep")
    assert recognizers.surrogates("dlib, faceres", False, None) == ("dlib", "faceres")


def test_all_surrogates_leave_no_headline(folder: Path) -> None:
    result = veil("protect", folder / "photo.png", "--all-surrogates")
    assert "No honest judge is left" in " ".join(result.stdout.split())  # whose lines are broken
    assert _record(folder / "photo.veiled.json").report.headline is None


@pytest.mark.slow
def test_assess_reads_what_was_used_from_the_report(folder: Path) -> None:
    assert (
        veil(
            "protect", folder / "photo.png", "--surrogates", "dlib", "--probe", folder / "photo.png"
        ).exit_code
        == 0
    )
    arguments = ["assess", folder / "photo.png", folder / "photo.veiled.png"]
    result = veil(*arguments, "--json")
    report = Report.model_validate_json(result.stdout)
    assert {match.recognizer for match in report.faces[0].matches if match.used_by_attack == "yes"} == {
        "dlib"
    }
    other = veil("assess", folder / "photo.veiled.png", folder / "photo.png", "--json")
    assert other.stdout == result.stdout
    assert "photo.veiled.png is the protected one" in other.stderr
    shutil.copy(folder / "photo.veiled.png", folder / "later.png")
    edited = veil("assess", folder / "photo.veiled.png", folder / "later.png")
    assert "photo.veiled.png was protected already" in edited.stderr
    record = (folder / "photo.veiled.json").read_text()
    shutil.copy(folder / "photo.png", folder / "photo.veiled.jpg")
    digest = json.loads(record)["picture_sha256"]
    for after, said, complaint in (
        ("photo.veiled.jpg", record, "is the report of another picture"),
        ("photo.veiled.png", record.replace(digest, "0" * 64), "is the report of another picture"),
        ("photo.veiled.png", record.replace('"picture_sha256"', '"sum"'), "does not say of which picture"),
    ):
        (folder / "photo.veiled.json").write_text(said)
        refused = veil("assess", folder / "photo.png", folder / after)
        assert refused.exit_code == 2
        assert complaint in refused.stderr
        assert "--seen" in refused.stderr
    (folder / "photo.veiled.jpg").unlink()
    (folder / "photo.veiled.json").write_text(record.replace('"penalty_scale"', '"cost"'))
    assert Report.model_validate_json(veil(*arguments, "--json").stdout) == report
    (folder / "photo.veiled.json").write_text(record.replace('"surrogates"', '"attacked"'))
    result = veil(*arguments)
    assert result.exit_code == 2
    assert "which recognisers were used" in result.stderr
    result = veil(*arguments, "--seen", "", "--fail-if-recognised")
    assert "never met" not in result.stdout  # where all are, they are not counted apart
    assert result.exit_code == (3 if " yes" in result.stdout else 0)
    (folder / "photo.veiled.json").unlink()
    result = veil(*arguments, "--probe", folder / "photo.png")
    assert f"No report of veil, photo.veiled.json, lies beside {folder / 'photo.veiled.png'}" in result.stderr
    assert "the verdict may be better than it should be" in result.stderr
    assert "another photo of the person" in " ".join(result.stdout.split())
    result = veil(*arguments, "--seen", "dlib,mobilefacenet,faceres,mobileface,faceplugin,sface")
    assert "No honest judge is left" in " ".join(result.stdout.split())  # whose lines are broken
    assert result.stderr == ""
    nobody = Report.model_validate_json(veil(*arguments, "--seen", "", "--json").stdout)
    assert {match.used_by_attack for match in nobody.faces[0].matches} == {"no"}
    assert veil(*arguments, "--seen", "nobody").exit_code == 2


def _asked(used: str, before: bool, after: bool) -> Any:
    return SimpleNamespace(used_by_attack=used, recognised=before, still_recognised=after)


def _report(*faces: list[Any], likenesses: Sequence[float] = ()) -> Any:
    """A report on faces, each by what its recognisers, always the same, were `_asked`."""
    named = [
        [SimpleNamespace(**vars(one), recognizer=f"recogniser {at}") for at, one in enumerate(asked)]
        for asked in faces
    ]
    known = likenesses or [0.99] * len(faces)
    return SimpleNamespace(
        faces=[
            SimpleNamespace(number=number, matches=matches, likeness=likeness)
            for number, (matches, likeness) in enumerate(zip(named, known, strict=True), 1)
        ]
    )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ([_asked("no", False, False)], "none of them recognised you even before."),
        ([_asked("yes", True, True)] * 6 + [_asked("no", True, True)], "all 7 still recognise you."),
        ([_asked("no", True, True)], "the one asked still recognises you."),
        ([_asked("no", True, False), _asked("no", True, True)], "1 of 2 still recognises you."),
        ([_asked("no", True, False)] * 2, "none of 2 recognises you any longer."),
        (
            [_asked("yes", True, False), _asked("no", True, True)],
            "1 of 2 still recognises you; the one that the protection has never met still recognises you.",
        ),
        (
            [_asked("yes", True, True)] * 2 + [_asked("no", True, False)] * 2,
            "2 of 4 still recognise you; none of the 2 that the protection has never met recognises you any "
            "longer.",
        ),
        (
            [_asked("yes", True, False), *[_asked("no", True, True)] * 2],
            "2 of 3 still recognise you; all 2 that the protection has never met still recognise you.",
        ),
        (
            [_asked("yes", True, False), _asked("no", False, False)],
            "the one asked no longer recognises you. No recogniser that the protection has never met knew "
            "the face even before.",
        ),
        (
            [_asked("yes", True, True)] * 2,
            "all 2 still recognise you. No honest judge is left: every recogniser, or a relative of it, was "
            "used.",
        ),
    ],
)
def test_machines_are_counted_in_plain_words(asked: list[Any], words: str) -> None:
    assert machines(_report(asked)) == words


def test_recognisers_that_know_several_faces_are_counted_once() -> None:
    """Of three recognisers, two know somebody still, the first of them both; one never knew anybody."""
    yes, no, never = (True, True), (True, False), (False, False)
    first = [_asked("yes", *yes), _asked("no", *no), _asked("yes", *no), _asked("no", *never)]
    second = [_asked("yes", *yes), _asked("no", *yes), _asked("yes", *never), _asked("no", *never)]
    assert machines(_report(first, second)) == (
        "2 of 3 still recognise somebody; the one that the protection has never met still recognises "
        "somebody."
    )
    nobody = [_asked("no", *no), _asked("no", *no)]
    assert machines(_report(nobody, [_asked("no", *no), _asked("no", *never)])) == (
        "none of 2 recognises anybody any longer."
    )


@pytest.mark.parametrize(
    ("least", "one", "several"),
    [
        (0.98, "looks like you", "everybody looks as before"),
        (0.95, "may look like a relative of yours", "somebody may look like a relative"),
        (0.9, "may look like somebody else", "somebody may look like another person"),
    ],
)
def test_people_come_first_and_by_the_face_that_looks_least_like_the_person(
    least: float, one: str, several: str
) -> None:
    """In words, with their figures beside them or apart."""
    for words, likenesses in ((one, [least]), (several, [0.999, least])):
        report = _report(*([] for _ in likenesses), likenesses=likenesses)
        assert headline(report).startswith(f"People: {words} (likeness {least:.3f}; a vision-language model")
        assert headline(report, figures=False).startswith(f"People: {words}. Machines: ")
        apart = " of face 2 (the least alike)" * (len(likenesses) > 1)
        assert likeness(report).startswith(f"Likeness {least:.3f}{apart}; a vision-language model")


def test_weights_that_are_not_packaged_are_looked_for_where_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WeightsStore(tmp_path / "a").remember("facenet:casia-webface", bytes=1)
    monkeypatch.setenv("VEIL_WEIGHTS", str(tmp_path / "a"))
    assert "facenet:casia-webface" in veil("models").stdout
    monkeypatch.chdir(tmp_path)
    assert "facenet:casia-webface" not in veil("--weights", "b", "models").stdout
    assert default_store().cache_dir == tmp_path / "b"


def test_the_device_is_the_environments(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEIL_DEVICE", "meta")
    assert workflow.device() == "meta"
    assert veil("protect", folder / "photo.png").exit_code == 0
    assert _record(folder / "photo.veiled.json").settings.device == "meta"


@pytest.mark.parametrize("strength", STRENGTHS)
def test_strengths_reach_the_record(folder: Path, strength: str) -> None:
    assert veil("protect", folder / "photo.png", "--strength", strength).exit_code == 0
    record = _record(folder / "photo.veiled.json")
    assert (record.settings, record.strength, record.effort) == (settings(strength), strength, "normal")


@pytest.mark.parametrize("effort", EFFORTS)
def test_efforts_reach_the_record(folder: Path, effort: str) -> None:
    assert veil("protect", folder / "photo.png", "--effort", effort).exit_code == 0
    record = _record(folder / "photo.veiled.json")
    assert (record.settings.steps, record.effort) == (EFFORTS[effort]["steps"], effort)


def test_settings_of_no_strength_or_effort_are_custom() -> None:
    own = settings("strong", "quick", seed=3, prior="stable-diffusion", surrogates=("dlib",), size=128)
    assert records.named(own) == {"strength": "strong", "effort": "quick"}
    assert records.named(settings("strong", steps=7)) == {"strength": "strong", "effort": "custom"}
    assert records.named(settings(ceiling=2.0)) == {"strength": "custom", "effort": "normal"}
    assert records.named(settings("paper"))["strength"] == "paper"


ODD_NAMES = [
    b"bad\xff\xfe.jpg",
    b"a" * 246 + b".jpg",
    "\u4f60".encode() * 80 + b".jpg",
    b"[bold]x.jpg",
    b"-d.jpg",
]


@pytest.mark.slow
def test_any_name_and_the_batch_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    odd = [os.fsdecode(name) for name in ODD_NAMES]
    for name in odd:
        Image.fromarray(PORTRAIT).save(folder / name, quality=90)
    _loop(folder)
    result = veil("protect", *odd, "a.jpg", "photo.png", "--json")
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["exit"] for one in told] == [2, *[0] * 6]
    pictures = [path for path in folder.iterdir() if path.stem.endswith(".veiled") and path.suffix != ".json"]
    assert len(pictures) == 6
    for picture in pictures:
        assert open_photo(picture).size == (240, 240)
        assert _record(picture.with_suffix(".json")).photo
    assert (folder / os.fsdecode(b"bad\xff\xfe.veiled.jpg")).exists()


def test_a_mistake_of_ours_does_not_lose_the_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(PORTRAIT).save(folder / "a.png")

    def fails(tracks: Sequence[Track], *rest: Any) -> Steps[Protected]:
        if tracks[0].key.frame.name == "a.png":
            raise ZeroDivisionError("by nothing")
        return engine(tracks, *rest)

    monkeypatch.setattr(workflow, "protect", fails)
    result = veil("protect", folder / "a.png", folder / "photo.png")
    assert result.exit_code == 2
    assert "went wrong inside veil with a.png (ZeroDivisionError: by nothing)" in result.stderr
    assert "Traceback" not in result.output
    assert "photo.veiled.png" in names(folder)


@pytest.mark.parametrize("late", ["photo.veiled.png", "photo.veiled.json"])
def test_what_appears_meanwhile_is_not_replaced(
    folder: Path, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    def protecting(*arguments: Any) -> Steps[Protected]:
        result = yield from engine(*arguments)
        (folder / late).write_text("mine")
        return result

    monkeypatch.setattr(workflow, "protect", protecting)
    result = veil("protect", folder / "photo.png")
    assert result.exit_code == 2
    assert f"{late} appeared while veil was at work" in result.stderr
    assert names(folder) == {"photo.png", late}
    assert (folder / late).read_text() == "mine"
    assert veil("protect", folder / "photo.png", "--force").exit_code == 0
    assert names(folder) == {"photo.png", "photo.veiled.png", "photo.veiled.json"}


def test_folders(folder: Path) -> None:
    (folder / "in" / "deep").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "in" / "deep" / "loop").symlink_to(folder / "in")
    for name in ("in/a.jpg", "in/deep/a.jpg", "in/b.veiled.jpg"):
        Image.fromarray(PORTRAIT).save(folder / name)
    (folder / "in" / "notes.txt").write_text("no photo")
    result = veil("protect", folder / "in", folder / "empty")
    assert result.exit_code == 2
    assert "Note: 1 result of veil in" in result.stderr
    assert "There are no photos or clips in" in result.stderr
    assert names(folder / "in") == {
        *("a.jpg", "a.veiled.jpg", "a.veiled.json", "b.veiled.jpg", "deep", "notes.txt")
    }
    (folder / "out").mkdir()
    result = veil("protect", folder / "in", "--recursive", "-o", folder / "out", "--quiet")
    assert result.exit_code == 0, result.output
    loop = folder / "in" / "deep" / "loop"
    assert result.output == f"Note: {loop} is a link to a folder, and not followed.\n"
    assert names(folder / "out") == {*("a.veiled.jpg", "a.veiled.json", "a-2.veiled.jpg", "a-2.veiled.json")}


def test_standard_input_and_output(folder: Path) -> None:
    data = (folder / "photo.png").read_bytes()
    result = CliRunner().invoke(app, ["protect", "-"], input=data)
    assert result.exit_code == 0, result.stderr
    with Image.open(BytesIO(result.stdout_bytes)) as picture:
        assert picture.format == "PNG"
        assert (np.asarray(picture) != PORTRAIT).any()
    assert "no longer" in result.stderr
    assert names(folder) == {"photo.png"}
    result = CliRunner().invoke(app, ["protect", "-", "-o", str(folder / "b.jpg")], input=data)
    assert result.exit_code == 0, result.stderr
    assert names(folder) == {"photo.png", "b.jpg", "b.json"}
    result = CliRunner().invoke(app, ["faces", "-", "--json"], input=data)
    assert json.loads(result.stdout)["faces"][0]["protectable"]
    result = CliRunner().invoke(app, ["protect", "-"], input=b"")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: The picture on standard input is empty")
    assert "pipe" in result.stderr
    words = CliRunner().invoke(app, ["protect", "-"], input=b"words")
    assert "GIF, BMP and PPM" in words.stderr
    damaged = CliRunner().invoke(app, ["protect", "-"], input=data[: len(data) // 2])
    assert damaged.exit_code == 2
    assert damaged.stderr.startswith("Error: The picture on standard input is damaged")


def test_json_says_all_and_words_go_elsewhere(folder: Path) -> None:
    _small("small.png")(folder)
    result = veil("protect", folder / "small.png", folder / "photo.png", "--json")
    assert result.exit_code == 3
    bad, good = (json.loads(line) for line in result.stdout.splitlines())
    assert (bad["photo"], bad["exit_because"]) == ("small.png", ["face left"])
    assert bad["passed_over"] == "shows no face that is large enough"
    assert (good["photo"], good["exit"], good["schema_number"]) == ("photo.png", 0, records.SCHEMA)
    assert Path(good["picture"]).exists()
    assert good["report"] == json.loads(Path(good["record"]).read_text())["report"]
    missing = folder / "missing.jpg"
    again = veil("protect", missing, folder / "small.png", folder / "photo.png", "--json", "--seed", 1)
    failed, otherwise, passed = (json.loads(line) for line in again.stdout.splitlines())
    assert (failed["exit_because"], otherwise["exit_because"]) == (["error"], ["other settings"])
    assert (failed["exit"], otherwise["exit"]) == (2, 2)
    (seen,) = map(json.loads, veil("faces", folder / "photo.png", "--json").stdout.splitlines())
    (unseen,) = map(json.loads, veil("faces", missing, "--json").stdout.splitlines())
    assert (seen["exit"], seen["exit_because"], unseen["exit_because"]) == (0, [], ["error"])
    (folder / "trip").mkdir()
    shutil.copy(folder / "photo.png", folder / "trip" / "b.png")
    made, *_ = (
        json.loads(line) for line in veil("protect", folder, "-r", "--json").stdout.splitlines()[::-1]
    )
    assert made["photo"] == str(Path("trip", "b.png"))  # as every other object names it
    form = ("photo", "source", "exit", "exit_because")
    for one in (bad, good, failed, passed, otherwise, seen, unseen, made):
        assert {*form} <= {*one}
        assert one["source"] == str(folder / one["photo"])
        assert ("error" in one) == ("hint" in one) == (one["exit"] == 2)
    (refused,) = map(json.loads, veil("protect", folder, "--faces", "x", "--json").stdout.splitlines())
    assert (refused["exit_because"], "source" in refused) == (["error"], False)  # it is of no file


def test_a_photo_of_a_folder_without_a_face_is_named_and_ends_with_3(folder: Path) -> None:
    (folder / "trip").mkdir()
    _blank("trip/beach.png")(folder)
    _small("trip/far.png")(folder)
    for options, code in (([], 3), (["--only", folder / "photo.png"], 3), (["--largest"], 3)):
        result = veil("protect", folder, "-r", "--force", *options)
        assert result.exit_code == code, result.output
        beach, far = (str(Path("trip", name)) for name in ("beach.png", "far.png"))
        assert f"Note: {beach} shows no face: nothing is written for it." in result.stderr
        assert f"Note: {far} shows no face that is large enough" in result.stderr
        assert ("in 1 photo no face was found" in result.stderr) == (options[:1] != ["--only"])
        assert names(folder / "trip") == {"beach.png", "far.png"}
    (folder / "trip" / "far.png").unlink()
    assert veil("protect", folder, "-r", "--force", "--only", folder / "photo.png").exit_code == 0
    assert veil("protect", folder / "trip" / "beach.png").exit_code == 2  # it was asked for by name, alone


def test_files_of_two_folders_are_told_apart(folder: Path) -> None:
    for place in ("one", "two"):
        (folder / place).mkdir()
        (folder / place / "a.png").write_text("no picture")
    both = folder / "one", folder / "two"
    for asked in (both, [place / "a.png" for place in both]):
        refused = veil("protect", *asked)
        assert refused.exit_code == 2
        for place in both:
            assert f"Error: {place / 'a.png'} is not a picture" in refused.stderr
        assert f"({both[0] / 'a.png'}, {both[1] / 'a.png'})" in refused.stderr
    for place in both:
        Image.fromarray(PORTRAIT).save(place / "a.png")
    said = veil("protect", *both, "-o", folder / "out").stderr
    assert "Note: The result of a.png is a-2.veiled.png: a.veiled is that of another a.png." in said
    Image.fromarray(PORTRAIT[2:]).save(folder / "two" / "a.png")
    assert veil("protect", *both, "-o", folder / "more", "--effort", "quick").exit_code in (0, 3)
    for asked in (both[::-1], both[1:]):  # each finds its own, in whichever order they are given
        again = veil("protect", *asked, "-o", folder / "more", "--effort", "quick")
        assert again.stderr.count("was done before") == len(asked), again.output
    refused = veil("protect", *both, "--faces", "7")
    for place in both:
        assert f"Error: {place / 'a.png'} has no face number 7." in refused.stderr
    assert "Error: a.png has no face number 7." in veil("protect", both[0], "--faces", "7").stderr


def test_a_file_beside_a_folder_is_told_apart_from_one_in_it(folder: Path) -> None:
    inside, outside = folder / "one" / "a.png", folder / "a.png"
    inside.parent.mkdir()
    for path in (inside, outside):
        Image.fromarray(PORTRAIT).save(path)
    for asked in ((inside.parent, outside), (outside, inside.parent)):
        said = veil("faces", *asked, "--json").stdout.splitlines()
        assert {json.loads(line)["photo"] for line in said} == {str(inside), str(outside)}
    assert json.loads(veil("faces", inside.parent, "--json").stdout)["photo"] == "a.png"
    piped = CliRunner().invoke(app, ["faces", "-", str(inside.parent), "--json"], input=outside.read_bytes())
    assert json.loads(piped.stdout.splitlines()[0])["photo"] == "stdin"


def test_what_is_printed_of_a_name_is_the_name(capsys: pytest.CaptureFixture[str]) -> None:
    name = "[b]10:x:30 :cat:.jpg"
    Terminal().say(name)
    Terminal().table(("Photo",), [(name,)])
    assert capsys.readouterr().out.count(name) == 2


def test_a_file_or_folder_that_is_missing_is_told_as_such(folder: Path) -> None:
    for command in ("protect", "faces"):
        refused = veil(command, folder / "nowhere")
        assert refused.exit_code == 2
        assert f"There is no file or folder {folder / 'nowhere'}." in refused.stderr
    refused = veil("protect", folder / "photo.png", "--me", folder / "nowhere.jpg")
    assert refused.exit_code == 2
    assert (
        refused.stderr == f"Error: There is no file {folder / 'nowhere.jpg'}.\nCheck its name and folder.\n"
    )


def test_faces_of_several_photos_and_folders_are_listed(folder: Path) -> None:
    (folder / "trip").mkdir()
    _blank("trip/beach.png")(folder)
    listed = veil("faces", folder, folder / "photo.png", "-r", "--json")
    one, none, again = (json.loads(line) for line in listed.stdout.splitlines())
    assert listed.exit_code == 0
    assert one["photo"] == again["photo"] == str(folder / "photo.png")
    assert one["faces"] == again["faces"] != []
    assert (none["photo"], none["faces"]) == (str(folder / "trip" / "beach.png"), [])
    (folder / "bad.png").write_bytes(b"no picture")
    listed = veil("faces", folder)
    assert listed.exit_code == 2
    assert "bad.png is not a picture" in listed.stderr
    assert listed.stderr.splitlines()[-1] == (
        "Note: exit code 2, since 1 of 2 could not be looked at (bad.png)."
    )
    assert "photo.png" in listed.stdout


def test_records_and_the_target_are_read_once_a_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, reports = list[Path](), beside._reports
    hashed, checksum = list[Path](), records.checksum
    for name in ("a.png", "b.png", "c.png"):
        shutil.copy(folder / "photo.png", folder / name)
    (folder / "old.veiled.json").write_text("{}")

    def reported(paths: Sequence[Path]) -> dict[str, Report]:
        read.extend(paths)
        return reports(paths)

    def summed(path: Path) -> str:
        hashed.append(path)
        return checksum(path)

    monkeypatch.setattr(beside, "_reports", reported)
    monkeypatch.setattr(records, "checksum", summed)
    result = veil("protect", folder, "--probe", folder / "photo.png", "-o", folder, "--largest")
    assert result.exit_code in (0, 3), result.output
    assert [path.name for path in read].count("old.veiled.json") == 1
    assert hashed == [folder / "photo.png"]


def test_every_command_that_says_something_says_it_as_json() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    silent = {
        name
        for name, command in commands.items()
        if not any("--json" in parameter.opts for parameter in command.params)
    }
    assert silent == {"ui"}
    models = [json.loads(line) for line in veil("models", "--json").stdout.splitlines()]
    assert {"dlib", "portrait"} <= {model["model"] for model in models}


def test_everything_that_has_a_name_is_listed_with_a_line() -> None:
    listed = [json.loads(line) for line in veil("models", "--all", "--json").stdout.splitlines()]
    parts = [(one["name"], one["kind"]) for one in listed if "about" in one]
    assert all(one["about"].endswith((".", "?")) for one in listed if "about" in one)
    for registry in (METHODS, MEASURES, FACE_MEASURES, DISTURBANCES, TRACKERS, BEHAVIOURS):
        assert {(name, registry.kind) for name in registry} <= {*parts}
    assert len({one["about"] for one in listed if one.get("kind") == "method"}) == len(METHODS)
    table = " ".join(veil("models", "--all").stdout.split())
    assert "purify-150" in table
    assert "gaze behaviour Where the eyes look" in table


@pytest.mark.slow
def test_the_exit_code_tells_what_is_still_known(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(tracks: Sequence[Track], settings: Settings, target: Any) -> Steps[Protected]:
        yield Step(Stage.PROTECTING, 1, 1)
        return Protected((tracks[0].key.frame,), tuple(tracks), ({},) * len(tracks), settings)

    monkeypatch.setattr(workflow, "protect", nothing)
    photo = folder / "photo.png"
    known = veil("protect", photo, "--json")
    assert known.exit_code == 3
    assert "since in 1 photo a recogniser that judges still knows a face (photo.png)." in known.stderr
    assert json.loads(known.stdout)["exit_because"] == ["still recognised"]
    assert veil("protect", photo, "--force", "--all-surrogates").exit_code == 3  # any counts
    assert veil("protect", photo, "--force", "--all-surrogates", "--fail-if-recognised").exit_code == 3
    assert veil("assess", photo, folder / "photo.veiled.png", "--fail-if-recognised").exit_code == 3


def test_a_face_that_is_too_small_is_named_first(folder: Path) -> None:
    pair = np.zeros((240, 400, 3), np.uint8)
    pair[:, :240] = PORTRAIT
    pair[60:136, 270:346] = np.asarray(Image.fromarray(PORTRAIT).resize((76, 76)))
    Image.fromarray(pair).save(folder / "pair.png")
    result = veil("protect", folder / "pair.png")
    assert result.exit_code == 3, result.output
    assert result.stdout.startswith("Not protected: face 2")
    assert "exit code 3, since in 1 photo a face stayed as it was, too small" in result.stderr
    again = veil("protect", folder / "pair.png", "--json")
    assert (again.exit_code, json.loads(again.stdout)["exit_because"]) == (3, ["face left"])
    (left,) = _record(folder / "pair.veiled.json").report.unprotected
    assert (left.number, left.reason) == (2, "too small")
    assert veil("protect", folder / "pair.png", "--force", "--faces", "1", "--quiet").exit_code == 0


@pytest.fixture
def album(folder: Path, faces: Path) -> Path:
    """A folder with two photos: the person of photo.png beside another, and that other alone."""
    (folder / "album").mkdir()
    other = Image.open(faces / "people" / "person-0" / "a.png").resize((240, 240))
    other.save(folder / "album" / "other.png")
    Image.fromarray(np.hstack([PORTRAIT, np.asarray(other)])).save(folder / "album" / "pair.png")
    return folder / "album"


@pytest.mark.parametrize(
    ("name", "message", "said"),
    [
        ("trip/a.jpg", "a.jpg is damaged (of a.jpg).", "trip/a.jpg is damaged (of a.jpg)."),
        ("trip/a (1).jpg", "There is no face in a (1).jpg.", "There is no face in trip/a (1).jpg."),
        ("trip/a", "out/a.veiled.png exists already.", "out/a.veiled.png exists already."),
        ("trip/a", "That a is no picture.", "That trip/a is no picture."),
        ("trip/a.jpg", "In trip/a.jpg is none.", "In trip/a.jpg is none."),
        ("\\1/a.jpg", "a.jpg is damaged.", "\\1/a.jpg is damaged."),
    ],
)
def test_an_error_names_the_file_with_its_folder_and_no_other(name: str, message: str, said: str) -> None:
    error = in_its_folder(NoFace(message, "a hint"), name)
    assert (type(error), error.message, error.hint) == (NoFace, said, "a hint")


@pytest.fixture
def verdict(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What is said of whether faces are the person's whom --only and --except name: it can be changed."""
    said = SimpleNamespace(is_="other")
    person = SimpleNamespace(verdict=lambda *_: said.is_)
    monkeypatch.setattr(workflow, "person_of", lambda _: person)
    return said


@pytest.mark.parametrize(("option", "said"), [("--only", "other"), ("--except", "same")])
def test_one_photo_without_whom_is_to_be_protected_is_an_error(
    folder: Path, verdict: SimpleNamespace, option: str, said: str
) -> None:
    verdict.is_, photo = said, folder / "photo.png"
    before = files(folder)
    one = [[photo], [photo, "-o", folder / "new.png"], [folder, "-o", folder / "new.png"]]
    for arguments in one:
        result = veil("protect", *arguments, option, photo, "--json", "-q")
        assert result.exit_code == 2
        (line,) = (json.loads(line) for line in result.stdout.splitlines())
        assert (line["photo"], line["exit"]) == ("photo.png", 2)
        assert f"Error: {line['error']}\n{line['hint']}" in result.stderr
        assert line["error"].endswith("nothing was written.")
        assert option in line["hint"]
    piped = ["protect", "-", option, str(photo), "-o", str(folder)]
    assert CliRunner().invoke(app, piped, input=photo.read_bytes()).exit_code == 2
    several = veil("protect", folder, option, photo)
    assert several.exit_code == 0
    assert "nothing is written for it" in several.stderr
    assert "does not promise" not in several.stdout  # nothing was protected
    assert files(folder) == before


@pytest.mark.parametrize("option", ["--only", "--except", "--largest"])
def test_what_might_be_a_face_can_be_protected_as_it_is_said(
    folder: Path, verdict: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    verdict.is_ = "same" if option == "--only" else "other"
    points = np.array([[25, 200], [45, 200], [35, 210], [28, 220], [42, 220]], float)
    might_be = Face(np.array([10.0, 180, 60, 230]), points)
    search = workflow.search
    monkeypatch.setattr(workflow, "search", lambda pixels: replace(search(pixels), doubtful=[might_be]))
    shutil.copy(folder / "photo.png", folder / "other.png")
    photo, chosen = folder / "photo.png", [option, folder / "photo.png"][: 1 + (option != "--largest")]
    way = f"--faces 1,2 --force instead of {option}."
    for photos, words in (
        ([photo], "give"),
        ([folder / "other.png", photo], "protect the photo alone, with"),
    ):
        said = " ".join(veil("protect", *photos, *chosen).stdout.split())
        assert f"If it is one, {words} {way}" in said
    result = veil("protect", photo, "--faces", "1,2", "--force")
    assert result.exit_code in (0, 3), result.output
    assert [face.number for face in _record(folder / "photo.veiled.json").report.faces] == [1, 2]


@pytest.mark.slow
def test_one_person_across_an_album(folder: Path, album: Path) -> None:
    before = np.asarray(Image.open(album / "pair.png"))
    result = veil("protect", album, "--only", folder / "photo.png", "--json")
    assert result.exit_code == 0, result.output
    passed, done = (json.loads(line) for line in result.stdout.splitlines())
    assert (passed["photo"], passed["exit"]) == ("other.png", 0)
    assert "does not show the person" in passed["passed_over"]
    assert [left["reason"] for left in passed["unprotected"]] == ["another person"]
    assert [left["reason"] for left in done["report"]["unprotected"]] == ["another person"]
    assert "other.png does not show the person who is to be protected: nothing is written" in result.stderr
    assert names(album) == {"other.png", "pair.png", "pair.veiled.png", "pair.veiled.json"}
    changed = (np.asarray(Image.open(album / "pair.veiled.png")) != before).any(-1)
    assert (changed[:, :240].any(), changed[:, 240:].any()) == (True, False)


@pytest.mark.slow
def test_all_but_one_person(folder: Path, album: Path) -> None:
    before = np.asarray(Image.open(album / "pair.png"))
    result = veil("protect", folder / "photo.png", album / "pair.png", "--except", folder / "photo.png")
    assert result.exit_code == 0, result.output
    assert "photo.png shows nobody but the person who is to be spared" in result.stderr
    (left,) = _record(album / "pair.veiled.json").report.unprotected
    assert left.reason == "spared"
    assert f"face {left.number} of pair.png, spared" in result.stdout
    assert "photo.veiled.png" not in names(folder)
    changed = (np.asarray(Image.open(album / "pair.veiled.png")) != before).any(-1)
    assert (changed[:, :240].any(), changed[:, 240:].any()) == (False, True)
    data = (folder / "photo.png").read_bytes()
    result = CliRunner().invoke(app, ["protect", "-", "--except", str(folder / "photo.png")], input=data)
    assert (result.exit_code, result.stdout_bytes) == (2, b"")


def test_on_the_page_an_album_may_be_of_one_person(folder: Path, album: Path) -> None:
    visitor, person = Visitor(folder / "visitor"), workflow.person_of([folder / "photo.png"])
    wish = results.wish(effort="quick", only=str(folder / "photo.png"))
    assert wish != results.wish(effort="quick")
    work = results.protect(album / "pair.png", [1, 2], wish, visitor, endure=False, person=person)
    assert [left.reason for left in finish(work).report.unprotected] == ["another person"]
    with pytest.raises(NoFace, match=r"other\.png does not show the person"):
        finish(results.protect(album / "other.png", [1], wish, visitor, endure=False, person=person))


@pytest.mark.slow
def test_what_is_protected_already_is_known_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def brighter(tracks: Sequence[Track], settings: Settings, target: Any) -> Steps[Protected]:
        order.append("work")
        yield Step(Stage.PROTECTING, 1, 1)
        photo = tracks[0].key.frame
        pixels = photo.pixels // 2 + 100
        return Protected((photo.with_pixels(pixels),), tuple(tracks), ({},) * len(tracks), settings)

    monkeypatch.setattr(workflow, "protect", brighter)
    order, note = list[str](), Terminal.note
    monkeypatch.setattr(
        Terminal, "note", lambda self, text, **more: (order.append(text), note(self, text, **more))
    )
    assert "protected already" not in veil("protect", folder / "photo.png").output
    result = folder / "photo.veiled.png"
    for path, protected in ((folder / "photo.png", False), (result, True)):
        (face,) = json.loads(veil("faces", path, "--json").stdout)["faces"]
        assert face["protected"] is protected
        assert ("protected already" in veil("faces", path).stdout) is protected
    renamed, edited = folder / "renamed.png", folder / "edited.png"
    shutil.copy(result, renamed)
    pixels = np.asarray(Image.open(result)).copy()
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(edited)
    for path in (result, renamed):
        again = veil("protect", path)
        assert again.exit_code in (0, 3), again.output
        assert f"Note: {path.name} is protected already" in again.stderr
        quiet = veil("protect", path, "-q", "--force")
        assert quiet.stderr.startswith(f"Note: {path.name} is protected already, and is protected once more")
        warned = max(place for place, text in enumerate(order) if "is protected once more" in text)
        assert order[warned + 1] == "work"
        assert "is protected already" in _record(path.with_suffix(".veiled.json")).notes[0]
    assert _record(folder / "photo.veiled.json").notes == ()
    several = veil("protect", result, edited, "--json")
    passed, done = (json.loads(line) for line in several.stdout.splitlines())
    assert (passed["photo"], passed["passed_over"]) == ("photo.veiled.png", "is protected already")
    copy = shutil.copy(result, folder / "b.png")  # that a record before its own says what was made from it
    veil("protect", copy, "-o", folder / "a.veiled.png")
    assert Beside().earlier(copy)
    assert (done["photo"], done["notes"]) == ("edited.png", [])
    assert "photo.veiled.png is protected already: nothing is written" in several.stderr


def test_the_page_keeps_the_format_and_shows_what_a_browser_can(folder: Path) -> None:
    visitor, wish = Visitor(folder / "visitor"), results.wish(effort="quick")
    for name, shown in (("a.heic", "after.jpg"), ("b.webp", "b.veiled.webp")):
        Image.fromarray(PORTRAIT).save(folder / name)
        outcome = finish(results.protect(folder / name, [1], wish, visitor, endure=False))
        assert outcome.after.suffix == Path(name).suffix
        assert outcome.shown.name == shown
        assert open_photo(outcome.shown).size == open_photo(outcome.after).size


def test_where_nothing_can_be_written_is_said_before_the_long_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    lines = ['title = "t"', 'dataset = "d"', 'judges = ["mobileface"]']
    lines.append('methods = [{ name = "noise", method = "random-noise", attacks = false }]')
    (tmp_path / "few.toml").write_text("\n".join(lines))
    (tmp_path / "d" / "one").mkdir(parents=True)
    Image.fromarray(PORTRAIT).save(tmp_path / "d" / "one" / "1.png")
    result = veil("benchmark", tmp_path / "few.toml", "--faces", tmp_path, "-o", tmp_path / "file" / "run")
    assert result.exit_code == 2
    assert "cannot be used (Not a directory)." in result.output
    result = veil("calibrate", tmp_path, "-o", tmp_path / "none" / "c.json")
    assert result.exit_code == 2
    assert "There is no folder" in result.output


def test_a_photo_that_changes_meanwhile_is_not_protected(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faces that were found in it may be elsewhere now."""
    prepare = workflow.prepare

    def and_then(source: Path, *rest: Any) -> workflow.Job | workflow.PassedOver:
        job = prepare(source, *rest)
        Image.fromarray(np.rot90(PORTRAIT)).save(source)
        return job

    monkeypatch.setattr(workflow, "prepare", and_then)
    result = veil("protect", folder / "photo.png")
    assert result.exit_code == 2
    assert "has changed since" in result.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["photo.png"]


def test_a_photo_that_is_named_twice_is_protected_once(folder: Path) -> None:
    os.symlink(folder / "photo.png", folder / "link.png")
    out = folder / "out"
    out.mkdir()
    veil("protect", folder / "photo.png", folder, folder / "photo.png", "-o", out)
    assert len(list(out.glob("*.png"))) == 1


def test_links_to_folders_are_named(folder: Path) -> None:
    (folder / "inside").mkdir()
    os.symlink(folder, folder / "inside" / "round")
    for options in ((), ("-q",)):  # what is in it may stay as it is
        result = veil("protect", folder, "--recursive", *options)
        assert "is a link to a folder, and not followed" in result.stderr


def test_where_errors_cannot_be_written_the_exit_code_tells_and_the_batch_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, err: bool = False, **__: object) -> None:
        if err:
            raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(typer, "echo", full)
    assert veil("protect", folder / "missing.jpg", folder / "photo.png", "--quiet").exit_code == 2
    assert "photo.veiled.png" in names(folder)
    assert veil("fetch", "no-such-model").exit_code == 2


def test_an_output_that_nobody_reads_ends_the_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def broken(source: Path, *_: Any) -> workflow.Job:
        asked.append(source)
        raise BrokenPipeError

    Image.fromarray(PORTRAIT).save(folder / "other.png")
    monkeypatch.setattr(workflow, "prepare", broken)
    veil("protect", folder / "photo.png", folder / "other.png")
    assert len(asked) == 1
