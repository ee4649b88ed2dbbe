"""The recipe of robust copies: attacks stay within their radius, and networks learn to bear them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from insightface.data import get_image
from PIL import Image, ImageOps
from safetensors.torch import load_file
from skimage.data import astronaut
from torch import Generator, Tensor

from veil.attacks import recognizer
from veil.attacks.faces.detection import find_faces
from veil.core.images import to_tensor

BASE = "mobileface"
RECIPES = str(Path(__file__).parents[1] / "weights" / "recipes")


@pytest.fixture(scope="module")
def recipe() -> Iterator[ModuleType]:
    """The recipe, with the one whose session it uses."""
    sys.path.insert(0, RECIPES)
    import train_robust

    yield train_robust
    sys.path.remove(RECIPES)


@pytest.fixture(scope="module")
def faces() -> Tensor:
    """Crops (7, 3, 112, 112) of the astronaut and of a public photo of six people."""
    one, crops = recognizer(BASE), list[Tensor]()
    for pixels in (astronaut(), np.ascontiguousarray(get_image("t1")[..., ::-1])):
        crops += [one.align(to_tensor(pixels), face) for face in find_faces(pixels)]
    return torch.cat(crops).clamp(0, 1)


def learnt(recipe: ModuleType, file: Path, faces: Tensor, steps: int) -> torch.nn.Module:
    """So many steps of a copy, which goes on from its file, saved at the end."""
    learner = recipe.copied(BASE)
    session = recipe.Session(file, learner.network.requires_grad_(True), 1e-3, 0.9)
    for _ in range(steps):
        seen = recipe.varied(faces, session.generator)
        recipe.advance(session, recognizer(BASE), learner, seen, 1.0, 1e-3)
    session.save()
    return learner.network


def test_an_attack_turns_the_embedding_and_stays_within_its_radius(recipe: ModuleType, faces: Tensor) -> None:
    one = recognizer(BASE)
    aims = one.embed(faces)
    found = [
        recipe.attack(one, faces, aims, radius, 4, Generator().manual_seed(0)) for radius in (0.5, 1.0, 2.0)
    ]
    for change, radius in zip(found, (0.5, 1.0, 2.0), strict=True):
        assert change.flatten(1).norm(dim=1).numpy() == pytest.approx(radius, rel=1e-4)
    noise = torch.randn(faces.shape, generator=Generator().manual_seed(0))
    noise = noise / noise.flatten(1).norm(dim=1)[:, None, None, None]
    left = [float(recipe.cosines(one, faces + change, aims).mean()) for change in (noise, *found)]
    assert left == sorted(left, reverse=True)
    assert left[0] > 0.9
    assert left[2] < 0.75


@pytest.mark.slow
def test_a_copy_learns_to_bear_an_attack(recipe: ModuleType, faces: Tensor, tmp_path: Path) -> None:
    clean, copy = recognizer(BASE), recipe.copied(BASE)
    before = recipe.figures(copy, clean, faces, 1.0)
    own = {name: tensor.clone() for name, tensor in clean.network.state_dict().items()}  # pyright: ignore
    copy.network.load_state_dict(learnt(recipe, tmp_path / "copy.pt", faces, 30).state_dict())
    after = recipe.figures(copy, clean, faces, 1.0)
    assert before["clean"] == pytest.approx(1, abs=1e-3)
    assert after["attacked"] > before["attacked"] + 0.05
    assert after["clean"] > 0.8
    now = recognizer(BASE).network.state_dict()  # pyright: ignore
    assert all(torch.equal(now[name], tensor) for name, tensor in own.items())


def test_a_run_that_was_cut_goes_on_as_if_it_had_not_been(
    recipe: ModuleType, faces: Tensor, tmp_path: Path
) -> None:
    whole = learnt(recipe, tmp_path / "whole.pt", faces, 4)
    learnt(recipe, tmp_path / "cut.pt", faces, 2)
    resumed = learnt(recipe, tmp_path / "cut.pt", faces, 2)
    pairs = zip(whole.parameters(), resumed.parameters(), strict=True)
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in pairs)


def test_the_commands_cut_crops_and_write_a_copy_that_can_be_read(recipe: ModuleType, tmp_path: Path) -> None:
    folder, run = tmp_path / "faces" / "training" / "faker", tmp_path / "run"
    folder.mkdir(parents=True)
    photo = Image.fromarray(astronaut())
    for name, picture in {
        "a": photo,
        "b": ImageOps.mirror(photo),
        "c": photo.crop((0, 300, 512, 512)),
    }.items():
        picture.save(folder / f"{name}.jpg", quality=95)
    recipe.crops(tmp_path / "faces", run, [BASE])
    cut = np.load(run / f"{BASE}.npy")
    assert cut.shape == (2, recipe.VARIANTS, 3, 112, 112)  # the third shows no face
    face = find_faces(astronaut())[0]
    expected = recognizer(BASE).align(to_tensor(astronaut()), face)
    assert np.abs(cut[0, 0] / 255 - expected[0].numpy()).mean() < 0.02

    recipe.train(BASE, run, radius=1.0, minutes=1e-3, batch=2)
    copy = recipe.copied(BASE)
    copy.network.load_state_dict(load_file(run / "radius-1" / f"{BASE}.safetensors"))
    crops = torch.from_numpy(cut[:, 0]).float() / 255
    assert not copy.network[0].weight.requires_grad
    assert (copy.embed(crops) * recognizer(BASE).embed(crops)).sum(1).min() > 0.9
    assert not list(run.rglob("*.part"))
