"""Faces are found at any size, and crops are cut where they should be, differentiably."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from insightface.data import get_image
from PIL import Image
from skimage.data import astronaut, checkerboard
from torch.nn import functional

from veil.attacks import packaged, recognizer
from veil.attacks.faces import detection
from veil.attacks.faces.detection import find_faces, largest_face, search
from veil.attacks.faces.found import SMALLEST
from veil.attacks.faces.sampling import sampled, warp
from veil.attacks.faces.transforms import ARCFACE, box_transform, inverse, template_transform, umeyama
from veil.core.errors import NoFace
from veil.core.images import to_tensor
from veil.core.types import Array, Face, Pixels

TURN = np.array([[0.8, -0.6, 5.0], [0.6, 0.8, -3.0]])


def test_every_face_of_a_group_is_found_the_largest_first() -> None:
    faces = find_faces(np.ascontiguousarray(get_image("t1")[..., ::-1]))
    sides = [face.side for face in faces]
    assert sum(side > SMALLEST for side in sides) >= 6
    assert sides == sorted(sides, reverse=True)
    for face in faces:
        assert np.all(face.points > face.box[:2] - 0.1 * face.side)
        assert np.all(face.points < face.box[2:] + 0.1 * face.side)


@pytest.mark.slow
def test_a_large_photo_gives_the_same_face_in_its_own_pixels() -> None:
    small = astronaut()
    large = np.asarray(Image.fromarray(small).resize((4096, 4096), Image.Resampling.LANCZOS))
    face, same = largest_face(small), largest_face(large)
    eyes = float(np.linalg.norm(face.points[1] - face.points[0]))
    stray = np.linalg.norm(same.points / 8 - face.points, axis=1) / eyes
    assert stray.max() < 0.06


@pytest.mark.slow
def test_a_small_face_in_a_large_photo_is_found() -> None:
    wide = np.full((3000, 4000, 3), 90, np.uint8)
    wide[1800:2200, 2500:2900] = np.asarray(Image.fromarray(astronaut()[:400, 50:450]))
    face = largest_face(wide)
    assert 2500 < face.points[:, 0].mean() < 2900
    assert 1800 < face.points[:, 1].mean() < 2200


def portraits() -> list[Image.Image]:
    """Six people, each about the face, 240 pixels a side."""
    group = Image.fromarray(np.ascontiguousarray(get_image("t1")[..., ::-1]))
    found = find_faces(np.asarray(group))[:6]
    boxes = [face.box + 0.6 * face.side * np.array([-1, -1, 1, 1]) for face in found]
    return [group.crop(tuple(box)).resize((240, 240)) for box in boxes]


@pytest.mark.slow
@pytest.mark.parametrize("size", [(14000, 2000), (2000, 14000)])
def test_every_face_of_a_panorama_is_found(size: tuple[int, int]) -> None:
    photo, corners = Image.new("RGB", size, (90, 110, 130)), list[tuple[int, int]]()
    for index, portrait in enumerate(portraits()):
        along, across = 300 + 2250 * index, 250 * index + 100
        corners.append((along, across) if size[0] > size[1] else (across, along))
        photo.paste(portrait, corners[-1])
    faces = find_faces(np.asarray(photo))
    middles = [face.points.mean(0) for face in faces]
    assert len(faces) == len(corners)
    for left, top in corners:
        assert any(left < x < left + 240 and top < y < top + 240 for x, y in middles)


def turned(points: Array, turn: int, wide: int, high: int) -> Array:
    """Where points of a picture lie after it was turned clockwise by quarters."""
    for _ in range(turn):
        points, wide, high = np.stack([high - 1 - points[:, 1], points[:, 0]], 1), high, wide
    return points


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_turned_face_is_found_as_if_it_were_upright(turn: int) -> None:
    upright = astronaut()[:400]
    photo = np.ascontiguousarray(np.rot90(upright, -turn))
    face, faces = largest_face(upright), find_faces(photo)
    expected = turned(face.points, turn, 512, 400)
    assert [one.turn for one in faces] == [turn]
    assert np.linalg.norm(faces[0].points - expected, axis=1).max() < 0.1 * face.eyes
    for name in packaged():
        judge = recognizer(name)
        crops = judge.align(to_tensor(upright), face), judge.align(to_tensor(photo), faces[0])
        one, other = (judge.embed(crop)[0] for crop in crops)
        assert float(one @ other) > 0.93, name


def test_turned_and_upright_faces_share_a_photo() -> None:
    photo = np.full((900, 900, 3), 120, np.uint8)
    portrait = astronaut()[:300, 80:380]
    places = {0: (30, 40), 1: (520, 30), 3: (60, 530), 2: (550, 560)}
    for turn, (left, top) in places.items():
        photo[top : top + 300, left : left + 300] = np.rot90(portrait, -turn)
    expected = largest_face(portrait)
    found = {face.turn: face for face in find_faces(photo)}
    assert found.keys() == places.keys()
    for turn, face in found.items():
        spots = turned(expected.points, turn, 300, 300) + places[turn]
        assert np.linalg.norm(face.points - spots, axis=1).max() < 0.15 * expected.eyes


@pytest.mark.parametrize(("around", "looks"), [(50, 1), (5, 2), (120, 4)])
def test_a_face_is_looked_at_no_oftener_than_it_needs(
    around: int, looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once where it fills its photo, again where the border may cut it, turned where others may lie."""
    box = largest_face(astronaut()).box + around * np.array([-1, -1, 1, 1])
    photo = astronaut()[max(0, round(box[1])) : round(box[3]), round(box[0]) : round(box[2])]
    seen, detect = list[int](), detection._detect

    def counted(pictures: Pixels, *rest: float) -> list[list[Face]]:
        seen.append(len(pictures))
        return detect(pictures, *rest)

    monkeypatch.setattr(detection, "_detect", counted)
    assert len(find_faces(photo)) == 1
    assert sum(seen) == looks


