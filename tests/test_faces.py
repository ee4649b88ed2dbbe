"""Faces are found at any size, and crops are cut where they should be, differentiably."""

import numpy as np
import pytest
import torch
from insightface.data import get_image
from PIL import Image
from skimage.data import astronaut, checkerboard
from torch.nn import functional

from veil.attacks.faces import (
    ARCFACE,
    SMALLEST,
    find_faces,
    fit,
    inverse,
    largest_face,
    sampled,
    similarity,
    square,
    warp,
)
from veil.core.errors import NoFace
from veil.core.images import to_tensor
from veil.core.types import Face

TURN = np.array([[0.8, -0.6, 5.0], [0.6, 0.8, -3.0]])


def test_every_face_of_a_group_is_found_the_largest_first() -> None:
    faces = find_faces(np.ascontiguousarray(get_image("t1")[..., ::-1]))
    sides = [face.side for face in faces]
    assert sum(side > SMALLEST for side in sides) >= 6
    assert sides == sorted(sides, reverse=True)
    for face in faces:
        assert np.all(face.points > face.box[:2] - 0.1 * face.side)
        assert np.all(face.points < face.box[2:] + 0.1 * face.side)


def test_a_large_photo_gives_the_same_face_in_its_own_pixels() -> None:
    small = astronaut()
    large = np.asarray(Image.fromarray(small).resize((4096, 4096), Image.Resampling.LANCZOS))
    face, same = largest_face(small), largest_face(large)
    eyes = float(np.linalg.norm(face.points[1] - face.points[0]))
    stray = np.linalg.norm(same.points / 8 - face.points, axis=1) / eyes
    assert stray.max() < 0.06


def test_a_small_face_in_a_large_photo_is_found() -> None:
    wide = np.full((3000, 4000, 3), 90, np.uint8)
    wide[1800:2200, 2500:2900] = np.asarray(Image.fromarray(astronaut()[:400, 50:450]))
    face = largest_face(wide)
    assert 2500 < face.points[:, 0].mean() < 2900
    assert 1800 < face.points[:, 1].mean() < 2200


def test_no_face_is_an_error_with_a_hint() -> None:
    with pytest.raises(NoFace) as caught:
        largest_face(np.repeat(checkerboard()[..., None], 3, axis=2).astype(np.uint8))
    assert caught.value.hint


def test_a_similarity_is_found_again_and_undone() -> None:
    points = np.random.default_rng(0).normal(size=(5, 2)) * 50
    moved = 1.7 * points @ TURN[:, :2].T + TURN[:, 2]
    found = similarity(points, moved)
    assert np.allclose(found[:, :2], 1.7 * TURN[:, :2])
    assert np.allclose(found[:, 2], TURN[:, 2])
    back = inverse(found)
    assert np.allclose(moved @ back[:, :2].T + back[:, 2], points)


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    points = ARCFACE * 112
    found = similarity(points, points * [-1, 1])
    assert np.linalg.det(found[:, :2]) > 0


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_a_crop_shows_what_lies_under_it(scale: float) -> None:
    """A picture whose colours are its coordinates, so that every pixel of the crop tells where it is from."""
    rows, columns = np.mgrid[0:300, 0:400] / 400
    image = torch.from_numpy(np.stack([columns, rows])[None]).float()
    matrix = np.hstack([TURN[:, :2] * scale, [[180.0], [120.0]]])
    crop = warp(image, matrix, 16)[0].numpy() * 400
    spots = np.stack(np.meshgrid(np.arange(16), np.arange(16)), axis=-1)
    expected = spots @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(np.moveaxis(crop, 0, -1) - expected).max() < 0.75


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("high", [6, 7])
def test_images_are_read_where_the_grid_says(mode: str, high: int) -> None:
    random = torch.Generator().manual_seed(0)
    images = torch.rand((3, 2, 9, 11), generator=random)
    grid = 2.4 * torch.rand((high, 5, 2), generator=random) - 1.2
    whole = grid.expand(3, -1, -1, -1)
    expected = functional.grid_sample(images, whole, mode, "border", align_corners=False)
    assert torch.allclose(sampled(images, grid, mode, "border"), expected)


def test_the_five_points_land_on_the_template() -> None:
    face = largest_face(astronaut())
    into = inverse(fit(face, ARCFACE, 112))
    landed = face.points @ into[:, :2].T + into[:, 2]
    assert np.abs(landed - (ARCFACE * 112 - 0.5)).max() < 8


def test_a_square_holds_the_box() -> None:
    face = Face(np.array([10.0, 20.0, 110.0, 150.0]), np.zeros((5, 2)))
    matrix = square(face, 0.0, 224)
    low, high = (np.array([x, x]) for x in (-0.5, 223.5))
    assert np.allclose(matrix[:, :2] @ low + matrix[:, 2], [-5.5, 19.5])
    assert np.allclose(matrix[:, :2] @ high + matrix[:, 2], [124.5, 149.5])


def test_gradients_reach_the_pixels_under_the_crop_and_no_others() -> None:
    image = to_tensor(astronaut()).requires_grad_()
    face = largest_face(astronaut())
    warp(image, fit(face, ARCFACE, 112), 112).sum().backward()
    assert image.grad is not None
    touched = image.grad.abs().sum((0, 1)) > 0
    x, y = face.points[2].round().astype(int)
    assert touched[y, x]
    assert not touched[400:].any()


def test_a_face_moves_with_its_image() -> None:
    face = Face(np.array([0.0, 0.0, 10.0, 20.0]), np.ones((5, 2)), 0.9).moved(2, 3, -1)
    assert face.box.tolist() == [3, -1, 23, 39]
    assert face.points[0].tolist() == [5, 1]
    assert face.side == 20
