"""What the script on ideas compares: objectives that do what their names say, and gains at equal quality."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from torch import Tensor

from veil.attacks import recognizer, views
from veil.attacks.ensemble import Ensemble
from veil.attacks.faces import find_faces
from veil.attacks.networks import blazeface
from veil.core.images import to_tensor
from veil.core.progress import finish
from veil.core.types import Face, Photo
from veil.eval import shards
from veil.privacy import latent as latents
from veil.privacy.canvas import cut
from veil.privacy.engine import find_start
from veil.privacy.looks import Looks
from veil.privacy.priors import prior
from veil.privacy.purification import PURIFIERS
from veil.privacy.settings import settings

NAMES = ("dlib", "mobileface")


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "try_ideas.py"))


def objective(kind: Callable[..., Ensemble]) -> tuple[Ensemble, Tensor]:
    """An objective on the astronaut, and a picture of her that is a little darker."""
    image = to_tensor(astronaut())
    (face,) = find_faces(astronaut())[:1]
    surrogates = [recognizer(name) for name in NAMES]
    return kind(surrogates, image, face, views=3), (0.9 * image).requires_grad_()


def test_the_rate_falls_to_nothing(script: dict[str, Any]) -> None:
    latent = torch.zeros(1).requires_grad_()
    moved: list[float] = []
    with script["settling"](4):
        optimizer = torch.optim.Adam([latent], 0.4, (0.7, 0.9))
    for _ in range(5):
        before = float(latent.detach())
        latent.grad = torch.ones(1)
        optimizer.step()
        moved.append(before - float(latent.detach()))
    assert moved == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0], abs=1e-4)


def test_leads_tell_of_every_surrogate(script: dict[str, Any]) -> None:
    apart, image = objective(script["Normalised"])
    plain, _ = objective(Ensemble)
    apart(image)
    plain(image)
    assert len(apart.leads) == len(NAMES)
    assert apart.lead == pytest.approx(plain.lead, abs=1e-3)


def test_gradients_get_one_length(script: dict[str, Any]) -> None:
    see, image = objective(script["Normalised"])
    (together,) = torch.autograd.grad(see(image), image)
    pulls: list[Tensor] = []
    for name in NAMES:
        alone, _ = objective(Ensemble)
        alone.parts = [part for part in alone.parts if part[0].name == name]
        pulls += torch.autograd.grad(alone(image), image)
    length = torch.stack([pull.norm() for pull in pulls]).mean()
    expected = sum((length / pull.norm() * pull for pull in pulls), torch.zeros_like(image))
    assert torch.allclose(together, expected, atol=1e-3 * float(expected.abs().max()))


def test_a_surrogate_is_left_out_of_a_step_and_comes_back(script: dict[str, Any]) -> None:
    see, image = objective(script["DroppedOut"])
    asked: set[str] = set()
    for _ in range(12):
        see(image)
        assert len(see.leads) == len(see.alike) == len(NAMES) - 1
        asked |= set(see.alike)
        assert len(see.parts) == len(NAMES)
    assert asked == set(NAMES)


def test_features_are_dropped_while_a_change_is_sought(script: dict[str, Any]) -> None:
    one = recognizer("mobileface")
    crops = to_tensor(astronaut())[..., 50:162, 150:262].requires_grad_()
    before = one.embed(crops)
    with script["dropped_features"]():
        assert not torch.allclose(one.embed(crops), before, atol=1e-2)
        with torch.no_grad():  # as the clean photo and the verdict are looked at
            assert torch.allclose(one.embed(crops), before, atol=1e-5)
    assert torch.allclose(one.embed(crops), before, atol=1e-5)


def test_a_purified_view_is_the_prior_s_and_passes_the_gradient_on(script: dict[str, Any]) -> None:
    pixels = astronaut()[:256, 96:352]
    image = to_tensor(pixels).requires_grad_()
    view = script["washed"](image, torch.Generator())
    assert torch.allclose(view, to_tensor(PURIFIERS["purify-150"](pixels)), atol=1e-5)
    assert not torch.allclose(view, image, atol=0.02)
    (pull,) = torch.autograd.grad(view.sum(), image)
    assert torch.equal(pull, torch.ones_like(image))


def test_views_are_aligned_by_the_other_detector(script: dict[str, Any]) -> None:
    photo = Photo(astronaut(), "astronaut.png")
    (face,), (other,) = find_faces(photo.pixels)[:1], blazeface.find_faces(photo.pixels)[:1]
    drawn: list[Face] = []

    def look(*_: object) -> None:
        seen = face.moved(0.5, 3.0, -2.0)  # as on a canvas of half the size
        drawn.append(views.jittered(seen, torch.Generator().manual_seed(0)))

    with patch.dict(script["with_views"].__globals__, plainly=look), patch.object(views, "JITTER", 0.0):
        script["aligned_by_another"](photo, face, None)
    assert np.allclose(drawn[0].points, 0.5 * other.points + (3, -2))
    assert not np.allclose(drawn[0].points, 0.5 * face.points + (3, -2), atol=0.5)


def test_the_pull_is_towards_somebody_who_does_not_exist(script: dict[str, Any]) -> None:
    few = script["nobody"](4)
    assert 2 <= len(few) <= 4
    with patch.dict(script["Pulled"].__init__.__globals__, nobody=lambda: few):
        made_up = {name: script["embeddings"](name) for name in NAMES}
        (third, image), (only, _), (plain, _) = (
            objective(kind)
            for kind in (
                partial(script["Pulled"], share=1 / 3),
                partial(script["Pulled"], share=1.0),
                Ensemble,
            )
        )
    script["embeddings"].cache_clear()
    (whom,) = {int((made_up[name] @ aim).argmax()) for name, aim in zip(NAMES, only.aims, strict=True)}
    far = sum(made_up[one.name] @ own / spread for one, (_, spread), own, _ in only.parts)
    assert whom == int(far.argmin())

    image = image.detach()
    third.views = only.views = plain.views = 0  # the image as it is
    pull = 0.0
    for (one, (_, spread), _, _), aim in zip(only.parts, only.aims, strict=True):
        pull -= float(one.embed(one.align(image, only.face)) @ aim) / spread
    assert float(only(image)) == pytest.approx(pull, rel=1e-4)
    assert float(third(image)) == pytest.approx(2 / 3 * float(plain(image)) + pull / 3, rel=1e-4)
    assert only.lead == pytest.approx(plain.lead, abs=1e-4)


def test_looks_are_rarer_and_count_twice(script: dict[str, Any]) -> None:
    image = to_tensor(astronaut())
    (face,) = find_faces(astronaut())[:1]
    rarely, always = (kind(image, face, 40.0, 600.0, 0.6) for kind in (script["Rarely"], Looks))
    cost = float(always(0.8 * image))
    assert cost > 0
    assert [float(rarely(0.8 * image)) for _ in range(3)] == pytest.approx([2 * cost, 0, 2 * cost])


def test_between_two_looks_at_the_unet_the_change_follows_the_latent(script: dict[str, Any]) -> None:
    photo = Photo(astronaut(), "astronaut.png")
    face = find_faces(photo.pixels)[0]
    used, chosen = prior("portrait"), settings(steps=4, embedding_steps=1)
    counts: list[int] = []
    for way in (script["plainly"], script["with_parts"](inside=script["coasting"])):
        with patch.object(used.unet, "forward", wraps=used.unet.forward) as asked:
            way(photo, face, chosen)
        counts.append(asked.call_count)
    assert counts[0] - counts[1] == 2  # of four steps; the result is asked for in full

    crop = cut(photo.pixels, face, used.template, used.size)
    begin = finish(find_start(used, crop.pixels, chosen))

    def change(latent: Tensor) -> Tensor:
        clean, _ = latents.denoise_with_maps(used, latent, begin.timesteps, begin.embeddings)
        return used.decode(clean).detach() - begin.reconstruction

    with script["coasting"]():
        before, coasted, full = (change(begin.latent + far) for far in (0, 0.1, 0.1))
    assert 0 < (coasted - full).norm() < (before - full).norm() / 2


def test_an_idea_gains_nothing_where_it_only_changes_more(script: dict[str, Any]) -> None:
    people = ["a", "b", "c"]
    default, cheaper, dearer = script["LINE"]
    better, same = list(script["IDEAS"])[3:5]
    shown = {default: (0, 36), cheaper: (-0.5, 34), dearer: (0.5, 38), same: (-1, 32), better: (-1, 36)}
    rows = {
        (idea, one): {"above": score + offset, "psnr": quality, "ssim": 0.9}
        for idea, (score, quality) in shown.items()
        for one, offset in zip(people, (-1, 0, 1), strict=True)
    }
    lines = script["table"](rows, people).splitlines()
    gained = {line.split("|")[1].strip(): float(line.split("|")[-2].split()[0]) for line in lines[2:]}
    assert gained == {default: 0, cheaper: 0, dearer: 0, better: 1, same: 0}


def test_rows_of_an_earlier_run_are_found_again(script: dict[str, Any], tmp_path: Path) -> None:
    assert script["finished"](tmp_path) == {}
    row = {"idea": "default", "identity": "211", "above": -1.5}
    shards.Store(tmp_path, script["ROW"]).write("default/211", {script["ROW"]: json.dumps(row).encode()})
    assert script["finished"](tmp_path)["default", "211"]["above"] == -1.5
