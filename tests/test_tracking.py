"""Faces through the frames of a clip that is made of two portraits: where they are, when they are lost."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from insightface.data import get_image
from PIL import Image
from skimage.data import astronaut

from veil.attacks.faces import tracking
from veil.attacks.faces.detection import find_faces
from veil.attacks.faces.stored_points import PointFile, StoredMeshes, StoredPoints, backwards, blocks
from veil.attacks.faces.tracks import (
    CARRIED,
    Mesh,
    MeshTrack,
    Tracks,
    face_of,
    normalised,
    runs,
    smoothed,
    track_of,
)
from veil.attacks.faces.trails import Trail
from veil.attacks.networks.facemesh import five_points
from veil.core.progress import finish
from veil.core.types import Pixels, Stage, Step

SIZE = 200


@cache
def mesh() -> Mesh:
    """The astronaut's mesh in the frame at no shift."""
    pixels = frame(0)
    found = tracking.mesh_at(pixels, find_faces(pixels)[0])
    assert found is not None
    return found


def frame(shift: int) -> Pixels:
    """The astronaut's face, to the left by so many pixels."""
    return np.ascontiguousarray(astronaut()[20 : 20 + SIZE, 120 + shift : 120 + shift + SIZE])


def another() -> Pixels:
    """A frame that shows somebody else."""
    group = Image.fromarray(np.ascontiguousarray(get_image("t1")[:, :, ::-1]))
    face = find_faces(np.asarray(group))[0]
    x, y = face.box.reshape(2, 2).mean(0)
    half = 1.2 * face.side
    return np.asarray(
        group.crop((int(x - half), int(y - half), int(x + half), int(y + half))).resize((SIZE,) * 2)
    )


def followed(pictures: Sequence[Pixels]) -> Tracks:
    return finish(tracking.follow(enumerate(pictures)))


def test_a_face_is_followed_where_it_goes() -> None:
    shifts = [2 * number for number in range(20)]
    steps: list[Step] = []
    tracks = finish(tracking.follow(((n, frame(shift)) for n, shift in enumerate(shifts)), 20), steps.append)
    assert [(step.stage, step.done, step.total) for step in steps] == [
        (Stage.FOLLOWING, number, 20) for number in range(1, 21)
    ]
    (track,) = tracks.tracks
    assert tracks.shots == (0,)
    assert tracks.count == 20
    assert track.indexes.tolist() == list(range(20))
    assert track.seen.all()
    assert not tracks.lost
    expected = mesh()[None] - np.array([[[shift, 0]] for shift in shifts])
    off = np.linalg.norm(track.points - expected, axis=2) / face_of(mesh()).eyes
    assert np.median(off) < 0.03
    there = track.face(19)
    assert there
    assert np.allclose(there.points, five_points(track.points[19].astype(float)))
    assert track.face(20) is None
    assert track.key in range(20)


def test_who_comes_in_between_two_detections_is_followed_back() -> None:
    empty = np.full((SIZE, SIZE, 3), 90, np.uint8)
    empty[:, :, 1] = np.linspace(60, 120, SIZE).astype(np.uint8)
    late = [empty.copy() for _ in range(20)]
    for number in range(5, 20):  # the face, in the same light: no scene change
        late[number][40:160, 30:150] = frame(0)[20:140, 60:180]
    (track,) = followed(late).tracks
    assert track.indexes[track.seen].min() in (5, 6)


def test_a_face_that_is_hidden_for_a_while_is_carried_and_named() -> None:
    pictures = [frame(number) for number in range(36)]
    for number in range(12, 18):
        x = int(mesh()[:, 0].mean()) - number
        hidden = Image.fromarray(pictures[number][30:175, max(0, x - 60) : x + 60])
        blurred = hidden.resize((4, 4), Image.Resampling.BOX).resize(hidden.size)
        pictures[number][30:175, max(0, x - 60) : x + 60] = np.asarray(blurred)
    tracks = followed(pictures)
    (track,) = tracks.tracks
    assert track.indexes.tolist() == list(range(36))
    ((person, first, last),) = tracks.lost
    assert person == track.person == 1
    assert 10 <= first <= 13
    assert 16 <= last <= 19
    assert track.gaps == [(first, last)]


