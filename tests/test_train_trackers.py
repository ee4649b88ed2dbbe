"""The recipe of adversaries: what was cut goes on where it was, and networks learn what is there to learn."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from veil.eval.trackers import adversary_weights
from veil.eval.trackers.detector import Detector
from veil.eval.trackers.purifier import Purifier

RECIPES = str(Path(__file__).parents[1] / "weights" / "recipes")
PHOTO = astronaut()[:300, 80:360]
NAMES = ("a", "b", "c")  # the first is held out


@pytest.fixture(scope="module")
def recipe() -> Iterator[ModuleType]:
    """The recipe, with the one whose session it uses."""
    sys.path.insert(0, RECIPES)
    import train_trackers

    yield train_trackers
    sys.path.remove(RECIPES)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people to train on: one, really, in three kinds of light."""
    folder = tmp_path_factory.mktemp("faces")
    (folder / "training" / "nasa").mkdir(parents=True)
    for name, gain in zip(NAMES, (1.0, 0.8, 0.9), strict=True):
        pixels = (gain * PHOTO).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "training" / "nasa" / f"{name}.jpg", quality=95)
    return folder


@pytest.fixture
def run(tmp_path: Path, faces: Path) -> Path:
    """A folder with cloaks of everybody: coarse stripes, which no engine made."""
    (tmp_path / "cloaked" / "strong").mkdir(parents=True)
    stripes = 12 * ((np.arange(PHOTO.shape[1]) // 6) % 2)[None, :, None]
    for name in NAMES:
        with Image.open(faces / "training" / "nasa" / f"{name}.jpg") as photo:
            pixels = np.array(photo).astype(int) + stripes
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
            tmp_path / "cloaked" / "strong" / f"nasa-{name}.png"
        )
    return tmp_path


def logged(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_everybody_is_there_once(recipe: ModuleType, tmp_path: Path) -> None:
    for folder, names in {"congress": "AB", "later": "BC", "london": ("001_03", "001_08", "002_03")}.items():
        (tmp_path / "training" / folder).mkdir(parents=True)
        for name in names:
            (tmp_path / "training" / folder / f"{name}.jpg").touch()
    found = recipe.people(tmp_path)
    assert sorted(path.stem for path in found) == ["001_03", "002_03", "A", "B", "C"]
    assert {path.parent.name for path in found[:3]} == {"congress", "later", "london"}
    assert found == recipe.people(tmp_path)


def test_pairs_are_varied_alike(recipe: ModuleType, faces: Path, run: Path) -> None:
    """What is done to a photo is done to its cloak; the same crops are cut only once."""
    pairs, held = recipe.crops(faces, run)
    assert (len(pairs), len(held)) == (2, 1)
    assert pairs.shape[1:] == (2, 3, recipe.SIZE, recipe.SIZE)
    for file in (run / "cloaked" / "strong").glob("*.png"):
        file.write_bytes(b"")  # would be no photo
    assert torch.equal(recipe.crops(faces, run)[0], pairs)
    same = pairs[:, :1].expand(-1, 2, -1, -1, -1)
    before, after = recipe.drawn(same, 8, torch.Generator().manual_seed(0))
    assert torch.equal(before, after)
    assert len({round(float(one.mean()), 4) for one in before}) > 4


@pytest.mark.slow
def test_a_purifier_that_was_cut_goes_on(
    recipe: ModuleType, faces: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "EVERY", 1)
    with monkeypatch.context() as cut:
        cut.setattr(recipe.adversary_weights, "save", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            recipe.train_purifier(faces, run, steps=3, batch=2)
    assert not (run / "purifier.safetensors").exists()
    recipe.train_purifier(faces, run, steps=3, batch=2)
    assert [row["step"] for row in logged(run)] == [1, 2, 3]
    first, pairs = adversary_weights.load(Purifier(), run / "purifier.safetensors")
    assert pairs == 2
    for file in ("purifier.pt", "purifier.safetensors"):
        (run / file).unlink()
    recipe.train_purifier(faces, run, steps=3, batch=2)
    second, _ = adversary_weights.load(Purifier(), run / "purifier.safetensors")
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_a_detector_learns_to_see_stripes(
    recipe: ModuleType, faces: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "EVERY", 30)
    recipe.train_detector(faces, run, steps=60, batch=2)
    network, photos = adversary_weights.load(Detector(), run / "detector.safetensors")
    assert photos == 2
    _, held = recipe.crops(faces, run)
    with torch.no_grad():
        clean, cloaked = network(held[0].float() / 255)
    assert cloaked > clean + 0.3
    assert logged(run)[-1]["auc"] == 1


@pytest.mark.slow
def test_only_what_is_missing_is_cloaked(recipe: ModuleType, faces: Path, run: Path) -> None:
    """By the engine itself; a photo whose cloak lies there is left as it is."""
    place = run / "cloaked" / "strong"
    kept = {path: path.read_bytes() for path in place.glob("*.png")}
    (missing,) = (place / f"{recipe.name_of(path)}.png" for path in recipe.people(faces)[:1])
    missing.unlink()
    recipe.cloak(faces, run, "strong", 2, "quick")
    for path, before in kept.items():
        assert (path.read_bytes() == before) == (path != missing)
    with Image.open(missing) as cloaked:
        assert cloaked.size == (PHOTO.shape[1], PHOTO.shape[0])


def test_another_method_can_be_learnt_from(recipe: ModuleType, faces: Path, tmp_path: Path) -> None:
    """Cloaks of a benchmark's method lie under its name, and differ from the photos."""
    benchmark = tmp_path / "rival.toml"
    benchmark.write_text(
        'title = "t"\ndataset = "d"\njudges = ["sface"]\n'
        '[[methods]]\nname = "rival"\nmethod = "pgd"\nsettings = { steps = 1, epsilon = 0.03 }\n'
    )
    recipe.cloak(faces, tmp_path, count=1, benchmark=benchmark, method="rival")
    (cloaked,) = (tmp_path / "cloaked" / "rival").iterdir()
    first = recipe.small(recipe.people(faces)[0]).pixels
    with Image.open(cloaked) as picture:
        change = np.abs(np.array(picture).astype(int) - first).max()
    assert 0 < change < 32
