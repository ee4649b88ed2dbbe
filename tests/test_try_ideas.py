"""What the script on ideas compares: parts that do what their names say, and gains at equal likeness."""

from __future__ import annotations

import io
import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from insightface.data import get_image
from PIL import Image
from safetensors.torch import save_file
from skimage.data import astronaut
from torch import Tensor

from veil.attacks import Recognizer, recognizer
from veil.attacks.faces.detection import find_faces
from veil.core.images import to_tensor
from veil.core.progress import finish
from veil.core.types import Face, Photo, tracks_of
from veil.eval import resumable
from veil.eval.datasets import Sample
from veil.privacy import engine
from veil.privacy.engine import invert_faces, objective_of, subject_of
from veil.privacy.face_context import align_crop
from veil.privacy.latent import Optimisation, optimise
from veil.privacy.penalties import PenaltySchedule, change_energy
from veil.privacy.priors import prior
from veil.privacy.settings import settings

NAMES = ("mobileface", "faceres-deep")
COPIED = "mobileface"
SHORT = settings(
    steps=3, embedding_steps=0, surrogates=(COPIED,), learning_rate=0.1, tail_average=0.3, ceiling=2.0
)


@pytest.fixture(scope="module")
def script() -> Iterator[dict[str, Any]]:
    """What the script and the ideas beside it define."""
    folder = Path(__file__).parents[1] / "scripts"
    sys.path.insert(0, str(folder))
    import ideas

    yield vars(ideas) | runpy.run_path(str(folder / "try_ideas.py"))
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def portrait() -> tuple[Photo, Face]:
    """The astronaut."""
    photo = Photo(np.ascontiguousarray(astronaut()[:256, 96:352]), "astronaut.png")
    return photo, find_faces(photo.pixels)[0]


@pytest.fixture(scope="module")
def copies(script: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recognizer]:
    """A copy of one recogniser with other weights, as the script reads it."""
    folder = tmp_path_factory.mktemp("robust")
    network: Any = recognizer(COPIED).network  # pyright: ignore
    state = {name: (1.1 * tensor).contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, folder / f"{COPIED}.safetensors")
    return script["copies_in"](folder)


def test_a_copy_has_its_own_weights_and_leaves_the_recogniser_its(
    copies: dict[str, Recognizer], portrait: tuple[Photo, Face]
) -> None:
    one, other = recognizer(COPIED), copies[COPIED]
    crop = one.align(to_tensor(portrait[0].pixels), portrait[1])
    assert float(one.embed(crop)[0] @ other.embed(crop)[0]) < 0.999
    weights, own = (network.network[0].weight for network in (other, one))  # pyright: ignore
    assert torch.allclose(weights, 1.1 * own)
    assert not weights.requires_grad


def test_a_penalty_in_proportion_comes_to_rest_at_the_ceiling(script: dict[str, Any]) -> None:
    def sizes(schedule: PenaltySchedule) -> list[float]:
        found: list[float] = []
        for _ in range(60):
            found.append(0.05 / schedule.value)  # a change that answers to its penalty
            schedule.update(0.0, found[-1])
        return found[-10:]

    proportional, swinging = (
        sizes(kind(1.0, 6.0, 0.01)) for kind in (script["Proportional"], PenaltySchedule)
    )
    assert proportional == pytest.approx(10 * [0.01], rel=0.01)
    assert max(swinging) / min(swinging) > 1.1


def test_a_penalty_in_proportion_keeps_the_bounds_and_the_margin(script: dict[str, Any]) -> None:
    schedule, ahead = (script["Proportional"](1.0, 6.0, 0.01) for _ in range(2))
    values: list[float] = []
    for _ in range(40):
        schedule.update(0.0, 1.0)
        ahead.update(7.0, 0.01)
        values.append(schedule.value)
    assert values[: schedule.PATIENCE] == schedule.PATIENCE * [1.0]
    assert values[schedule.PATIENCE] == pytest.approx(np.exp(schedule.FASTEST))
    assert values[-1] == schedule.MOST
    assert ahead.value == pytest.approx(np.exp((40 - ahead.PATIENCE) * ahead.AHEAD))
    for _ in range(40):
        schedule.update(0.0, 0.0)
    assert schedule.value == 1.0


