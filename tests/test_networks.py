"""The judge's other networks compute what their original runtime does, and work on real faces."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from insightface.data import get_image
from skimage.data import astronaut, checkerboard
from torch import Tensor

from veil.attacks import recognizer
from veil.attacks.faces.detection import around, find_faces, largest_face
from veil.attacks.networks import blazeface, blendshapes, emotion, facemesh, hands, irismesh, pose
from veil.attacks.networks.graph import graph
from veil.attacks.recognizers.base import copy_on
from veil.core.images import to_tensor
from veil.core.types import Face
from veil.eval.disturbances.codec import coded
from veil.weights.registry import cards

ROOT = Path(__file__).parents[1]
NETWORKS = {"emotion": emotion, "facemesh": facemesh, "blazeface": blazeface}
GRAPHS = {"irismesh": 256, "palm": 192, "hand": 224, "pose": 256}  # the sides of their inputs
BEHAVIOUR = (*GRAPHS, "blendshapes")
WORSE = coded(astronaut(), "JPEG", 70)


@pytest.fixture(scope="module")
def face() -> Face:
    return largest_face(astronaut())


def away(one: np.ndarray, other: np.ndarray, face: Face) -> np.ndarray:
    """How far points lie from others, in distances of the eyes."""
    return np.linalg.norm(one - other, axis=1) / np.linalg.norm(face.points[1] - face.points[0])


@pytest.mark.parametrize("name", NETWORKS)
def test_values_match_the_original_runtime(name: str) -> None:
    """The fixture was recorded from TensorFlow.js by the recipe that is run here."""
    recipe = runpy.run_path(str(ROOT / "weights/recipes/record_references.py"))
    reference = torch.from_numpy(np.load(ROOT / "tests/data/recognizers.npz")[name])
    found: Tensor | tuple[Tensor, ...] = NETWORKS[name].network()(
        torch.from_numpy(recipe["prepared"](name)).permute(0, 3, 1, 2)
    )
    values = found if isinstance(found, Tensor) else torch.cat([part.flatten(1) for part in found], 1)
    assert reference.std() > 0.1
    torch.testing.assert_close(values, reference, rtol=0, atol=0.001)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_loaded_once_and_frozen(name: str) -> None:
    network = NETWORKS[name].network()
    assert network is NETWORKS[name].network()
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_they_stay_small_and_are_no_recognisers() -> None:
    assert sum(cards()[name].bytes for name in NETWORKS) < 3 * 2**20
    assert sum(cards()[name].bytes for name in BEHAVIOUR) < 12e6
    assert all(cards()[name].kind != "recogniser" for name in (*NETWORKS, *BEHAVIOUR))


@pytest.mark.parametrize("name", GRAPHS)
@torch.no_grad()
def test_graphs_match_the_original_runtime(name: str) -> None:
    """The fixture was recorded from LiteRT by weights/recipes/convert_graphs.py."""
    reference = torch.from_numpy(np.load(ROOT / "tests/data/graphs.npz")[name])
    recipe = runpy.run_path(str(ROOT / "weights/recipes/record_references.py"))
    pictures = torch.from_numpy(recipe["pictures"](GRAPHS[name])).permute(0, 3, 1, 2) / 255
    values = torch.cat([part.flatten(1) for part in graph(name)(pictures)], 1)
    assert reference.std() > 10
    torch.testing.assert_close(values, reference, rtol=0, atol=0.005)


@torch.no_grad()
def test_blendshapes_match_the_original_runtime() -> None:
    reference = torch.from_numpy(np.load(ROOT / "tests/data/graphs.npz")["blendshapes"])
    points = torch.from_numpy(np.random.default_rng(0).uniform(0, 500, (3, 146, 2))).float()
    assert reference.std() > 0.1
    torch.testing.assert_close(blendshapes.network()(points), reference, rtol=0, atol=0.0001)


def test_blendshapes_see_a_smile_of_any_size_and_place(face: Face) -> None:
    found = irismesh.mesh(to_tensor(astronaut()), irismesh.first_crop(face))
    assert found.score > 0.99
    points = torch.from_numpy(found.points).float()[None]
    values, moved = (blendshapes.blendshapes(each)[0] for each in (points, 3 * points + 50))
    torch.testing.assert_close(values, moved, rtol=0, atol=0.001)
    smile = [blendshapes.NAMES.index(f"mouthSmile{side}") for side in ("Left", "Right")]
    assert values[smile].min() > 0.8
    assert values[blendshapes.NAMES.index("eyeBlinkLeft")] < 0.2


def test_the_second_mesh_agrees_with_the_first_and_follows(face: Face) -> None:
    image = to_tensor(astronaut())
    found = irismesh.mesh(image, irismesh.first_crop(face))
    (other,) = facemesh.landmarks(image, face).numpy()
    assert away(found.points[:468, :2], other, face).mean() < 0.06
    again = irismesh.mesh(image, irismesh.next_crop(found.points))
    assert away(again.points[:, :2], found.points[:, :2], face).mean() < 0.04
    for iris, corners in ((468, (33, 133)), (473, (362, 263))):
        assert corners[0] < 468 < found.points.shape[0]
        assert found.points[corners[0], 0] < found.points[iris, 0] < found.points[corners[1], 0]
    nothing = irismesh.mesh(torch.zeros(1, 3, 256, 256), np.eye(2, 3))
    assert nothing.score < 0.5


def test_a_body_is_found_from_its_face(face: Face) -> None:
    image = to_tensor(astronaut())
    found = pose.body(image, pose.crop_below(face))
    assert found.score > 0.9
    left, right = found.points[[*pose.SHOULDERS]]
    assert right[0] < face.points[:, 0].min() < face.points[:, 0].max() < left[0]
    assert min(left[1], right[1]) > face.box[3]
    assert np.linalg.norm(found.points[0] - face.points[2]) < face.side / 4  # the nose
    assert found.visible[[*pose.SHOULDERS]].min() > 0.9
    aside = pose.body(image, pose.crop_below(face.transformed(1, 5, 3)))
    assert away(aside.points[[*pose.SHOULDERS]], found.points[[*pose.SHOULDERS]], face).max() < 0.5
    nothing = pose.body(torch.zeros(1, 3, 256, 256), np.eye(2, 3))
    assert nothing.score < 0.5


def test_no_hands_are_found_where_there_are_none() -> None:
    assert hands.find_hands(torch.full((1, 3, 200, 300), 0.5)) == []
    assert hands.find_hands(to_tensor(astronaut())) == []


def test_hands_of_a_clip_are_found() -> None:
    """A signer's, where `../shared/clips` is present."""
    clip = ROOT.parent / "shared/clips/slovo_signing.mp4"
    if not clip.is_file():
        pytest.skip("no ../shared/clips")
    av = pytest.importorskip("av")
    with av.open(str(clip)) as opened:
        frames = (frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0))
        frame = next(frame for number, frame in enumerate(frames) if number == 40)
    found = hands.find_hands(to_tensor(frame))
    assert len(found) == 2
    raised = min(found, key=lambda hand: hand[:, 1].min())
    assert raised[[8, 12, 16], 1].max() < raised[0, 1]  # the tips of three fingers above the wrist


