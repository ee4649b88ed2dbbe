"""`import veil`: what it exports, and that it does what the command line does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

import veil

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
