"""`import veil`: what it exports, and that it does what the command line does."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from skimage.data import astronaut

import veil
from veil.core.errors import BadSettings, UnknownName

PORTRAIT = astronaut()[0:260, 90:350].copy()
EXPORTED = {
    *("protect", "assess", "assess_clip", "link", "find_faces", "open_photo", "recognizers", "__version__"),
    *(
        "Result",
        "ClipResult",
        "Report",
        "ClipReport",
        "Linking",
        "Photo",
        "Face",
        "Step",
        "Settings",
        "VeilError",
    ),
}


@pytest.fixture(scope="module")
def result() -> veil.Result:
    return veil.protect(PORTRAIT, effort="quick", steps=2, seed=3)


def test_what_is_exported() -> None:
    assert {*veil.__all__} == {*dir(veil)} == EXPORTED
    assert all(getattr(veil, name) is not None for name in veil.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        veil.nothing  # noqa: B018


@pytest.mark.parametrize("command", ["import veil; dir(veil)", "import veil; veil.VeilError"])
def test_the_import_loads_nothing_heavy(command: str) -> None:
    code = f"import sys; {command}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "gradio", "numpy", "PIL"} & {*done.stdout.split()}


def test_it_is_typed() -> None:
    assert Path(veil.__file__).with_name("py.typed").exists()


@pytest.mark.parametrize("command", [["-m", "veil", "--version"], ["-m", "veil", "--help"]])
def test_the_module_is_the_command_line(command: list[str]) -> None:
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)
    assert veil.__version__ in done.stdout or "protect" in done.stdout


def test_a_result_says_both_halves(result: veil.Result) -> None:
    assert (result.photo.pixels != PORTRAIT).any()
    assert (result.before.pixels == PORTRAIT).all()
    assert result.settings.seed == 3
    assert str(result).startswith("People: ")
    assert "Machines: " in str(result)
    assert str(result).endswith("\nStrength balanced, effort custom.")
    assert result.image.size == (260, 260)
    shown = result._repr_html_()
    assert shown.count("<img ") == 2
    assert "sface" in shown
    assert "does not promise" in shown


@pytest.mark.slow
def test_steps_are_followed() -> None:
    steps: list[veil.Step] = []
    veil.protect(PORTRAIT, effort="quick", steps=2, embedding_steps=1, progress=steps.append)
    assert [step.done for step in steps if step.stage == "protecting"] == [1, 2]


@pytest.mark.slow
def test_a_result_is_written_with_its_report(result: veil.Result, tmp_path: Path) -> None:
    report = result.save(tmp_path / "a.jpg")
    assert {path.name for path in tmp_path.iterdir()} == {"a.jpg", "a.json"}
    assert report.quality != result.report.quality  # of the file, which is a JPEG
    with pytest.raises(veil.VeilError, match="exists"):
        result.save(tmp_path / "a.jpg")
    result.save(tmp_path / "a.jpg", replace=True)
    judged = veil.assess(PORTRAIT, tmp_path / "a.jpg", recognizers=["dlib", "sface"])
    assert {match.recognizer: match.used_by_attack for match in judged.faces[0].matches} == {
        "dlib": "yes",  # as the report beside it says
        "sface": "no",
    }


def test_photos_come_in_every_form(tmp_path: Path) -> None:
    Image.fromarray(PORTRAIT).save(tmp_path / "a.png")
    forms = (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(PORTRAIT), PORTRAIT)
    boxes = [veil.find_faces(form)[0].box for form in forms]
    assert all(np.array_equal(box, boxes[0]) for box in boxes)


@pytest.mark.parametrize(
    "broken", [PORTRAIT[..., 0], PORTRAIT.astype(float), Path("nowhere.jpg"), np.zeros((64, 64, 3), np.uint8)]
)
def test_what_is_no_photo_of_a_face_is_told(broken: object) -> None:
    with pytest.raises(veil.VeilError) as error:
        veil.protect(broken)  # pyright: ignore[reportArgumentType]
    assert error.value.hint


def test_recognisers_are_listed_with_their_cards() -> None:
    listed = veil.recognizers()
    assert listed["sface"].packaged
    assert listed["sface"].held_out
    assert not listed["facenet"].packaged


def test_a_picture_of_pillow_is_taken_as_its_file_is(tmp_path: Path) -> None:
    """Upright, with its alpha channel and depth, and without the colours of what was cut out."""
    alpha = np.full(PORTRAIT.shape[:2], 255, np.uint8)
    alpha[:40] = 0
    cut = Image.fromarray(np.dstack([PORTRAIT, alpha]))
    cut.getexif()[ExifTags.Base.Orientation] = 6
    deep = Image.fromarray(PORTRAIT[..., 1].astype(np.uint16) * 257)
    for image in (cut, deep, Image.fromarray(PORTRAIT[..., 1])):
        image.save(tmp_path / "a.png", exif=image.getexif())
        given, file = veil.open_photo(image), veil.open_photo(tmp_path / "a.png")
        np.testing.assert_array_equal(given.pixels, file.pixels)
        assert given.grey == file.grey
    photo = veil.open_photo(cut)
    assert photo.alpha is not None
    assert (photo.pixels[photo.alpha == 0] == 255).all()
    assert "has lost its colours" in " ".join(photo.warnings)
    np.testing.assert_array_equal(np.asarray(cut), np.dstack([PORTRAIT, alpha]))  # which stays as it was


@pytest.mark.parametrize("wrong", [None, 3, [PORTRAIT]])
def test_what_cannot_be_a_photo_is_told(wrong: Any) -> None:
    for call in (veil.protect, veil.find_faces, veil.open_photo, partial(veil.assess, PORTRAIT)):
        with pytest.raises(BadSettings, match="is no photo") as error:
            call(wrong)
        assert "Give a file" in error.value.hint
    with pytest.raises(BadSettings):
        veil.assess_clip(wrong, wrong)


@pytest.mark.parametrize(
    "arguments",
    [
        *({"faces": 1}, {"faces": "1"}, {"faces": [1.5]}, {"album": ["x"]}, {"album": 3}),
        *({"references": [None]}, {"references": 3}, {"surrogates": 3}, {"steps": "x"}, {"stesp": 3}),
        *({"crf": 23}, {"codec": "xx"}, {"strength": ["strong"]}, {"effort": None}, {"method": None}),
    ],
)
def test_arguments_that_do_not_fit_are_told_with_a_way_out(arguments: dict[str, Any]) -> None:
    with pytest.raises(BadSettings) as error:
        veil.protect(PORTRAIT, **arguments)
    assert error.value.hint


def test_nobody_judges_is_not_everybody() -> None:
    for call in (partial(veil.assess, PORTRAIT, PORTRAIT), partial(veil.link, [PORTRAIT, PORTRAIT])):
        with pytest.raises(BadSettings, match="No recogniser was named"):
            call(recognizers=[])
        for wrong in (3, [None]):
            with pytest.raises(BadSettings, match="recognizers cannot"):
                call(recognizers=wrong)
        with pytest.raises(UnknownName, match="dlbi"):
            call(surrogates="dlbi")
    for wrong in (None, 3, [None]):
        with pytest.raises(BadSettings, match="photos cannot"):
            veil.link(wrong)


def test_one_alone_is_meant_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(PORTRAIT).save(tmp_path / "a.png")
    judged = veil.assess(PORTRAIT, PORTRAIT, surrogates="dlib", recognizers="dlib")
    assert [(one.recognizer, one.used_by_attack) for one in judged.faces[0].matches] == [("dlib", "yes")]
    for alone in (str(tmp_path / "a.png"), tmp_path / "a.png", PORTRAIT):
        with pytest.raises(veil.VeilError, match="Only 1 of 1 photos"):
            veil.link(alone, recognizers="dlib")
    assert veil.Settings(surrogates="dlib").surrogates == ("dlib",)  # pyright: ignore[reportArgumentType]
    known: list[Any] = []
    monkeypatch.setattr("veil.ui.api.album_of", lambda *given: known.append([*map(list, given)]))
    for alone in (tmp_path / "a.png", Image.fromarray(PORTRAIT)):
        with pytest.raises(BadSettings, match="crf and codec"):
            veil.protect(PORTRAIT, references=alone, crf=1)
        earlier, (reference,) = known.pop()
        assert earlier == []
        assert (reference.pixels == PORTRAIT).all()


def test_files_of_one_name_are_named_with_their_folders(tmp_path: Path) -> None:
    for name in ("a/000.png", "b/000.png", "b/001.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(PORTRAIT).save(tmp_path / name)
    files = [tmp_path / "a" / "000.png", str(tmp_path / "b" / "000.png"), tmp_path / "b" / "001.png"]
    found = veil.link([*files, Image.fromarray(PORTRAIT)], recognizers="mobileface")
    assert found.photos == (str(files[0]), files[1], "001.png", "photo 4")
    assert f"beside {files[0]}, " in str(found)


@pytest.mark.parametrize("name", ["protect", "assess", "assess_clip", "link", "open_photo"])
def test_docstrings_say_what_is_returned(name: str) -> None:
    assert "Returns:" in getattr(veil, name).__doc__
