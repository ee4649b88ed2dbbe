"""Metrics agree with direct computations, tell what they promise to tell, and say what they lack."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from insightface.data import get_image
from PIL import Image, ImageDraw, ImageFont
from scipy.linalg import sqrtm
from skimage.data import astronaut

from veil.attacks import recognizer
from veil.attacks.faces.boxes import clipped
from veil.attacks.faces.detection import find_faces, largest_face
from veil.attacks.faces.sampling import warp
from veil.attacks.faces.transforms import template_transform
from veil.attacks.networks import emotion
from veil.attacks.networks.facemesh import MESH_TEMPLATE
from veil.core.errors import BadSettings, WeightsMissing
from veil.core.images import to_tensor
from veil.core.types import Face
from veil.eval.disturbances.codec import coded
from veil.eval.metrics import change, fid, lpips, text
from veil.eval.metrics.expression import expression
from veil.eval.metrics.fsim import fsim, share
from veil.eval.metrics.landmarks import landmarks
from veil.eval.metrics.points import points
from veil.privacy.paste import paste
from veil.privacy.placement import Placement
from veil.privacy.priors import prior

NAME = "mobileface"


@pytest.fixture(scope="module")
def face() -> Face:
    return largest_face(astronaut())


def test_fsim_agrees_with_a_direct_computation() -> None:
    model = recognizer(NAME)
    pairs: list[tuple[torch.Tensor, torch.Tensor, Face]] = []
    expected: dict[int, list[float]] = {}
    for side in (512, 300, 420):
        original = to_tensor(astronaut()[:side, : max(side, 300)])
        changed = (
            original + 0.1 * torch.randn(original.shape, generator=torch.Generator().manual_seed(1))
        ).clamp(0, 1)
        (face, *_) = find_faces((255 * original[0]).byte().permute(1, 2, 0).numpy())
        pairs.append((original, changed, face))
        with torch.no_grad():
            one, other = (model.embed(model.align(image, face)) for image in (original, changed))
        place = int(share(original, face) >= 0.25) + int(share(original, face) >= 0.35)
        expected.setdefault(place, []).append(float((one * other).sum()))
    value, means = fsim(NAME, pairs, (0.0, 0.25, 0.35, 1.0))
    assert len(expected) > 1
    assert value == pytest.approx(np.mean([np.mean(part) for part in expected.values()]), abs=1e-5)
    for place, part in expected.items():
        assert means[place] == pytest.approx(np.mean(part), abs=1e-5)
    assert sum(np.isnan(means)) == 3 - len(expected)


def test_a_perfect_reconstruction_has_an_fsim_of_one() -> None:
    image = to_tensor(astronaut())
    assert fsim(NAME, [(image, image, find_faces(astronaut())[0])])[0] == pytest.approx(1, abs=1e-5)


def test_the_table_of_every_prior_agrees_with_a_direct_computation(face: Face) -> None:
    """Each bin of the script's table holds one picture: its cosine, after the autoencoder, is that cell."""
    script = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "fsim.py"))
    pictures = list(script["shown"](astronaut(), face))
    assert [share(to_tensor(one), where) for one, where in pictures] == pytest.approx(script["SHARES"])
    model, used = recognizer(NAME), prior("portrait")
    expected: list[float] = []
    for pixels, where in pictures:
        image = to_tensor(pixels)
        assert (
            np.allclose(largest_face(pixels).points, where.points, atol=0.2 * where.side) or where.side < 30
        )
        with torch.no_grad():
            crop = warp(image, template_transform(where, used.template, used.size), used.size, "border")
            change = used.decode(used.encode(crop)).clamp(0, 1) - crop
            after = to_tensor(
                paste(
                    pixels, change, Placement(template_transform(where, used.template, used.size), used.size)
                )
            )
            one, other = (model.embed(model.align(each, where)) for each in (image, after))
        assert not torch.equal(after, image)
        expected.append(float((one * other).sum()))
    (_, _, line, missing) = script["table"](["portrait", "absent"], [NAME], pictures).splitlines()
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:2] == ["portrait", NAME]
    assert [float(cell) for cell in cells[2:]] == pytest.approx([np.mean(expected), *expected], abs=1e-4)
    assert "no prior called 'absent'" in missing