@pytest.mark.parametrize("turn", [1, 2, 3])
@pytest.mark.parametrize("beside", [False, True])
def test_a_small_turned_face_is_found(turn: int, beside: bool) -> None:
    """Of 36 pixels, alone or beside one that stands upright and is hidden for that."""
    photo = np.full((500, 640, 3), 120, np.uint8)
    side = round(512 * 36 / largest_face(astronaut()).side)
    small = np.asarray(Image.fromarray(astronaut()).resize((side, side), Image.Resampling.BOX))
    photo[280 : 280 + side, 400 : 400 + side] = np.rot90(small, -turn)
    if beside:
        photo[40:340, 40:340] = astronaut()[:300, 80:380]
    assert sorted(face.turn for face in find_faces(photo)) == ([0, turn] if beside else [turn])


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_square_turns_with_its_face(turn: int) -> None:
    upright = np.random.default_rng(0).integers(0, 255, (90, 70, 3), dtype=np.uint8)
    face = Face(np.array([10.0, 20.0, 50.0, 70.0]), np.zeros((5, 2)))
    corners = turned(face.box.reshape(2, 2) - 0.5, turn, 70, 90) + 0.5
    box = np.concatenate([corners.min(0), corners.max(0)])
    photo = np.ascontiguousarray(np.rot90(upright, -turn))
    cut = [
        warp(to_tensor(pixels), box_transform(one.box, 0.1, 32, one.turn), 32)
        for pixels, one in ((upright, face), (photo, Face(box, face.points, turn=turn)))
    ]
    assert torch.allclose(*cut, atol=1e-4)


@pytest.mark.parametrize(
    "box", [(0, 100, 512, 512), (0, 0, 512, 145), (205, 0, 512, 512), (0, 0, 245, 512), (0, 110, 512, 512)]
)
def test_a_face_that_the_border_cuts_keeps_its_points(box: tuple[int, int, int, int]) -> None:
    whole = largest_face(astronaut())
    face = largest_face(np.asarray(Image.fromarray(astronaut()).crop(box)))
    stray = np.linalg.norm(face.points + box[:2] - whole.points, axis=1)
    assert stray.max() < 0.2 * whole.eyes


@pytest.mark.slow
def test_what_only_one_detector_takes_for_a_face_is_listed_apart() -> None:
    """Toys on the table of insightface's group photo: MTCNN gives them .87."""
    found = search(np.ascontiguousarray(get_image("t1")[..., ::-1]))
    assert len(found.faces) == 6
    assert min(face.side for face in found.faces) > 80
    pattern = found.doubtful[0]
    assert pattern.side > SMALLEST
    assert found.reason(7) == "taken for no face"
    assert 7 not in found.protectable


