"""Every pixel attack stays within its budget; those that aim do so, and noise of equal size does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from torch import Tensor

from veil.attacks.faces.detection import find_faces
from veil.attacks.pixel import ATTACKS, Budget
from veil.attacks.pixel.ti_dim import blurred
from veil.attacks.pixel.tip_im import discrepancy
from veil.core.errors import VeilError
from veil.core.progress import finish
from veil.core.types import Photo, tracks_of
from veil.privacy import METHODS
from veil.privacy.pixel import PixelSettings

AIMED = [name for name in ATTACKS if name not in ("identity", "random-noise")]
BUDGET = Budget(0.03, 8, seed=1)


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))


def dark(image: Tensor) -> Tensor:
    """Lower where the middle is darker: steep for some pixels, flat for others."""
    return image[..., 8:32, 8:32].square().mean((1, 2, 3))


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_keeps_to_its_budget_and_is_repeatable(name: str, image: Tensor) -> None:
    change = finish(ATTACKS[name](image, dark, BUDGET))
    assert change.shape == image.shape
    assert not change.requires_grad
    assert float(change.abs().max()) <= BUDGET.epsilon + 1e-6
    assert 0 <= float((image + change).min())
    assert float((image + change).max()) <= 1
    assert torch.equal(change, finish(ATTACKS[name](image, dark, BUDGET)))


@pytest.mark.parametrize("name", AIMED)
def test_every_aimed_attack_lowers_its_objective(name: str, image: Tensor) -> None:
    change = finish(ATTACKS[name](image, dark, BUDGET))
    best = dark((image - BUDGET.epsilon).clamp(0, 1)) - dark(image)
    assert float(dark(image + change) - dark(image)) < 0.6 * float(best)


@pytest.mark.parametrize("name", AIMED)
def test_an_attack_without_gradient_says_so(name: str, image: Tensor) -> None:
    with pytest.raises(VeilError, match="no gradient"):
        finish(ATTACKS[name](image, lambda changed: (changed * 0).sum((1, 2, 3)), BUDGET))


def test_identity_and_noise() -> None:
    grey = torch.full((1, 3, 8, 8), 0.5)
    assert not finish(ATTACKS["identity"](grey, dark, BUDGET)).any()
    noise = finish(ATTACKS["random-noise"](grey, dark, BUDGET))
    torch.testing.assert_close(noise.abs(), torch.full_like(noise, BUDGET.epsilon))


def test_parts() -> None:
    flat = torch.ones(1, 3, 40, 40)
    torch.testing.assert_close(blurred(flat)[..., 10:30, 10:30], flat[..., 10:30, 10:30])
    assert float(discrepancy(flat, flat, 0.1)) == 0
    assert float(discrepancy(flat - 0.2, flat, 0.1)) > float(discrepancy(flat - 0.1, flat, 0.1)) > 0


@pytest.fixture(scope="module")
def photo() -> Photo:
    return Photo(astronaut()[:300, 80:360], "astronaut.png")


def similarity(photo: Photo, method: str) -> tuple[float, Photo]:
    """What is left of the similarity to the surrogate's own embedding."""
    settings = PixelSettings(method=method, surrogates=("mobileface",), steps=10, views=0, epsilon=0.03)
    tracks = tracks_of(photo, find_faces(photo.pixels)[:1])
    result = finish(METHODS[method](tracks, settings, None))
    return result.similarity[0]["mobileface"], result.photo


@pytest.mark.parametrize("method", AIMED)
def test_methods_hide_a_face_and_leave_the_rest_alone(photo: Photo, method: str) -> None:
    left, after = similarity(photo, method)
    assert left < 0.65
    assert np.array_equal(after.pixels[-30:], photo.pixels[-30:])
    assert np.abs(after.pixels.astype(int) - photo.pixels).max() <= 20


def test_noise_of_equal_size_does_not_protect(photo: Photo) -> None:
    assert similarity(photo, "random-noise")[0] > 0.7
    same, after = similarity(photo, "identity")
    assert same > 0.95
    assert np.array_equal(after.pixels, photo.pixels)
