"""Limits see what the eye sees: size and colour."""

import pytest
import torch

from veil.privacy.limits import change_energy, chroma_energy


def test_energy_is_the_mean_square_of_each_change() -> None:
    change = torch.stack([torch.full((3, 8, 8), 0.1), torch.zeros(3, 8, 8)])
    assert change_energy(change).tolist() == pytest.approx([0.01, 0])


def test_a_grey_change_has_no_chroma_and_a_red_one_has() -> None:
    grey = torch.full((1, 3, 8, 8), 0.2)
    red = grey * torch.tensor([1.0, 0, 0])[:, None, None]
    assert float(chroma_energy(grey)) == pytest.approx(0, abs=1e-12)
    assert float(chroma_energy(red)) > 0.001