def test_two_that_come_upon_one_face_are_parted() -> None:
    far, near = (
        {number: mesh() + np.float32(gap) for number, gap in enumerate(gaps)}
        for gaps in ((0, 0, 0, 0), (90, 90, 5, 90))
    )
    kept, trail = Trail(0, far), Trail(0, near)
    tracking._part(kept, trail, [1, 2, 3])  # pyright: ignore[reportPrivateUsage]
    assert list(kept.meshes) == [0, 1, 2, 3]
    assert list(trail.meshes) == [0, 1]


@pytest.mark.slow
def test_shots_are_cut_and_people_are_known_again() -> None:
    other = another()
    pictures = [frame(n) for n in range(4)] + [other] * 3 + [frame(9 - n) for n in range(4)]
    tracks = followed(pictures)
    assert tracks.shots == (0, 4, 7)
    assert [(track.person, track.shot) for track in tracks.tracks] == [(1, 0), (1, 2), (2, 1)]
    assert [track.indexes.tolist() for track in tracks.tracks] == [[0, 1, 2, 3], [7, 8, 9, 10], [4, 5, 6]]
    assert tracks.people == (1, 2)
    assert tracks.of({2}).tracks == tracks.tracks[2:]
    assert tracks.alone(1).tracks == tracks.tracks[1:2]


def test_nobody_is_nobody() -> None:
    tracks = followed([np.full((60, 80, 3), 90, np.uint8)] * 3)
    assert (tracks.tracks, tracks.count, tracks.shots) == ((), 3, (0,))
    nothing = finish(tracking.follow(()))
    assert (nothing.tracks, nothing.count) == ((), 0)


@pytest.fixture
def some() -> Tracks:
    """Two people, made up."""
    meshes = {number: mesh() + np.float32(number) for number in (3, 4, 5, 9)}
    tracks = track_of(1, 0, meshes, 0, 20, (400, 400)), track_of(2, 1, {30: mesh()}, 20, 31, (400, 400))
    return Tracks(tracks, (0, 20), 31)


def test_tracks_come_back_from_their_file(some: Tracks, tmp_path: Path) -> None:
    some.save(tmp_path / "tracks.npz")
    again = Tracks.load(tmp_path / "tracks.npz")
    assert (again.shots, again.count, again.lost) == (some.shots, some.count, some.lost)
    for one, other in zip(some.tracks, again.tracks, strict=True):
        assert (one.person, one.shot) == (other.person, other.shot)
        assert all(
            np.array_equal(getattr(one, name), getattr(other, name)) for name in ("indexes", "points", "seen")
        )


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 broken", b"no archive"])
def test_a_file_of_something_else_is_told(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tracks.npz"
    path.write_bytes(data)
    with pytest.raises((ValueError, KeyError, OSError)):
        Tracks.load(path)


def test_memory_does_not_hold_the_points_of_each_frame(tmp_path: Path) -> None:
    path, one = tmp_path / "tracks.npz", mesh()

    def peak(count: int) -> int:
        tracemalloc.start()
        meshes = StoredMeshes(PointFile(), {})
        for number in range(count):
            meshes[number] = one + np.float32(number % 9)
        track = track_of(1, 0, meshes, 0, count, (400, 400))
        Tracks((track,), (0,), count).save(path)
        (again,) = Tracks.load(path).tracks
        assert track.key == again.key
        assert track.side == again.side
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)  # what is loaded once
    assert peak(3000) - peak(1000) < 2000 * one.nbytes / 4


