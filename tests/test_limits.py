"""Limits see what the eye sees: size, colour, and where a change lies."""

import pytest
import torch
from skimage.data import astronaut

from veil.core.images import to_tensor
from veil.privacy.limits import change_energy, chroma_energy, visibility


def test_energy_is_the_mean_square_of_each_change() -> None:
    change = torch.stack([torch.full((3, 8, 8), 0.1), torch.zeros(3, 8, 8)])
    assert change_energy(change).tolist() == pytest.approx([0.01, 0])


def test_a_grey_change_has_no_chroma_and_a_red_one_has() -> None:
    grey = torch.full((1, 3, 8, 8), 0.2)
    red = grey * torch.tensor([1.0, 0, 0])[:, None, None]
    assert float(chroma_energy(grey)) == pytest.approx(0, abs=1e-12)
    assert float(chroma_energy(red)) > 0.001


def test_a_change_shows_more_on_a_smooth_area_than_in_texture() -> None:
    image = to_tensor(astronaut())
    weight = visibility(image)
    backdrop, hair = weight[0, 0, 10:60, 20:120].mean(), weight[0, 0, 30:70, 190:240].mean()
    assert weight.shape == (1, 1, 512, 512)
    assert float(weight.mean()) == pytest.approx(1, abs=1e-4)
    assert float(backdrop) > 1.5 * float(hair)
