"""The judge of tracks: best frame, share of frames and mean; and what flickers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from torch.nn import functional

from veil.attacks.faces.detection import find_faces
from veil.core.types import Face, Pixels
from veil.eval.tracks import flicker, match, seen
from veil.weights.registry import card

NAME = "sface"
THRESHOLD = card(NAME).thresholds["far1"]


def vectors(cosines: list[float]) -> dict[str, torch.Tensor]:
    """Unit vectors with these cosines to the first axis, each on its own other axis."""
    rows = torch.zeros(len(cosines), 20)
    for number, cosine in enumerate(cosines):
        rows[number, 0], rows[number, 1 + number] = cosine, (1 - cosine**2) ** 0.5
    return {NAME: rows}


def test_a_track_is_judged_by_its_best_frame_its_share_and_its_mean() -> None:
    clean = {NAME: functional.normalize(torch.eye(20)[:1].repeat(4, 1), dim=1)}
    (one,) = match(clean, vectors([0.1, THRESHOLD + 0.1, 0.0, 0.2]), frozenset({"dlib"}))
    assert (one.before, one.after, one.used_by_attack) == (1.0, 0.25, "no")
    assert one.best == pytest.approx(THRESHOLD + 0.1, abs=1e-3)
    assert one.best_matched
    mean = functional.normalize(vectors([0.1, THRESHOLD + 0.1, 0.0, 0.2])[NAME].mean(0), dim=0)
    assert one.mean == pytest.approx(float(mean[0]), abs=1e-3)
    assert one.mean_matched == (float(mean[0]) > THRESHOLD)


def test_frames_are_compared_with_the_other_half_or_another_video() -> None:
    halves = {NAME: torch.eye(20)[[0, 0, 1, 1]]}
    (apart,) = match(halves, halves)
    assert (apart.before, apart.after) == (0.0, 0.0)
    (first,) = match(halves, halves, other={NAME: torch.eye(20)[:1]})
    assert (first.before, first.after, first.best) == (0.5, 0.5, 1.0)
    (single,) = match({NAME: torch.eye(20)[:1]}, {NAME: torch.eye(20)[:1]})
    assert single.before == 1.0
    (rounded,) = match(
        {NAME: torch.eye(20)[[0, 0, 1]]}, {NAME: torch.eye(20)[[0, 0, 1]]}, other={NAME: torch.eye(20)[:1]}
    )
    assert rounded.before == 0.6667


def test_a_face_is_found_afresh() -> None:
    pixels = astronaut()
    face = find_faces(pixels)[0]
    near = face.transformed(1.0, 6.0, -5.0)
    rows = seen([(pixels, face), (pixels, near), (np.zeros_like(pixels), face)], [NAME])[NAME]
    assert rows.shape == (3, rows.shape[1])
    assert float(rows[0] @ rows[1]) > 0.98
    assert float(rows[0] @ rows[2]) < 0.5


def moving(changes: list[float]) -> Iterator[tuple[Pixels, Pixels, Face]]:
    """A face that moves two pixels a frame, and a pattern of so much on it that moves along."""
    rng = np.random.default_rng(0)
    pattern = rng.normal(0, 1, (512, 512, 3))
    face = find_faces(astronaut())[0]
    for number, strength in enumerate(changes):
        before = np.roll(astronaut(), 2 * number, 1)
        after = before + np.roll(strength * pattern, 2 * number, 1)
        yield before, after.clip(0, 255).astype(np.uint8), face.transformed(1.0, 2 * number, 0)


def test_what_moves_along_does_not_flicker_and_what_comes_and_goes_does() -> None:
    steady, wild = flicker(moving([6.0] * 4)), flicker(moving([6.0, -6.0, 6.0, -6.0]))
    assert steady.own == wild.own
    assert wild.change > 3 * steady.change
    assert wild.after > 1.5 * steady.after
    none = flicker(moving([0.0] * 3))
    assert none.after == pytest.approx(none.own, abs=0.6)  # the clipping of half a level
    assert flicker([]).own == 0


@pytest.mark.parametrize("side", [0.5, 6.0])
def test_a_face_too_small_for_optical_flow_does_not_end_the_judgement(side: float) -> None:
    face = Face(np.array([0.0, 0.0, side, side]), np.zeros((5, 2)))
    large = Face(np.array([0.0, 0.0, 40.0, 40.0]), np.zeros((5, 2)))
    frames = [np.full((64, 64, 3), value, np.uint8) for value in (10, 200, 200)]
    assert flicker([(one, one, face) for one in frames]).own == 0
    assert flicker(zip(frames, frames, (face, face, large), strict=True)).own == 0