def test_points_in_a_file_are_read_as_from_an_array() -> None:
    points = np.random.default_rng(0).uniform(0, 90, (600, 468, 2)).astype(np.float32)
    file = PointFile()
    file.extend(points[:5])
    stored = file.extend(points)
    file.add(points[0])
    assert len(stored) == 600
    every: list[int | slice | list[int]] = [3, -1, slice(4, 9), slice(None), slice(9, 9), [7, 2, 2], []]
    for which in every:
        assert np.array_equal(stored[which], points[which])
    assert np.array_equal(np.concatenate([*blocks(stored)]), points)
    assert np.array_equal([*backwards(stored)], points[::-1])
    there = pickle.loads(pickle.dumps(stored))  # as another process is given it
    assert isinstance(there, np.ndarray)
    assert np.array_equal(there, points)
    with pytest.raises(IndexError):
        stored[600]


def test_what_follows_faces_keeps_their_points_in_a_file() -> None:
    follower = tracking.Follower()
    for number in range(2):
        follower.take(number, frame(number))
    tracks = follower.finish()
    assert all(isinstance(trail.meshes, StoredMeshes) for trail in follower.trails)
    assert all(isinstance(track.points, StoredPoints) for track in tracks.tracks)
    assert len(tracks.tracks) == 1


def test_gaps_are_filled_from_both_sides(some: Tracks) -> None:
    first, second = some.tracks
    assert first.indexes.tolist() == list(range(9 + CARRIED + 1))  # 0 to 2 and 10 to 15 are carried
    assert np.flatnonzero(first.seen).tolist() == [3, 4, 5, 9]
    assert first.gaps == [(0, 2), (6, 8), (10, 15)]
    points = first.points - mesh()
    assert np.allclose(points[0], points[3], atol=0.6)
    assert points[4].mean() < points[6].mean() < points[8].mean() < points[9].mean()
    assert second.indexes.tolist() == [24, 25, 26, 27, 28, 29, 30]  # not beyond its shot


def test_who_walks_out_of_the_picture_is_not_lost() -> None:
    meshes = {number: mesh() - np.float32(mesh().min() - 1) for number in (3, 4)}
    track = track_of(1, 0, meshes, 0, 20, (400, 400))
    assert track.indexes.tolist() == [3, 4]
    assert not track.gaps


def trembling(moves: Iterator[float], tremor: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, tremor, (40, 468, 2))
    return np.array([mesh() + move for move in moves], np.float32) + noise.astype(np.float32)


def test_tremor_is_smoothed_and_movement_is_not() -> None:
    still = trembling((0.0 for _ in range(40)), 0.3)
    assert np.stack([*smoothed(still)])[5:-5].std(0).mean() < 0.5 * still.std(0).mean()
    fast = trembling((4.0 * number for number in range(40)), 0.0)
    assert np.abs(np.stack([*smoothed(fast)]) - fast)[5:-5].max() < 0.4  # of 4 pixels a frame
    one = still[:1]
    assert np.array_equal([*smoothed(one)], one)


def test_shapes_are_compared_without_place_size_and_tilt() -> None:
    angle = 0.4
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    moved = (3 * mesh() @ turn + (50, -20)).astype(np.float32)
    first, other, wider = normalised(np.stack([mesh(), moved, mesh() * np.float32((1.2, 1))]))
    assert np.allclose(first, other, atol=1e-3)
    assert np.abs(first - wider).max() > 0.05


def test_a_face_knows_how_it_is_turned() -> None:
    assert face_of(mesh()).turn == 0
    clockwise = np.stack([SIZE - mesh()[:, 1], mesh()[:, 0]], 1)
    assert face_of(clockwise).turn == 1
    assert face_of(SIZE - mesh()).turn == 2


def test_runs_of_numbers() -> None:
    assert runs(np.array([1, 2, 3, 7, 9, 10])) == [(1, 3), (7, 7), (9, 10)]
    assert runs(np.array([], int)) == []


def test_the_key_shows_the_usual_shape() -> None:
    odd = mesh() * np.float32((1.3, 1))
    points = np.stack([odd, mesh(), mesh(), mesh(), mesh()])
    track = MeshTrack(1, 0, np.arange(10, 15), points, np.array([True, True, False, True, True]))
    assert track.key in (11, 13, 14)