@pytest.mark.parametrize(("module", "file"), [(lpips, "vgg16"), (fid, "pt_inception")])
def test_metrics_say_which_weights_they_lack(
    module: Any, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module._network.cache_clear()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    name = module.__name__.rpartition(".")[2]
    blank = torch.zeros(1, 3, 64, 64)
    with pytest.raises(WeightsMissing, match=file) as caught:
        getattr(module, name)(blank, blank)
    assert str(tmp_path) in caught.value.hint


@pytest.mark.parametrize(("count", "features"), [(60, 8), (12, 20)])
def test_fid_agrees_with_a_direct_computation(count: int, features: int) -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=(count, features))
    other = rng.normal(0.3, 1.5, size=(count + 5, features)) @ rng.normal(size=(features, features))
    product = np.cov(one.T) @ np.cov(other.T)
    root = np.sqrt(np.linalg.eigvals(product).astype(complex)).real.sum()
    if count > features:
        assert root == pytest.approx(np.trace(sqrtm(product)).real)
    expected = (
        ((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(np.cov(one.T) + np.cov(other.T)) - 2 * root
    )
    assert fid.distance(torch.tensor(one), torch.tensor(other)) == pytest.approx(expected, rel=1e-5)
    assert fid.distance(torch.tensor(one), torch.tensor(one)) == pytest.approx(0, abs=1e-9)
    assert np.isnan(fid.distance(torch.tensor(one), torch.tensor(other[:1])))


def test_the_change_is_told_apart_by_place(face: Face) -> None:
    before = to_tensor(astronaut())
    after = before.clone()
    left, top, right, bottom = clipped(face.box, (512, 512))
    after[..., top:bottom, left:right] += 10 / 255
    assert change.inside(before, after, face).item() == pytest.approx(10, rel=1e-4)
    assert change.outside(before, after, face).item() == 0
    after[..., :top, :] -= 4 / 255
    share = top * 512 / (512 * 512 - (right - left) * (bottom - top))
    assert change.inside(before, after, face).item() == pytest.approx(10, rel=1e-4)
    assert change.outside(before, after, face).item() == pytest.approx(4 * share**0.5, rel=1e-4)


def test_landmarks_follow_a_face_that_moves(face: Face) -> None:
    before = to_tensor(astronaut())
    eyes = face.eyes
    assert landmarks(before, before, face).item() == 0
    worse = to_tensor(coded(astronaut(), "JPEG", 70))
    assert 0 < landmarks(before, worse, face).item() < 0.01
    moved = before.expand(2, -1, -1, -1), torch.cat([before, before.roll(4, 3)])
    for shift in landmarks(*moved, face), points(*moved, face):
        assert shift.tolist() == pytest.approx([0, 4 / eyes], abs=0.02)
    assert points(before, torch.zeros_like(before), face).isnan().all()


@pytest.mark.slow
def test_another_expression_is_another() -> None:
    """The happy and the neutral people of a group photo, all cut to one crop."""
    group = np.ascontiguousarray(get_image("t1")[..., ::-1])
    crops = [
        warp(to_tensor(group), template_transform(one, MESH_TEMPLATE, 160), 160)
        for one in find_faces(group)[:6]
    ]
    face = Face(np.array([20.0, 10, 140, 150]), MESH_TEMPLATE * 160)
    read = [int(emotion.expression(crop, face).argmax()) for crop in crops]
    assert len(set(read)) > 1
    for first, one in zip(read, crops, strict=True):
        same = expression(one.expand(6, -1, -1, -1), torch.cat(crops), face)
        assert same.tolist() == [float(first == other) for other in read]


def written(first: str, second: str) -> torch.Tensor:
    """A picture with two lines of text."""
    picture = Image.new("RGB", (320, 200), (230, 220, 210))
    for line, place in ((first, 30), (second, 120)):
        ImageDraw.Draw(picture).text((20, place), line, (20, 20, 30), ImageFont.load_default(28))
    return to_tensor(np.array(picture))


@pytest.mark.slow
def test_text_that_can_no_longer_be_read_is_told() -> None:
    pytest.importorskip("rapidocr")
    before = written("Hello World 2024", "EXIT ONLY")
    after = torch.cat([before, written("Hello World 2025", "EXIT ONLY"), written("Hello World 2024", "")])
    pages = before.expand(3, -1, -1, -1)
    assert text.t_acc(pages, after).tolist() == [1, 0.5, 0.5]
    assert text.t_ned(pages, after).tolist() == pytest.approx([1, (15 / 16 + 1) / 2, 0.5])
    blank = torch.full((1, 3, 64, 64), 0.5)
    assert text.t_acc(blank, blank).isnan().all()
    assert text.t_ned(blank, blank).isnan().all()


def test_text_says_which_extra_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    text._module.cache_clear()
    text._reader.cache_clear()
    text._read.cache_clear()
    monkeypatch.setattr(text, "import_module", absent)
    blank = torch.full((1, 3, 64, 64), 0.5)
    for measure in (text.t_acc, text.t_ned):
        with pytest.raises(BadSettings, match="not installed") as caught:
            measure(blank, blank)
        assert ".[ocr]" in caught.value.hint
