"""Where tensors lie: a whole search on a device that no machine has, whose tensors know all but their values.

torch refuses to mix devices there, as on a GPU; and what goes between main memory and the device is counted,
by the counter that `scripts/gpu_sections.py` takes to a real one.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from skimage.data import astronaut
from torch._subclasses.fake_tensor import FakeTensorMode

from veil.attacks import RECOGNIZERS, attacked, views
from veil.attacks.faces.detection import find_faces
from veil.attacks.networks import emotion, facemesh
from veil.attacks.recognizers import base
from veil.core.progress import finish
from veil.core.types import Photo, Track, tracks_of
from veil.privacy import latent
from veil.privacy.engine import find_change, subject_of
from veil.privacy.face_context import align_crop
from veil.privacy.paste import feather
from veil.privacy.priors import Prior, portrait, stable_diffusion
from veil.privacy.settings import settings

pytestmark = pytest.mark.slow
ELSEWHERE = torch.device("lazy:0")  # which torch knows by name alone
MODE = FakeTensorMode(allow_non_fake_inputs=True)  # one for all tests: kornia keeps tensors that it made
KINDS = ("portrait", "stable-diffusion")
SCRIPTS = Path(__file__).parents[1] / "scripts"


@dataclass
class Machine:
    """One with the device."""

    crossings: Any
    surrogates: list[Any]
    prior: Callable[[str], Prior]


def prior_of(visit: dict[str, Any], kind: str) -> Prior:
    """A prior on the device, without its weights."""
    if kind == "portrait":
        with ELSEWHERE:
            autoencoder, denoiser = portrait.PortraitAutoencoder(), portrait.PortraitDenoiser()
        denoiser.requires_grad_(False)
        autoencoder.requires_grad_(False)
        parts = autoencoder.encode, autoencoder.decode, denoiser.unet, portrait.scheduler()
        return Prior(kind, portrait.SIZE, portrait.TEMPLATE, *parts, denoiser.null.detach(), 2)
    unet_config, vae_config = visit["TINY_MODEL"]
    with ELSEWHERE:
        unet, vae = UNet2DConditionModel(**unet_config), AutoencoderKL(**vae_config)
        empty = torch.zeros(1, 77, unet_config["cross_attention_dim"])
    scheduler: Any = SimpleNamespace(
        alphas_cumprod=np.linspace(0.999, 0.1, 1000), config={"prediction_type": "v_prediction"}
    )
    options = {
        "checkpoint": False,
        "offload": False,
    }  # checkpoints ask torch for a module of the device's name
    return stable_diffusion.build("fake", unet, vae, scheduler, empty, None, ELSEWHERE, **options)


@pytest.fixture(scope="module")
def people() -> tuple[Track, ...]:
    """The same face in two photos of different sizes."""
    photo = Photo(astronaut(), "astronaut.png")
    smaller = Photo(np.ascontiguousarray(astronaut()[:300, :400]), "smaller.png")
    return tuple(track for one in (photo, smaller) for track in tracks_of(one, find_faces(one.pixels)[:1]))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Generator[Machine]:
    """What the engine needs on the device; caches are left as they were."""
    monkeypatch.syspath_prepend(SCRIPTS)
    visit = runpy.run_path(str(SCRIPTS / "gpu_sections.py"))

    class Answered(visit["Crossings"]):
        """Values are not there: whoever reads one is told a half."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.aten._local_scalar_dense.default and args[0].device.type == "cpu":
                return 0.5  # what is drawn in main memory
            return super().__torch_dispatch__(func, types, args, kwargs)

        def value(self, func: Any, args: Any) -> Any:
            return 0.5

    monkeypatch.setattr(base, "load_network", lambda _, network: network)
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, *_, **__: self)  # such weights cannot move
    monkeypatch.setattr(views, "jittered", lambda face, _: face)  # through numpy
    monkeypatch.setattr(latent, "to_pixels", lambda _: None)  # a preview has values
    caches = feather, base._by_channel
    for cached in caches:
        cached.cache_clear()
    with MODE:
        with ELSEWHERE:
            mesh, expressions = facemesh.FaceMesh(), emotion.MiniXception()
            surrogates = [RECOGNIZERS[name]() for name in attacked()]
        monkeypatch.setattr(facemesh, "network", lambda: mesh)
        monkeypatch.setattr(emotion, "network", lambda: expressions)
        with Answered() as crossings:
            yield Machine(crossings, surrogates, lambda kind: prior_of(visit, kind))
    for cached in caches:
        cached.cache_clear()


def searched(machine: Machine, used: Prior, people: tuple[Track, ...], **changes: Any) -> torch.Tensor:
    """The changes that the engine finds; what crossed over before the search itself is forgotten."""
    chosen = settings(
        "balanced", **{"steps": 1, "embedding_steps": 2, "views": len(views.VIEWS) + 1, **changes}
    )

    def crop_of(sighting: Any) -> Any:
        return align_crop(sighting.frame.pixels, sighting.face, used.template, used.size, used.device)

    subjects = [subject_of(track, crop_of, machine.surrogates, chosen) for track in people[: used.batch]]
    machine.crossings.places.clear()
    return finish(find_change(used, subjects, chosen))


def functions(machine: Machine, way: str) -> set[str]:
    """The functions of veil that took values one way: "read", "cpu to lazy", "lazy to cpu"."""
    places = (place.split(": ", 1) for place in machine.crossings.places)
    return {asked.rpartition(" ")[2] for kind, asked in places if kind == way}


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_stays_on_its_device(machine: Machine, people: tuple[Track, ...], kind: str) -> None:
    change = searched(machine, machine.prior(kind), people)
    assert change.device.type == ELSEWHERE.type
    assert functions(machine, "lazy to cpu") == set()
    assert functions(machine, "cpu to lazy") <= {"onto", "compressed"}  # kornia copies a quality unwaited for
    assert functions(machine, "read") <= {"Optimisation.advance", "EmbeddingOptimisation.advance", "learn"}


def test_a_step_waits_for_the_device_once(machine: Machine, people: tuple[Track, ...]) -> None:
    searched(machine, machine.prior("portrait"), people)
    lines = [place for place in machine.crossings.places if place.endswith("Optimisation.advance")]
    assert len([place for place in lines if "latent.py" in place]) == 1


def test_a_part_that_strays_is_noticed(machine: Machine, people: tuple[Track, ...]) -> None:
    used = machine.prior("portrait")
    there_and_back = replace(used, decode=lambda latents: used.decode(latents).cpu().to(ELSEWHERE))
    searched(machine, there_and_back, people)
    assert any(place.startswith("lazy to cpu") for place in machine.crossings.places)
    with pytest.raises(RuntimeError, match="device"):
        searched(machine, replace(used, decode=lambda latents: used.decode(latents).cpu()), people)
    with pytest.raises(RuntimeError, match="device"):
        searched(machine, replace(used, encode=lambda images: used.encode(images.cpu())), people)
