"""One change hides a face that moves, in every frame; what is before the face stays as it is."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from veil.attacks import recognizer
from veil.attacks.ensemble import person_embedding
from veil.attacks.faces.detection import find_faces
from veil.attacks.faces.tracking import mesh_at
from veil.attacks.faces.tracks import Mesh, MeshTrack, Tracks, face_of
from veil.attacks.faces.transforms import inverse
from veil.core.errors import BadSettings
from veil.core.images import to_tensor
from veil.core.progress import finish
from veil.core.types import Photo, Pixels, Sighting, Stage, Step
from veil.privacy.key_frames import CHECKED, VIEWED, chosen_of
from veil.privacy.mesh_placement import OPENINGS, triangulated, with_ring
from veil.privacy.occlusion import Appearance, lines_of
from veil.privacy.settings import settings
from veil.privacy.video import ClipChange, TrackChange, find_changes, render

COUNT, SIZE = 8, 240
QUICK = {"surrogates": ("mobileface",), "embedding_steps": 1}


def to_frame(index: int) -> np.ndarray:
    """The transform (2, 3) from the astronaut to a frame: the face turns, grows and moves."""
    angle, scale = 0.05 * (index - 3), 1 + 0.03 * index
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.hstack([linear, (np.array([120 + 2 * index, 115]) - linear @ (224, 110))[:, None]])


@cache
def frame(index: int) -> Pixels:
    back = inverse(to_frame(index))
    image = Image.fromarray(astronaut())
    moved = image.transform((SIZE, SIZE), Image.Transform.AFFINE, back.ravel(), Image.Resampling.BICUBIC)
    return np.asarray(moved)


@cache
def mesh() -> Mesh:
    found = mesh_at(astronaut(), find_faces(astronaut())[0])
    assert found is not None
    return found


@pytest.fixture
def tracks() -> Tracks:
    """The track of the face, exactly."""
    points = [mesh() @ to_frame(n)[:, :2].T + to_frame(n)[:, 2] for n in range(COUNT)]
    track = MeshTrack(1, 0, np.arange(COUNT), np.array(points, np.float32), np.ones(COUNT, bool))
    return Tracks((track,), (0,), COUNT + 1)


def frames_of(wanted: Collection[int]) -> Iterator[tuple[int, Pixels]]:
    return ((index, frame(index)) for index in wanted)


@pytest.fixture
def flat(tracks: Tracks) -> ClipChange:
    """A change of one brightness."""
    points = tracks.tracks[0].points[3].astype(float)
    low, side = points.min(0) - 30, float((points.max(0) - points.min(0)).max()) + 60
    source = (with_ring(points) - low) * 128 / side
    lines = TrackChange(torch.full((1, 3, 128, 128), 0.1), source, triangulated(source), 0.0)
    shown = [lines_of(frame(n), lines.placement(tracks.tracks[0].points[n])) for n in range(COUNT)]
    return ClipChange(tracks, (replace(lines, appearance=Appearance.of(shown)),))


@pytest.mark.slow
def test_one_change_hides_a_face_that_moves_in_every_frame(tracks: Tracks, tmp_path: Path) -> None:
    steps: list[Step] = []
    chosen = settings("strong", steps=14, **QUICK)
    change = finish(find_changes(frames_of, tracks, chosen), steps.append)
    assert {step.stage for step in steps} == {
        Stage.GETTING_READY,
        Stage.LEARNING_EMBEDDINGS,
        Stage.PROTECTING,
    }
    one = recognizer("mobileface")
    faces = [face_of(tracks.tracks[0].points[index]) for index in range(COUNT)]
    own = person_embedding(one, [(to_tensor(frame(n)), face) for n, face in enumerate(faces)])
    left: list[float] = []
    for index, face in enumerate(faces):
        clean, after = (
            float(one.embed(one.align(to_tensor(pixels), face))[0] @ own)
            for pixels in (frame(index), render(frame(index), index, change))
        )
        assert clean > 0.95
        left.append(after)
    assert max(left) < 0.75
    assert max(left) - min(left) < 0.25
    change.save(tmp_path / "change.npz")
    again = ClipChange.load(tmp_path / "change.npz", tracks)
    assert again.margins == change.margins
    assert np.array_equal(render(frame(2), 2, again), render(frame(2), 2, change))


@pytest.mark.slow
def test_a_change_is_kept_apart_from_an_album(tracks: Tracks) -> None:
    chosen = settings("strong", steps=6, **QUICK)
    alone = finish(find_changes(frames_of, tracks, chosen))
    face = face_of(tracks.tracks[0].points[3])
    shown = Photo(render(frame(3), 3, alone), "the album's")
    apart = finish(find_changes(frames_of, tracks, chosen, album={1: (Sighting(shown, face),)}))
    one = recognizer("mobileface")
    there = one.embed(one.align(to_tensor(shown.pixels), face))[0]
    linked = [
        float(one.embed(one.align(to_tensor(render(frame(3), 3, change)), face))[0] @ there)
        for change in (alone, apart)
    ]
    assert linked[0] > 0.99
    assert linked[1] < linked[0] - 0.05  # in six steps
    other = finish(find_changes(frames_of, tracks, chosen, album={2: (Sighting(shown, face),)}))
    assert torch.equal(other.changes[0].change, alone.changes[0].change)


@pytest.mark.slow
def test_a_change_is_kept_in_another_shot_where_it_holds(tracks: Tracks) -> None:
    track = tracks.tracks[0]
    chosen = settings(steps=3, **QUICK)
    later = replace(track, shot=1, indexes=track.indexes[:4], points=track.points[:4], seen=track.seen[:4])
    first = finish(find_changes(frames_of, tracks, chosen))

    def steps_of(known: ClipChange) -> list[Stage]:
        steps: list[Step] = []
        finish(find_changes(frames_of, replace(tracks, tracks=(later,)), chosen, [known]), steps.append)
        return [step.stage for step in steps]

    assert steps_of(first) == [Stage.GETTING_READY]
    better = replace(
        first, changes=(replace(first.changes[0], margin=0.0, change=first.changes[0].change * 0),)
    )
    assert Stage.PROTECTING in steps_of(better)


def test_a_frame_is_drawn_alone_and_never_written_into(flat: ClipChange) -> None:
    pixels = frame(5).copy()
    result = render(pixels, 5, flat)
    assert np.array_equal(pixels, frame(5))
    assert np.array_equal(result, render(pixels, 5, flat))
    assert render(pixels, COUNT, flat) is pixels  # a frame that does not show the face
    difference = result.astype(int) - pixels
    nose = flat.tracks.tracks[0].points[5][4].round().astype(int)
    assert difference[nose[1], nose[0]].max() > 20
    assert not difference[:5].any()
    for places in OPENINGS[:2]:
        x, y = flat.tracks.tracks[0].points[5][list(places)].mean(0).round().astype(int)
        assert difference[y, x].max() < 15


def test_what_is_before_a_face_is_not_changed(flat: ClipChange) -> None:
    """Stripes, as fingers have them, over a cheek."""
    points = flat.tracks.tracks[0].points[4]
    x, y = points[50].round().astype(int)
    pixels = frame(4).copy()
    stripes = np.where(np.arange(30) % 10 < 5, 225, 90).astype(np.uint8)
    pixels[y - 15 : y + 15, x - 15 : x + 15] = stripes[:, None, None]
    hidden, free = (
        (render(one, 4, flat).astype(int) - one)[y - 8 : y + 9, x - 8 : x + 9].mean()
        for one in (pixels, frame(4))
    )
    assert free > 20
    assert hidden < free / 2
    there = points[280].round().astype(int)  # the other cheek
    assert (render(pixels, 4, flat).astype(int) - pixels)[there[1], there[0]].min() > 15


def test_nothing_known_hides_nothing(flat: ClipChange) -> None:
    placement = flat.changes[0].placement(flat.tracks.tracks[0].points[0])
    assert float(Appearance().visible(frame(0), placement).min()) == 1


def test_views_differ_and_checks_lie_between(tracks: Tracks) -> None:
    (track,) = tracks.tracks
    count = 60
    points = np.repeat(track.points[:1], count, 0)
    points[:, :, 0] *= np.linspace(0.8, 1.2, count)[:, None]  # it turns
    long = replace(track, indexes=np.arange(100, 100 + count), points=points, seen=np.arange(count) != 7)
    order = chosen_of(long)
    assert order[0] == long.key
    assert len(set(order)) == len(order) == VIEWED + CHECKED
    assert {100, 159} < set(order[:VIEWED])
    assert 107 not in order
    assert chosen_of(replace(long, seen=np.arange(count) == 7)) == [107]


@pytest.mark.parametrize("changes", [{"method": "pgd"}, {"goal": "impersonate"}])
def test_what_there_is_not_for_videos_is_told(changes: dict[str, str], tracks: Tracks) -> None:
    with pytest.raises(BadSettings, match="Videos"):
        finish(find_changes(frames_of, tracks, settings(**changes)))


@pytest.mark.parametrize("data", [b"", b"no archive"])
def test_a_file_of_something_else_is_told(data: bytes, tracks: Tracks, tmp_path: Path) -> None:
    (tmp_path / "change.npz").write_bytes(data)
    with pytest.raises((ValueError, KeyError, OSError)):
        ClipChange.load(tmp_path / "change.npz", tracks)
