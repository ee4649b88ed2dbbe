"""Penalties measure what the eye sees of a change, and the schedule sets what they weigh."""

import numpy as np
import pytest
import torch
from insightface.data import get_image
from skimage.data import astronaut

from veil.attacks.faces.detection import find_faces
from veil.core.images import to_tensor
from veil.privacy.appearance import FAINT, AppearancePenalty, directions
from veil.privacy.penalties import (
    DARK,
    PenaltySchedule,
    ceiling_scale,
    change_energy,
    chroma_energy,
    colours,
    roughness,
    smooth,
)


def test_energy_is_the_mean_square_of_each_change() -> None:
    change = torch.stack([torch.full((3, 8, 8), 0.1), torch.zeros(3, 8, 8)])
    assert change_energy(change).tolist() == pytest.approx([0.01, 0])


def test_light_and_shade_have_no_chroma_and_paler_skin_has() -> None:
    skin = torch.tensor([0.9, 0.6, 0.4])[:, None, None].expand(1, 3, 8, 8)
    light = 0.1 * (skin + DARK)
    pale = light.mean() * torch.ones_like(skin)
    assert float(chroma_energy(light, colours(skin))) == pytest.approx(0, abs=1e-12)
    assert float(chroma_energy(pale, colours(skin))) > 1e-4
    grey = torch.full_like(skin, 0.5)
    assert float(chroma_energy(pale, colours(grey))) == pytest.approx(0, abs=1e-12)
    red = pale * torch.tensor([1.0, 0, 0])[:, None, None]
    assert float(chroma_energy(red, colours(grey))) > 1e-3


def test_a_change_is_brought_below_its_ceiling_and_not_further() -> None:
    changes = torch.stack([torch.full((3, 8, 8), 0.1), torch.zeros(3, 8, 8)])
    assert ceiling_scale(0.05, changes).flatten().tolist() == pytest.approx([0.5, 1])
    assert ceiling_scale(0.2, changes).flatten().tolist() == [1, 1]


def test_spots_on_what_is_smooth_are_rough_and_light_or_texture_are_not() -> None:
    flat = torch.full((1, 3, 256, 256), 0.5)
    noise = 0.2 * torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    wave = torch.arange(256) / 256 * 2 * torch.pi
    light, spots = (0.03 * (turns * wave).sin().expand(1, 3, 256, 256) for turns in (1, 24))
    assert float(smooth(flat).min()) == pytest.approx(1)
    assert float(smooth(flat + noise).mean()) < 0.3
    assert float(roughness(spots, smooth(flat))) > 50 * float(roughness(light, smooth(flat))) > 0
    assert float(roughness(spots, smooth(flat))) > 3 * float(roughness(spots, smooth(flat + noise)))
    assert float(roughness(torch.full_like(flat, 0.1), smooth(flat))) == pytest.approx(0, abs=1e-12)


@pytest.mark.slow
def test_appearance_is_penalised_where_parts_of_the_face_move_and_not_where_they_stay() -> None:
    group = np.ascontiguousarray(get_image("t1")[:, :, ::-1])
    image, face = to_tensor(group), find_faces(group)[1]
    shifted = image.roll(4, -1)
    for weights in (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0):
        penalty = AppearancePenalty(image, face, *weights)
        assert float(penalty(image)) == pytest.approx(0, abs=1e-5)
        assert float(penalty(shifted)) > 1e-4
        changed = shifted.clone().requires_grad_()
        penalty(changed).sum().backward()
        assert changed.grad is not None
        assert float(changed.grad.abs().sum()) > 0
    assert (
        (2 / face.eyes) ** 2
        < float(AppearancePenalty(image, face, 0.0, 1.0, 0.0)(shifted))
        < (5 / face.eyes) ** 2
    )
    assert float(AppearancePenalty(image, face, 0.0, 0.0, 0.0)(shifted)) == 0


def test_spots_on_smooth_skin_are_seen_more_than_as_much_change_among_texture() -> None:
    face = find_faces(astronaut())[0]
    image = to_tensor(astronaut())
    penalty = AppearancePenalty(image, face, 1.0, 0.0, 0.0)
    left, right = face.points[:2]
    down = (face.points[3:].mean(0) - face.points[:2].mean(0)) / 3
    found = []
    for place in ((left + right) / 2 - 1.5 * down, left):  # the forehead, and an eye
        x, y = (int(round(float(one))) for one in place)
        spotted = image.clone()
        spotted[..., y - 3 : y + 3, x - 3 : x + 3] += 0.03
        found.append(float(penalty(spotted)))
    assert found[0] > 2 * found[1] > 0


def test_features_are_brought_to_length_one_where_they_are_not_faint() -> None:
    features = torch.zeros(1, 2, 1, 3)
    features[0, :, 0, 0], features[0, :, 0, 1] = torch.tensor([3.0, 4.0]), torch.tensor([FAINT / 2, 0])
    features.requires_grad_()
    found = directions(features)
    assert found[0, :, 0].T.flatten().tolist() == pytest.approx([0.6, 0.8, 0.5, 0, 0, 0])
    found.sum().backward()
    assert features.grad is not None
    assert bool(features.grad.isfinite().all())


def factor_after(margin: float, size: float, steps: int = 40, least: float = 1.0) -> float:
    schedule = PenaltySchedule(least, target_margin=1.0, ceiling=0.02)
    for _ in range(steps):
        schedule.update(margin, size)
    return schedule.value


def test_penalties_grow_once_the_face_is_hidden_or_the_ceiling_reached() -> None:
    assert factor_after(margin=0.5, size=0.01) == 1
    assert factor_after(margin=1.5, size=0.01) > 2
    assert factor_after(margin=0.5, size=0.03) > 2
    assert factor_after(margin=1.5, size=0.01, steps=1000) == PenaltySchedule.MOST
    assert factor_after(margin=1.5, size=0.01, steps=PenaltySchedule.PATIENCE) == 1
    assert factor_after(margin=0.5, size=0.01, least=0.4) == 0.4
    assert factor_after(margin=1.5, size=0.01, least=0.4) == pytest.approx(0.4 * factor_after(1.5, size=0.01))


def test_the_factor_changes_slower_in_a_long_search() -> None:
    short, long = (PenaltySchedule(1.0, target_margin=1.0, ceiling=0.02, steps=steps) for steps in (60, 180))
    for _ in range(40):
        short.update(0.5, 0.03)
        long.update(0.5, 0.03)
    assert 1 < long.value < 2.5 < short.value


def test_the_factor_falls_back_to_the_least() -> None:
    schedule = PenaltySchedule(1.0, target_margin=1.0, ceiling=0.02)
    for margin in (2.0,) * 20 + (0.0,) * 30:
        schedule.update(margin, 0.01)
    assert schedule.value == 1
