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
from veil.attacks.networks import blazeface, emotion, facemesh
from veil.attacks.recognizers.base import copy_on
from veil.core.images import to_tensor
from veil.core.types import Face
from veil.eval.disturbances.codec import coded
from veil.weights.registry import cards

ROOT = Path(__file__).parents[1]
NETWORKS = {"emotion": emotion, "facemesh": facemesh, "blazeface": blazeface}
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
    assert all(cards()[name].kind != "recogniser" for name in NETWORKS)


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