def search(kind: Any, portrait: tuple[Photo, Face], **more: Any) -> Optimisation:
    """A search for a change of the astronaut that has not begun."""
    photo, face = portrait
    used = prior("portrait")
    crop = align_crop(photo.pixels, face, used.template, used.size)
    begin = finish(invert_faces(used, crop.pixels, SHORT))
    (track,) = tracks_of(photo, [face])
    subject = subject_of(track, lambda _: crop, [recognizer(COPIED)], SHORT)
    return kind(used, begin, SHORT, [subject], begin.reconstruction, **more)


@pytest.mark.slow
def test_a_search_settles_and_fills_its_ceiling(script: dict[str, Any], portrait: tuple[Photo, Face]) -> None:
    found = search(script["Settling"], portrait)
    rates = [found.optimizer.param_groups[0]["lr"]]
    with patch("veil.privacy.latent.ceiling_scale", script["filling"]):
        work = optimise(found)
        for _ in range(SHORT.steps):
            next(work)
            rates.append(found.optimizer.param_groups[0]["lr"])
        change = finish(work)
    assert rates == pytest.approx([0.1, 0.0775, 0.0325, 0.01])
    assert float(change_energy(found.mask * change).sqrt()) == pytest.approx(2.0 / 255, rel=1e-3)
    assert not found.pixels.any()  # they are not asked for


@pytest.mark.slow
def test_single_pixels_are_changed_beside_the_latent(
    script: dict[str, Any], portrait: tuple[Photo, Face]
) -> None:
    both, latent = search(script["Settling"], portrait, pixels=1 / 255), search(Optimisation, portrait)
    first = both.pixels.detach().clone()
    with torch.no_grad():
        beside = both.change(both.delta)[0] - latent.change(latent.delta)[0]
    assert torch.allclose(beside, first, atol=1e-6)
    both.advance()
    moved = (both.pixels.detach() - first).abs()
    assert float(moved.median()) == pytest.approx(1 / 255, rel=0.01)  # Adam's first step is its rate's length
    both.advance()
    both.advance()
    both.result()
    assert torch.allclose(both.pixels, torch.stack(tuple(both.last_pixels)).mean(0))
    assert len(both.last_pixels) == 1  # three tenths of three steps


def test_copies_attack_where_their_recogniser_does(
    script: dict[str, Any], copies: dict[str, Recognizer], portrait: tuple[Photo, Face]
) -> None:
    own = [(to_tensor(portrait[0].pixels), portrait[1])]
    used, others = [recognizer(name) for name in NAMES], [recognizer(NAMES[1])]
    copy = copies[COPIED]

    def attacking(some: list[Recognizer], **rest: Any) -> list[Recognizer]:
        return [part[0] for part in script["joined"](some, own, None, SHORT, copies=copies, **rest).parts]

    assert attacking(used) == [*used, copy]
    assert attacking(used, instead=True) == [used[1], copy]
    assert attacking(others) == others  # the recogniser is left out, and its copy with it


