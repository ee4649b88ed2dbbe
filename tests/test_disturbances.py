"""Every disturbance keeps a photo a photo, does what its name says, and leaves its input alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from skimage.data import astronaut

from veil.attacks.faces.detection import find_faces
from veil.core.types import Pixels
from veil.eval.disturbances import DISTURBANCES
from veil.privacy.purification import PURIFIERS

PHOTO = astronaut()[:300, 80:360]


def away(pixels: Pixels) -> float:
    """Root mean squared difference from the photo."""
    return float(np.sqrt(((pixels.astype(float) - PHOTO) ** 2).mean()))


@pytest.mark.parametrize("name", DISTURBANCES)
def test_every_disturbance_gives_another_photo(name: str) -> None:
    before = PHOTO.copy()
    after = DISTURBANCES[name](PHOTO)
    assert np.array_equal(PHOTO, before)
    assert not np.shares_memory(after, PHOTO)
    assert after.dtype == np.uint8
    assert after.ndim == 3
    assert after.shape[2] == 3
    assert np.array_equal(after, DISTURBANCES[name](PHOTO))
    assert (name == "none") == (after.shape == PHOTO.shape and np.array_equal(after, PHOTO))
    assert len(find_faces(after, 40)) == 1


def test_worse_codecs_change_more() -> None:
    jpeg = [away(DISTURBANCES[f"jpeg-{quality}"](PHOTO)) for quality in (90, 75, 50)]
    assert 0 < jpeg[0] < jpeg[1] < jpeg[2]


def test_mean_is_the_mean() -> None:
    expected = uniform_filter(PHOTO.astype(float), (5, 5, 0))
    inside = np.s_[5:-5, 5:-5]
    assert np.abs(DISTURBANCES["mean-5x5"](PHOTO)[inside] - expected[inside]).max() <= 1


def test_noise_and_brightness_are_of_the_stated_size() -> None:
    grey = np.full((200, 200, 3), 100, np.uint8)
    assert DISTURBANCES["noise"](grey).std() == pytest.approx(5, abs=0.1)
    assert DISTURBANCES["brighter"](grey).mean() == 125
    assert DISTURBANCES["darker"](grey).mean() == 80


def test_sizes() -> None:
    high, wide = PHOTO.shape[:2]
    assert DISTURBANCES["crop-90"](PHOTO).shape == (round(0.9 * high), round(0.9 * wide), 3)
    assert DISTURBANCES["social"](PHOTO).shape[0] == round(0.75 * high)
    for name in ("resize-50", "resize-1080"):
        assert DISTURBANCES[name](PHOTO).shape == PHOTO.shape


def test_resizing_through_a_larger_size_changes_little() -> None:
    assert away(DISTURBANCES["resize-1080"](PHOTO)) < 2 < away(DISTURBANCES["resize-50"](PHOTO))


@pytest.fixture(scope="module")
def washed() -> dict[str, Pixels]:
    return {name: PURIFIERS[name](PHOTO) for name in PURIFIERS}


def test_purification_changes_the_face_only_and_more_with_more_noise(washed: dict[str, Pixels]) -> None:
    for pixels in washed.values():
        assert pixels.shape == PHOTO.shape
        assert np.array_equal(pixels[-40:], PHOTO[-40:])
    changes = [away(washed[name]) for name in ("autoencoder", "purify-50", "purify-150", "purify-300")]
    assert changes == sorted(changes)
    assert 0 < changes[0]
    assert changes[-1] < 30