@pytest.mark.parametrize(("size", "reason"), [(36, "not chosen"), (26, "too small")])
def test_small_faces_are_found_and_named(size: int, reason: str) -> None:
    side = round(512 * size / largest_face(astronaut()).side)
    photo = np.full((700, 900, 3), 120, np.uint8)
    small = Image.fromarray(astronaut()).resize((side, side), Image.Resampling.BOX)
    photo[300 : 300 + side, 400 : 400 + side] = np.asarray(small)
    found = search(photo)
    assert len(found.faces) == 1
    assert found.reason(1) == reason


@pytest.mark.slow
def test_a_huge_photo_is_searched_without_a_copy_of_it_in_floats() -> None:
    script = (
        "import resource, numpy as np\n"
        "from skimage.data import astronaut\n"
        "from veil.attacks.faces.detection import find_faces\n"
        "find_faces(astronaut())\n"
        "photo = np.full((9000, 12000, 3), 120, np.uint8)\n"
        "photo[4000:4512, 8000:8512] = astronaut()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "faces = find_faces(photo)\n"
        "print(len(faces), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    count, kilobytes = map(int, answer.stdout.split())
    assert count == 1
    assert kilobytes < 12000 * 9000 * 3 * 4 / 1024 / 2


def test_no_face_is_an_error_with_a_hint() -> None:
    with pytest.raises(NoFace) as caught:
        largest_face(np.repeat(checkerboard()[..., None], 3, axis=2).astype(np.uint8))
    assert caught.value.hint


def test_a_similarity_is_found_again_and_undone() -> None:
    points = np.random.default_rng(0).normal(size=(5, 2)) * 50
    moved = 1.7 * points @ TURN[:, :2].T + TURN[:, 2]
    found = umeyama(points, moved)
    assert np.allclose(found[:, :2], 1.7 * TURN[:, :2])
    assert np.allclose(found[:, 2], TURN[:, 2])
    back = inverse(found)
    assert np.allclose(moved @ back[:, :2].T + back[:, 2], points)


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    points = ARCFACE * 112
    found = umeyama(points, points * [-1, 1])
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
    into = inverse(template_transform(face, ARCFACE, 112))
    landed = face.points @ into[:, :2].T + into[:, 2]
    assert np.abs(landed - (ARCFACE * 112 - 0.5)).max() < 8


def test_a_square_holds_the_box() -> None:
    face = Face(np.array([10.0, 20.0, 110.0, 150.0]), np.zeros((5, 2)))
    matrix = box_transform(face.box, 0.0, 224, face.turn)
    low, high = (np.array([x, x]) for x in (-0.5, 223.5))
    assert np.allclose(matrix[:, :2] @ low + matrix[:, 2], [-5.5, 19.5])
    assert np.allclose(matrix[:, :2] @ high + matrix[:, 2], [124.5, 149.5])


def test_gradients_reach_the_pixels_under_the_crop_and_no_others() -> None:
    image = to_tensor(astronaut()).requires_grad_()
    face = largest_face(astronaut())
    warp(image, template_transform(face, ARCFACE, 112), 112).sum().backward()
    assert image.grad is not None
    touched = image.grad.abs().sum((0, 1)) > 0
    x, y = face.points[2].round().astype(int)
    assert touched[y, x]
    assert not touched[400:].any()


def test_a_face_moves_with_its_image() -> None:
    face = Face(np.array([0.0, 0.0, 10.0, 20.0]), np.ones((5, 2)), 0.9).transformed(2, 3, -1)
    assert face.box.tolist() == [3, -1, 23, 39]
    assert face.points[0].tolist() == [5, 1]
    assert face.side == 20


@pytest.mark.parametrize("size", [(30, 30), (400, 15), (8000, 100), (60, 3000)])
def test_where_no_face_fits_none_is_found(size: tuple[int, int]) -> None:
    grey = np.asarray(Image.effect_noise(size, 80).convert("RGB"))
    assert find_faces(grey) == []
