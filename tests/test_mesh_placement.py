"""A change is carried by the points of a face: where they go it goes, and openings are left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from veil.attacks.networks.facemesh import OVAL
from veil.core.types import Array
from veil.privacy.mesh_placement import (
    OPENINGS,
    MeshPlacement,
    drawn_by_triangles,
    triangulated,
    with_ring,
)
from veil.privacy.paste import paste
from veil.privacy.placement import Placement

SIZE = 96
MOUTH = OPENINGS[2]


@pytest.fixture
def source() -> Array:
    """Points that lie as those of a mesh: an oval border, two eyes, a mouth, the rest anywhere within."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 468)
    mesh = np.stack([np.cos(angle), 1.2 * np.sin(angle)], 1) * rng.uniform(0, 0.95, (468, 1)) ** 0.5
    for places, middle, wide in (
        (OVAL, (0, 0), (1.0, 1.2)),
        (OPENINGS[0], (-0.4, -0.3), (0.15, 0.07)),
        (OPENINGS[1], (0.4, -0.3), (0.15, 0.07)),
        (MOUTH, (0, 0.5), (0.3, 0.12)),
    ):
        around = np.linspace(0, 2 * np.pi, len(places), endpoint=False)
        mesh[list(places)] = np.array(middle) + np.stack([np.cos(around), np.sin(around)], 1) * wide
    inner = [
        np.square((mesh - middle) / wide).sum(1) < 1.5
        for middle, wide in (
            ((-0.4, -0.3), (0.15, 0.07)),
            ((0.4, -0.3), (0.15, 0.07)),
            ((0, 0.5), (0.3, 0.12)),
        )
    ]
    free = np.any(inner, 0) & ~np.isin(np.arange(468), [*OPENINGS[0], *OPENINGS[1], *MOUTH, *OVAL])
    mesh[free] = (0, -0.8) + 0.1 * (mesh[free] - mesh[free].mean(0))
    return with_ring(SIZE / 2 + mesh * SIZE / 4)


def change() -> torch.Tensor:
    """A smooth change (1, 3, S, S)."""
    line = torch.linspace(0, 3, SIZE)
    return torch.stack(
        [line.sin().expand(SIZE, -1), line.cos()[:, None].expand(-1, SIZE), torch.ones(SIZE, SIZE)]
    )[None]


def test_points_moved_by_a_similarity_carry_as_the_similarity_does(source: Array) -> None:
    matrix = np.array([[1.1, -0.3, 20.0], [0.3, 1.1, 5.0]])
    points = source @ matrix[:, :2].T + matrix[:, 2]
    placed = MeshPlacement.of(source, points, triangulated(source), SIZE)
    assert np.allclose(placed.matrix, matrix)
    carried, plain = (one.warp_into(change(), 140, 160) for one in (placed, Placement(matrix, SIZE)))
    inside = placed.warp_into(torch.ones(1, 1, SIZE, SIZE), 140, 160)[0, 0] > 0.999
    assert inside.sum() > 1000
    assert torch.allclose(carried[0][:, inside], plain[0][:, inside], atol=0.03)


def test_openings_and_what_lies_beyond_the_ring_are_left_out(source: Array) -> None:
    placed = MeshPlacement.of(source, source, triangulated(source), SIZE)
    shown = placed.opacity[0, 0]
    assert shown.shape == (SIZE, SIZE)
    for places in (OPENINGS[0], OPENINGS[1], MOUTH):
        x, y = source[list(places)].mean(0).round().astype(int)
        assert shown[y, x] < 0.2
    assert shown[SIZE // 2, SIZE // 2] == pytest.approx(1, abs=0.01)
    assert shown[2, 2] == 0


def test_an_opened_mouth_stays_free(source: Array) -> None:
    """Points of the upper lip go up and those of the lower lip down; what shows between is not changed."""
    points = source.copy()
    for place in MOUTH:
        points[place, 1] += 10 if source[place, 1] > source[list(MOUTH), 1].mean() else -6
    placed = MeshPlacement.of(source, points, triangulated(source), SIZE)
    carried = placed.warp_into(torch.ones(1, 1, SIZE, SIZE), SIZE, SIZE)[0, 0]
    x, y = points[list(MOUTH)].mean(0).round().astype(int)
    assert carried[y - 4 : y + 5, x].max() < 0.2


def test_gradients_reach_the_change(source: Array) -> None:
    placed = MeshPlacement.of(source, source + (3, 4), triangulated(source), SIZE)
    one = change().requires_grad_()
    placed.warp_into(one, 120, 120).square().sum().backward()
    assert one.grad is not None
    assert float(one.grad.abs().max()) > 0


def test_a_copy_of_the_image_carries_the_same(source: Array) -> None:
    """Cut and scaled, as contexts are; and coarser than the frame where that is large."""
    points = source * 4 + (300, 200)
    placed = MeshPlacement.of(source, points, triangulated(source), SIZE)
    whole = placed.warp_into(change(), 800, 700)
    part = placed.within(250, 150).warp_into(change(), 550, 550)
    assert torch.allclose(part, whole[..., 150:, 250:], atol=1e-4)
    half = placed.within(250, 150, 0.5).warp_into(change(), 275, 275)
    smaller = torch.nn.functional.avg_pool2d(part, 2)
    assert float((half - smaller).abs().mean()) < 0.02


def test_a_frame_is_changed_where_the_face_lies_alone(source: Array) -> None:
    pixels = np.full((120, 140, 3), 100, np.uint8)
    placed = MeshPlacement.of(source, source + (30, 10), triangulated(source), SIZE)
    result = paste(pixels, torch.full((1, 3, SIZE, SIZE), 0.2), placed)
    changed = np.argwhere((result != pixels).any(-1))
    assert result[10 + SIZE // 2, 30 + SIZE // 2].tolist() == [151, 151, 151]
    assert (changed.min(0)[::-1] >= source.min(0) + (30, 10) - 2).all()
    assert (changed.max(0)[::-1] <= source.max(0) + (30, 10) + 2).all()
    assert not np.array_equal(pixels, result)


def test_a_face_out_of_the_picture_changes_nothing(source: Array) -> None:
    pixels = np.full((120, 140, 3), 100, np.uint8)
    placed = MeshPlacement.of(source, source + (500, -300), triangulated(source), SIZE)
    assert np.array_equal(paste(pixels, torch.ones(1, 3, SIZE, SIZE), placed), pixels)


def test_triangles_draw_what_is_linear_between_their_points() -> None:
    points = np.array([[1.0, 1.0], [18.0, 2.0], [4.0, 17.0], [17.0, 18.0]])
    values = np.stack([points.sum(1), np.ones(4)], 1)
    drawn = drawn_by_triangles(points, values, triangulated(points), (20, 20))
    assert drawn.shape == (20, 20, 2)
    rows, columns = np.nonzero(drawn[..., 1])
    inner = (rows > 3) & (rows < 16) & (columns > 5) & (columns < 16)
    assert np.allclose(drawn[rows[inner], columns[inner], 0], (rows + columns)[inner], atol=1e-3)
    assert drawn[0, 19, 1] == 0


def test_triangles_seen_from_behind_are_not_drawn() -> None:
    points = np.array([[1.0, 1.0], [18.0, 2.0], [4.0, 17.0]])
    triangles = triangulated(points)
    assert drawn_by_triangles(points, np.ones((3, 1)), triangles, (20, 20)).any()
    assert not drawn_by_triangles(points[:, ::-1], np.ones((3, 1)), triangles, (20, 20)).any()