def test_a_smile_is_happy_and_stays_so(face: Face) -> None:
    for photo in (astronaut(), WORSE, astronaut()[:, ::-1].copy()):
        where = largest_face(photo) if photo is not WORSE else face
        values = emotion.expression(to_tensor(photo), where)[0]
        assert values.sum().item() == pytest.approx(1, abs=1e-4)
        assert emotion.EXPRESSIONS[int(values.argmax())] == "happy"


@pytest.mark.slow
def test_not_everybody_is_happy() -> None:
    group = np.ascontiguousarray(get_image("t1")[..., ::-1])
    read = {
        emotion.EXPRESSIONS[int(emotion.expression(to_tensor(group), one).argmax())]
        for one in find_faces(group)[:6]
    }
    assert {"happy", "neutral"} <= read


def test_the_mesh_lies_on_the_face_and_stays_there(face: Face) -> None:
    (mesh,) = facemesh.landmarks(to_tensor(astronaut()), face).numpy()
    assert mesh.shape == (468, 2)
    assert away(facemesh.five_points(mesh), face.points, face).max() < 0.1
    (again,) = facemesh.landmarks(to_tensor(WORSE), face).numpy()
    assert 0 < away(again, mesh, face).mean() < 0.01
    (aside,) = facemesh.landmarks(to_tensor(astronaut()[:, 60:]), face.transformed(1, -60, 0)).numpy()
    assert away(aside + [60, 0], mesh, face).max() < 0.01


def test_the_other_detector_finds_the_same_face(face: Face) -> None:
    for photo in (astronaut(), WORSE):
        (found,) = blazeface.find_faces(photo)
        assert away(found.points, face.points, face).max() < 0.1
        assert (found.box[:2] < face.points.min(0)).all()
        assert (found.box[2:] > face.points.max(0)).all()
    wide = np.pad(astronaut(), ((0, 0), (0, 300), (0, 0)))
    (found,) = blazeface.find_faces(wide)
    assert away(found.points, face.points, face).max() < 0.1


def test_the_other_detector_looks_at_one_face_from_close_by(face: Face) -> None:
    """Also where the face is small in the picture, or large."""
    expected = np.vstack([face.points[:3], face.points[3:].mean(0)])
    for reach in (0.7, 1.0, 1.6):
        part, scale, corner = around(astronaut(), face, reach, blazeface.CLOSE)
        score, four = blazeface.most_likely(part)
        assert score > 0.8
        assert away(four / scale + corner, expected, face).mean() < 0.15
    assert blazeface.most_likely(np.full((192, 192, 3), 127, np.uint8))[0] < 0.2


def test_the_other_detector_tells_faces_from_none() -> None:
    assert not blazeface.find_faces(np.repeat(checkerboard()[..., None], 3, axis=2).astype(np.uint8))
    group = blazeface.find_faces(np.ascontiguousarray(get_image("t1")[..., ::-1]))
    assert len(group) >= 4
    assert [one.side for one in group] == sorted((one.side for one in group), reverse=True)


def test_a_network_in_use_is_never_moved(face: Face) -> None:
    """One process may protect on a GPU and check on the CPU; "meta" stands for another device."""
    image, far = to_tensor(astronaut()), torch.device("meta")
    known = recognizer("mobileface")

    def looks(image: Tensor) -> tuple[Tensor, ...]:
        crop = known.align(image, face)
        return facemesh.landmarks(image, face), emotion.expression(image, face), known.embed(crop)

    before = looks(image)
    assert {look.device for look in looks(image.to(far))} == {far}
    for one, again in zip(before, looks(image), strict=True):
        torch.testing.assert_close(one, again, rtol=0, atol=0)
    assert copy_on(far, facemesh.network()) is copy_on(far, facemesh.network())