def test_copies_hold_the_person(
    script: dict[str, Any], copies: dict[str, Recognizer], portrait: tuple[Photo, Face]
) -> None:
    image, face = to_tensor(portrait[0].pixels), portrait[1]
    used, copy = [recognizer(name) for name in NAMES], copies[COPIED]

    def costs(image_seen: Tensor, some: list[Recognizer]) -> float:
        about = some, [(image, face)], None, SHORT.model_copy(update={"views": 0})
        held = script["held"](*about, copies=copies)(image_seen, face)
        return float(held - objective_of(*about)(image_seen, face))

    other = (image + 0.1 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    cosine = float(copy.embed(copy.align(other, face))[0] @ copy.embed(copy.align(image, face))[0])
    assert costs(image, used) == pytest.approx(0, abs=1e-3)
    assert cosine < 0.95
    assert costs(other, used) == pytest.approx(script["Held"].WEIGHT * (1 - cosine), rel=1e-3)
    assert costs(other, used[1:]) == pytest.approx(0, abs=1e-4)


@pytest.mark.slow
def test_every_idea_gives_another_picture_and_leaves_the_engine_as_it_was(
    script: dict[str, Any], copies: dict[str, Recognizer], portrait: tuple[Photo, Face]
) -> None:
    chosen = SHORT.model_copy(update={"steps": 2})
    parts = engine.objective_of, engine.Optimisation
    pictures: dict[bytes, str] = {}
    for name, idea in script["IDEAS"].items():
        after = idea.protect(*portrait, chosen, copies)
        assert all(getattr(after.settings, one) == value for one, value in idea.changes.items())
        pictures[after.photo.pixels.tobytes()] = name
    few = script["LINE"][:2]  # two steps do not reach their ceilings
    assert len(pictures) >= len(script["IDEAS"]) - len(few) + 1
    assert parts == (engine.objective_of, engine.Optimisation)


@pytest.mark.slow
def test_a_measurement_is_kept_as_a_picture_and_a_row(
    script: dict[str, Any], portrait: tuple[Photo, Face], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        Image.fromarray(portrait[0].pixels).save(tmp_path / f"{name}.png")
    one = Sample("200", tmp_path / "a.png", tmp_path / "b.png")
    with patch.dict(script["TRIED"], steps=1):
        files = script["perform"](("the price settles, ceiling 1.6", one, "faceres", None))
    assert list(files) == [script["PICTURE"], script["ROW"]]
    row = json.loads(files[script["ROW"]])
    after = np.asarray(Image.open(io.BytesIO(files[script["PICTURE"]])))
    error = (after.astype(float) - portrait[0].pixels).__pow__(2).mean()
    assert row["psnr"] == pytest.approx(10 * np.log10(255**2 / error), abs=0.01)
    assert 0.9 < row["likeness"] < 1
    assert 0.5 < row["naturalness"] < 1
    assert 0 < row["far01"] < row["far1"]  # the very photo is still recognised after a step
    store = resumable.Store(tmp_path / "run", script["ROW"])
    store.write("the price settles, ceiling 1.6/a", files)
    assert script["finished"](tmp_path / "run") == {(row["idea"], "200"): row}
    assert (tmp_path / "run" / row["idea"] / "a.png").exists()


@pytest.mark.slow
def test_people_leave_out_the_strong_recognisers_in_turn(
    script: dict[str, Any], portrait: tuple[Photo, Face], tmp_path: Path
) -> None:
    folder = tmp_path / "celebahq_pairs"
    folder.mkdir()
    Image.fromarray(portrait[0].pixels).save(folder / "own.png")
    Image.fromarray(np.ascontiguousarray(get_image("t1")[..., ::-1])).save(folder / "others.png")
    pairs = [(199, "own"), (200, "own"), (201, "others"), (202, "own")]
    rows = [f"{identity},own.png,{probe}.png" for identity, probe in pairs]
    (folder / "pairs.csv").write_text("\n".join(["identity,protect,probe", *rows]))
    chosen = [(one.identity, left_out) for one, left_out in script["usable"](tmp_path)]
    assert chosen == [("200", script["STRONG"][0]), ("202", script["STRONG"][2])]


def test_an_idea_gains_nothing_where_it_only_changes_more(script: dict[str, Any]) -> None:
    people = ["a", "b", "c"]
    line, ideas = script["LINE"], list(script["IDEAS"])[3:]
    bent = {line[0]: (0.98, 2.0), line[1]: (0.96, 1.0), line[2]: (0.90, 0.5)}  # likeness, above
    shown = {
        ideas[0]: (0.97, 1.5),  # on the line
        ideas[1]: (0.97, 0.5),  # one lower
        ideas[2]: (0.93, 0.75),  # on it, beyond its bend
        ideas[3]: (0.99, 2.5),  # and beyond its end
        ideas[4]: (0.96, 1.2),  # higher
    }
    rows = {
        (idea, one): {
            "psnr": 40,
            "naturalness": 0.9,
            "likeness": alike,
            "far1": score + own,
            "far01": score + own - 1,
        }
        for idea, (alike, score) in {**bent, **shown}.items()
        for one, own in zip(people, (-1, 0, 1), strict=True)
    }
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in script["table"](rows, people).splitlines()
    ]
    gained = {cells[0]: float(cells[-1].split()[0]) for cells in lines[2:]}
    assert gained == pytest.approx(dict(zip([*line, *ideas], [0, 0, 0, 0, 1, 0, 0, -0.2], strict=False)))
    assert lines[2 + 4][5].startswith("67%")  # of three people at -.5, .5 and 1.5 below FAR 0.1 %
    assert "+1.00 [+1.00, +1.00]" in lines[2 + 4][-1]  # all of them by as much


def test_a_person_whose_picture_kept_more_likeness_is_expected_higher(script: dict[str, Any]) -> None:
    line = np.array([[[0.98, 0.98], [2.0, 2.0]], [[0.96, 0.96], [1.0, 1.0]]])
    assert script["gained"](line, np.array([[0.98, 0.96], [2.0, 1.0]])) == pytest.approx([0, 0])
    assert script["gained"](line, np.array([[0.97, 0.97], [2.0, 1.0]])) == pytest.approx([-0.5, 0.5])
