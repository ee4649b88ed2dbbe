"""Likeness falls with what makes another person of a face, naturalness with what looks unlike a photo."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from insightface.data import get_image
from skimage.data import astronaut
from torch import Tensor

from veil.attacks.faces.detection import find_faces, largest_face
from veil.attacks.faces.sampling import warp
from veil.attacks.faces.transforms import template_transform
from veil.attacks.networks.facemesh import MESH_TEMPLATE
from veil.core.images import to_tensor
from veil.core.types import Face
from veil.eval import FACE_MEASURES
from veil.eval.disturbances.codec import coded
from veil.eval.metrics.likeness import PARTS, likeness, parts
from veil.eval.metrics.naturalness import naturalness
from veil.privacy.paste import feather
from veil.privacy.placement import Placement

SIDE = 160
PHOTO = to_tensor(astronaut())


@pytest.fixture(scope="module")
def face() -> Face:
    return largest_face(astronaut())


@pytest.fixture(scope="module")
def strangers(face: Face) -> list[Tensor]:
    """The change (1, 3, H, W) that puts each of six other people's faces in place of the astronaut's."""
    group = np.ascontiguousarray(get_image("t1")[:, :, ::-1])
    mine = template_transform(face, MESH_TEMPLATE, SIDE)
    old = warp(PHOTO, mine, SIDE)
    new = [
        warp(to_tensor(group), template_transform(one, MESH_TEMPLATE, SIDE), SIDE)
        for one in find_faces(group)
    ]
    high, wide = PHOTO.shape[-2:]
    placement = Placement(mine, SIDE)
    return [placement.warp_into(feather(SIDE) * (one - old), wide, high) for one in new]


@pytest.mark.parametrize("measure", ["likeness", "naturalness"])
def test_what_has_not_changed_scores_one(measure: str, face: Face) -> None:
    assert FACE_MEASURES[measure](PHOTO, PHOTO, face).item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("measure", ["likeness", "naturalness"])
def test_each_of_a_batch_is_scored_by_itself(measure: str, face: Face, strangers: list[Tensor]) -> None:
    score = FACE_MEASURES[measure]
    before = torch.cat([PHOTO, (0.9 * PHOTO), PHOTO])
    after = (before + torch.cat(strangers[:3])).clamp(0, 1)
    alone = [score(old[None], new[None], face) for old, new in zip(before, after, strict=True)]
    torch.testing.assert_close(score(before, after, face), torch.cat(alone), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_a_stranger_is_less_alike_the_more_of_them_there_is(face: Face, strangers: list[Tensor]) -> None:
    for change in strangers:
        scores = [
            likeness(PHOTO, (PHOTO + share * change).clamp(0, 1), face).item()
            for share in torch.linspace(0, 1, 6)
        ]
        assert scores == sorted(scores, reverse=True)
        assert scores[-1] < 0.5


def test_a_jpeg_is_the_same_person(face: Face, strangers: list[Tensor]) -> None:
    saved = to_tensor(coded(astronaut(), "JPEG", 90))
    assert likeness(PHOTO, saved, face).item() > 0.97
    assert likeness(PHOTO, (PHOTO + 0.3 * strangers[0]).clamp(0, 1), face) < likeness(PHOTO, saved, face)


def test_noise_costs_naturalness_more_than_likeness(face: Face, strangers: list[Tensor]) -> None:
    """A grainy photo of her looks worse than her with a little of a stranger, and more like her."""
    grain = 0.05 * torch.randn(PHOTO.shape, generator=torch.Generator().manual_seed(0))
    grainy, mixed = ((PHOTO + change).clamp(0, 1) for change in (grain, 0.4 * strangers[0]))
    assert naturalness(PHOTO, grainy, face) < naturalness(PHOTO, mixed, face) < 1
    assert likeness(PHOTO, grainy, face) > likeness(PHOTO, mixed, face)


def test_the_parts_lie_where_the_face_has_them(face: Face) -> None:
    weights = parts(PHOTO, face)[0]
    assert weights.sum((1, 2)).tolist() == pytest.approx([1] * len(PARTS), abs=1e-4)
    rows = (weights.sum(2) * torch.arange(weights.shape[1])).sum(1).tolist()
    height = dict(zip(PARTS, rows, strict=True))
    assert height["brow-a"] < height["eyes"] < height["nose"] < height["mouth"]


def test_a_face_out_of_the_photo_has_no_naturalness() -> None:
    away = Face(np.array([-50.0, -50.0, 4.0, 4.0]), np.zeros((5, 2)))
    assert math.isnan(naturalness(PHOTO, PHOTO, away).item())
