"""Every recogniser keeps its promises, tells people apart, and computes what its original runtime does."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from insightface.data import get_image
from PIL import Image
from skimage.data import astronaut
from torch import Tensor

from veil.attacks import RECOGNIZERS, Recognizer, attacked, held_out, independent, packaged, recognizer
from veil.attacks.faces.detection import find_faces, largest_face
from veil.core.errors import UnknownName
from veil.core.types import Face, Pixels
from veil.weights.registry import card

ROOT = Path(__file__).parents[1]


def tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255


def embed(model: Recognizer, photo: Pixels, face: Face) -> Tensor:
    return model.embed(model.align(tensor(photo), face))


@pytest.fixture(scope="module", params=packaged())
def model(request: pytest.FixtureRequest) -> Recognizer:
    return recognizer(request.param)


@pytest.fixture(scope="module")
def portrait() -> tuple[Pixels, Face]:
    return astronaut(), largest_face(astronaut())


@pytest.fixture(scope="module")
def again() -> tuple[Pixels, Face]:
    """The same portrait: brighter, smaller and mirrored."""
    brighter = (255 * (astronaut() / 255) ** 0.7).astype(np.uint8)[:, ::-1]
    photo = np.asarray(Image.fromarray(brighter).resize((300, 300)))
    return photo, largest_face(photo)


@pytest.fixture(scope="module")
def group() -> tuple[Pixels, list[Face]]:
    """Six people."""
    photo = np.ascontiguousarray(get_image("t1")[..., ::-1])
    return photo, find_faces(photo)[:6]


def test_crops_and_vectors_have_the_promised_shape(model: Recognizer, portrait: tuple[Pixels, Face]) -> None:
    photo, face = portrait
    crops = model.align(tensor(photo).expand(2, -1, -1, -1), face)
    assert crops.shape == (2, 3, model.size, model.size)
    vectors = model.embed(crops)
    assert vectors.ndim == 2
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))


def test_crop_holds_the_five_points(model: Recognizer, portrait: tuple[Pixels, Face]) -> None:
    _, face = portrait
    to_photo = model.crop(face)
    inside = np.linalg.solve(to_photo[:, :2], (face.points - to_photo[:, 2]).T)
    assert ((inside > 0) & (inside < model.size - 1)).all()


def test_align_cuts_where_crop_says(model: Recognizer, portrait: tuple[Pixels, Face]) -> None:
    """The middle of the crop of a slope that rises by one a pixel is where the crop's middle lies."""
    photo, face = portrait
    slope = torch.arange(photo.shape[1], dtype=torch.float32).expand(1, 3, photo.shape[0], -1)
    crop = model.align(slope, face)
    middle = model.size // 2
    expected = (model.crop(face) @ [middle, middle, 1])[0]
    assert crop[0, 0, middle, middle].item() == pytest.approx(expected, abs=0.1)


def test_vector_does_not_depend_on_the_rest_of_the_batch(model: Recognizer) -> None:
    crops = torch.rand(3, 3, model.size, model.size, generator=torch.Generator().manual_seed(0))
    together, alone = model.embed(crops), torch.cat([model.embed(crop[None]) for crop in crops])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_gradient_reaches_the_photo(model: Recognizer, portrait: tuple[Pixels, Face]) -> None:
    photo, face = portrait
    pixels = tensor(photo).requires_grad_()
    other = torch.linspace(-1, 1, embed(model, photo, face).shape[1])
    (model.embed(model.align(pixels, face)) @ other).sum().backward()
    assert pixels.grad is not None
    assert pixels.grad.isfinite().all()
    left, top, right, bottom = face.box.astype(int)
    assert pixels.grad[..., top:bottom, left:right].ne(0).float().mean() > 0.9
    assert pixels.grad[..., :, :20].eq(0).all()  # far from the face


def test_weights_are_frozen(model: Recognizer) -> None:
    network = model.network  # type: ignore[attr-defined]
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_same_person_passes(
    model: Recognizer, portrait: tuple[Pixels, Face], again: tuple[Pixels, Face]
) -> None:
    cosine = (embed(model, *portrait) * embed(model, *again)).sum()
    assert cosine > card(model.name).thresholds["far1"]


def test_different_people_mostly_do_not_pass(
    model: Recognizer, portrait: tuple[Pixels, Face], group: tuple[Pixels, list[Face]]
) -> None:
    photo, faces = group
    vectors = torch.cat([embed(model, *portrait), *(embed(model, photo, face) for face in faces)])
    pairs = torch.triu_indices(7, 7, 1)
    cosines = (vectors @ vectors.T)[pairs[0], pairs[1]]
    assert (cosines > card(model.name).thresholds["far1"]).float().mean() < 0.15


def test_vectors_match_the_original_runtime(model: Recognizer) -> None:
    """The fixture was recorded from the original runtimes by the recipe that is run here."""
    pictures = runpy.run_path(str(ROOT / "weights/recipes/record_references.py"))["pictures"](model.size)
    reference = torch.from_numpy(np.load(ROOT / "tests/data/recognizers.npz")[model.name])
    vectors = model.embed(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255)
    cosines = torch.nn.functional.cosine_similarity(vectors, reference)
    assert cosines.min() > 0.99999


def test_thresholds_rise_as_fewer_impostors_may_pass(model: Recognizer) -> None:
    thresholds = card(model.name).thresholds
    assert -1 < thresholds["far10"] < thresholds["far1"] < thresholds["far01"] < 1


def test_recogniser_is_loaded_once() -> None:
    assert recognizer("mobileface") is recognizer("mobileface")


def test_unknown_recogniser_names_a_close_one() -> None:
    with pytest.raises(UnknownName) as caught:
        recognizer("mobilefacent")
    assert "mobilefacenet" in caught.value.hint


def test_siblings_are_not_independent() -> None:
    assert not independent("faceres", "faceres-deep")
    assert not independent("faceres-deep", "faceres")
    assert not independent("dlib", "dlib")
    assert independent("faceres", "mobilefacenet")


def test_attacks_use_all_but_the_judge_and_its_kin() -> None:
    for judge in (None, *packaged()):
        kin = {name for name in packaged() if not independent(name, judge or held_out())}
        assert set(packaged()) - set(attacked(judge)) == kin
        assert (judge or held_out()) in kin
    assert "faceres" not in attacked("faceres-deep")


def test_listing_recognisers_imports_no_torch() -> None:
    code = "import sys, veil.attacks as a; print(*a.RECOGNIZERS); sys.exit('torch' in sys.modules)"
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == list(RECOGNIZERS)
