"""Hands near a face are found every few frames, carried between, and left out of what is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from veil.attacks.faces import hands
from veil.attacks.faces.hands import EVERY, SIZE, STEP, HandFollower, Hands, over_face
from veil.attacks.faces.tracks import MeshTrack, Tracks
from veil.attacks.networks.facemesh import OVAL
from veil.core.types import Array, Face
from veil.privacy.mesh_placement import NO_HANDS, MeshPlacement, triangulated, with_ring

FACE = Face(
    np.array([40.0, 40, 140, 140]), np.array([[70.0, 80], [110, 80], [90, 100], [75, 120], [105, 120]])
)
FRAMES = [(index, np.zeros((200, 200, 3), np.uint8)) for index in range(3 * EVERY)]


def hand_at(x: float, y: float) -> Array:
    """An open hand (21, 2): the wrist below, fingers upwards."""
    fingers = [(8 * (finger - 2) + x, y - 12 - 6 * joint) for finger in range(5) for joint in range(4)]
    return np.array([(x, y + 8), *fingers])


@dataclass
class Networks:
    """Stand-ins: a hand that moves by a pixel a frame is there from frame `first` to before `end`."""

    first: int
    end: int
    searched: int = 0
    sure: float = 0.9

    def around(self, pixels: Any, face: Face, reach: float, size: int) -> tuple[Any, float, tuple[int, int]]:
        return np.full((size, size, 3), pixels[0, 0, 0], np.uint8), 2.0, (10, 20)

    def palms(self, image: Any, box: Array, most: int) -> list[Array]:
        self.searched += 1
        assert box.tolist() == [0, 0, SIZE, SIZE]
        return [np.zeros((2, 3))]

    def hand_in(self, image: Any, crop: Array) -> tuple[Array, float]:
        index = round(255 * float(image[0, 0, 0, 0]))
        shown = self.first <= index < self.end
        return (hand_at(90 + index, 120) - (10, 20)) * 2, self.sure if shown else 0.1


def followed(monkeypatch: pytest.MonkeyPatch, networks: Networks) -> HandFollower:
    for name in ("around", "palms", "hand_in"):
        monkeypatch.setattr(hands, name, getattr(networks, name))
    follower, frames = HandFollower(), [(n, np.full_like(pixels, n)) for n, pixels in FRAMES]
    faces = {n: FACE for n, _ in frames}
    for start in range(0, len(frames), EVERY):
        follower.take(frames[max(start - 1, 0) : start + EVERY], faces)
    return follower


def test_a_hand_is_followed_both_ways_and_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = Networks(first=STEP, end=2 * EVERY + STEP + 1)
    (trail,) = followed(monkeypatch, networks).trails
    assert sorted(trail) == list(range(EVERY, 2 * EVERY + STEP + 1, STEP))
    assert networks.searched == 3
    found = Hands.of([trail], 0, len(FRAMES))
    assert found.indexes.tolist() == list(range(EVERY - 2, 2 * EVERY + STEP + 3))
    for index in (EVERY, EVERY + 1, EVERY + STEP):
        assert np.allclose(found.at(index)[0], hand_at(90 + index, 120), atol=1e-3)
    assert np.allclose(found.at(EVERY - 1)[0], hand_at(90 + EVERY, 120))  # it goes on a little
    assert found.at(0).shape == (0, 21, 2)
    assert Hands.of([trail], EVERY, EVERY + 2).indexes.tolist() == [EVERY, EVERY + 1]


def test_a_hand_that_is_found_late_is_followed_back(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = Networks(STEP, 99)
    for name in ("around", "palms", "hand_in"):
        monkeypatch.setattr(hands, name, getattr(networks, name))
    follower, frames = HandFollower(), [(n, np.full_like(pixels, n)) for n, pixels in FRAMES[: EVERY + 1]]
    follower.take(frames, {n: FACE for n, _ in frames})
    (trail,) = follower.trails
    assert sorted(trail) == list(range(STEP, EVERY + 1, STEP))


def test_what_is_no_hand_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert followed(monkeypatch, Networks(0, 99, sure=0.6)).trails == []
    assert Hands.of([], 0, 9).at(3).shape == (0, 21, 2)


def test_hands_are_kept_with_their_track(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(0, 90, (3, 468, 2)).astype(np.float32)
    near = Hands(np.array([4, 5, 5]), np.stack([hand_at(n, 9) for n in range(3)]).astype(np.float32))
    track = MeshTrack(1, 0, np.arange(3, 6), points, np.ones(3, bool), near)
    Tracks((track,), (0,), 6).save(tmp_path / "tracks.npz")
    (again,) = Tracks.load(tmp_path / "tracks.npz").tracks
    assert np.array_equal(again.hands.at(5), near.at(5))
    assert again.between(3, 5).hands.indexes.tolist() == [4]


def test_a_change_leaves_a_hand_out() -> None:
    angle = np.linspace(0, 40 * np.pi, 468)
    mesh = 100 + np.stack([np.cos(angle), np.sin(angle)], 1) * np.linspace(5, 80, 468)[:, None]
    source = with_ring(mesh)
    hand = hand_at(100, 140)
    free, hidden = (
        MeshPlacement.of(source, source, triangulated(source), 200, points)
        for points in (NO_HANDS, hand[None])
    )
    whole = torch.ones(1, 1, 200, 200)
    before, after = (one.warp_into(whole, 200, 200)[0, 0].numpy() for one in (free, hidden))
    x, y = hand[9].round().astype(int)
    assert after[y, x] == 0
    assert before[60, 100] == after[60, 100]
    assert 0.003 < (before - after).mean() < 0.2
    assert np.array_equal(free.opacity.numpy(), hidden.opacity.numpy())


def test_over_a_face_is_within_its_outline() -> None:
    mesh = np.full((468, 2), 50.0)
    mesh[[*OVAL]] = 50 + 30 * np.stack([np.cos(a := np.linspace(0, 6, len(OVAL))), np.sin(a)], 1)
    assert over_face(hand_at(50, 60), mesh)
    assert not over_face(hand_at(150, 60), mesh)
