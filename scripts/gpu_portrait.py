"""The portrait prior on a device, for gpu_visit.py: what is visited, and faces a second."""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from measure_speed import JUDGE, peak_memory
from PIL import Image
from torch import Tensor

from veil.attacks import recognizer
from veil.attacks.faces.detection import largest_face
from veil.attacks.recognizers.base import Network, copy_on
from veil.core.images import to_tensor
from veil.core.progress import finish
from veil.core.types import Photo, Sighting, Steps, Track, tracks_of
from veil.eval.datasets import main_face
from veil.eval.metrics.psnr import psnr
from veil.eval.verification import embedding
from veil.privacy import Protected
from veil.privacy.engine import find_change, invert_faces, protect_in_batches, subject_of
from veil.privacy.face_context import Crop, align_crop
from veil.privacy.latent import Optimisation
from veil.privacy.priors import Prior, prior
from veil.privacy.settings import Settings, settings
from veil.privacy.subject import Subject
from veil.weights.registry import card

ROOT = Path(__file__).resolve().parents[1]
PHOTO = ROOT / "ui" / "web" / "examples" / "astronaut.jpg"  # NASA's, in the public domain
SCALES = (1.0, 0.8, 1.25, 0.9)  # of its copies, mirrored too: faces of eight sizes
STEPS = 10  # that are timed: each kind of view comes twice
WARM = 5  # before, each kind of view once
Row: TypeAlias = dict[str, Any]


class Visit(NamedTuple):
    """What is visited: the device, and whether only to see that all works."""

    device: str
    tiny: bool = False

    @property
    def gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device != "cpu"

    def settings(self, strength: str = "balanced", **changes: Any) -> Settings:
        """Those of a preset, on the device."""
        few = {"steps": 3, "embedding_steps": 1, "surrogates": ("mobileface",)} if self.tiny else {}
        return settings(strength, **{"device": self.device, **few, **changes})

    def settle(self) -> None:
        """Wait until the device has done what it was told to do."""
        if self.gpu:
            torch.cuda.synchronize(self.device)


class Variant(NamedTuple):
    """How the portrait prior is computed.

    dtype: of the UNet's weights. channels_last: its memory format, as the prior has it.
    autocast: whether everything, recognisers too, runs in bfloat16 where torch's rules allow it.
    mode: of torch.compile for UNet, decoder and recognisers; none where empty.
    """

    dtype: torch.dtype = torch.float32
    channels_last: bool = True
    autocast: bool = False
    mode: str = ""


VARIANTS = {
    "as it is": Variant(),
    "bfloat16 UNet": Variant(torch.bfloat16),
    "autocast": Variant(autocast=True),
    "not channels last": Variant(channels_last=False),
}
COMPILED = {
    "compiled": Variant(mode="default"),
    "CUDA graphs": Variant(mode="reduce-overhead"),
    "compiled, autocast": Variant(autocast=True, mode="default"),
}


@cache
def sightings() -> tuple[Sighting, ...]:
    """Eight portraits and their faces."""
    seen = list[Sighting]()
    with Image.open(PHOTO) as image:
        for scale in SCALES:
            pixels = np.asarray(image.resize([round(scale * side) for side in image.size]))
            for copy in pixels, np.ascontiguousarray(pixels[:, ::-1]):
                photo = Photo(copy, "astronaut.png")
                seen.append(Sighting(photo, largest_face(copy)))
    return tuple(seen)


def tracks(count: int) -> tuple[Track, ...]:
    """So many people, each in a photo of their own."""
    some = [sightings()[number % len(sightings())] for number in range(count)]
    return tuple(track for one in some for track in tracks_of(replace(one.frame), [one.face]))


def computed(visit: Visit, variant: Variant) -> Prior:
    """The portrait prior as a variant has it; its recognisers are compiled in place."""
    used = prior("portrait", None, visit.device)
    order = torch.channels_last if variant.channels_last else torch.contiguous_format
    unet = torch.nn.Module.to(deepcopy(used.unet), variant.dtype, memory_format=order)
    if not variant.mode:
        return replace(used, unet=unet)
    how: dict[str, Any] = {"backend": "eager"} if visit.tiny else {"mode": variant.mode}
    unet.compile(**how)
    for name in visit.settings().surrogates:
        one = recognizer(name)
        assert isinstance(one, Network)
        copy_on(used.device, one.network).compile(**how)
    return replace(used, unet=unet, decode=torch.compile(used.decode, **how))


def cut(used: Prior, sighting: Sighting) -> Crop:
    """The crop that the prior wants."""
    return align_crop(sighting.frame.pixels, sighting.face, used.template, used.size, used.device)


def autocast(visit: Visit, variant: Variant) -> torch.autocast:
    """What a variant runs under."""
    return torch.autocast(torch.device(visit.device).type, torch.bfloat16, enabled=variant.autocast)


def optimisation(visit: Visit, used: Prior, faces: int) -> Optimisation:
    """The engine's work on so many faces, before its first step."""
    chosen = visit.settings()
    surrogates = [recognizer(name) for name in chosen.surrogates]
    subjects = [subject_of(track, partial(cut, used), surrogates, chosen) for track in tracks(faces)]
    images = torch.cat([subject.crop.pixels for subject in subjects])
    inverted = finish(invert_faces(used, images, chosen))
    return Optimisation(used, inverted, chosen, subjects, inverted.reconstruction)


def tried(case: Row, measure: Callable[[], Row]) -> Row:
    """A case, and what was measured or why nothing could be."""
    try:
        return case | measure()
    except Exception as error:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return case | {"failed": f"{type(error).__name__}: {error}".partition("\n")[0][:200]}


def agreement(visit: Visit) -> Iterator[Row]:
    """Whole protections of one face, on the CPU and then by every variant on the device."""
    track = tracks(1)[0]
    run = partial(whole, track=track)
    cpu = run(visit._replace(device="cpu"), Variant())
    yield {"variant": "CPU", **told(track, cpu)}
    if visit.gpu:
        run(visit, Variant())  # kernels are chosen and memory is taken the first time
    for name, variant in VARIANTS.items():

        def compared(variant: Variant = variant) -> Row:
            done = run(visit, variant)
            alike = decibels(cpu[0].photo.pixels, done[0].photo.pixels)
            return {**told(track, done), "dB to the CPU's picture": alike}

        yield tried({"variant": name}, compared)


def whole(visit: Visit, variant: Variant, track: Track) -> tuple[Protected, float]:
    """A face protected from its crop to its verdict, and the seconds that took."""
    used, chosen = computed(visit, variant), visit.settings()

    def find(subjects: Sequence[Subject]) -> Steps[Tensor]:
        with autocast(visit, variant):
            return (yield from find_change(used, subjects, chosen))

    began = time.perf_counter()
    protected = finish(protect_in_batches([track], chosen, None, partial(cut, used), find))
    visit.settle()
    return protected, time.perf_counter() - began


def told(track: Track, done: tuple[Protected, float]) -> Row:
    """What became of a face."""
    (protected, seconds), before = done, track.key.frame.pixels
    after = protected.photo.pixels
    old, new = (
        embedding(JUDGE, to_tensor(pixels), main_face(pixels) or track.key.face) for pixels in (before, after)
    )
    cosine = float(old @ new)
    return {
        "seconds": seconds,
        "dB to the photo": decibels(before, after),
        "worst surrogate": max(protected.similarity[0].values()),
        "its margin": protected.worst_margins[0],
        JUDGE: cosine,
        "still known": cosine > card(JUDGE).thresholds["far1"],
    }


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    """The PSNR of two pictures."""
    return float(psnr(to_tensor(one), to_tensor(other)))


def portrait(visit: Visit, variants: dict[str, Variant] = VARIANTS) -> Iterator[Row]:
    """The portrait prior, by how it is computed and how many faces go together."""
    for faces in (1, 2) if visit.tiny else (1, 2, 4, 8, 16, 32, 64):
        for name, variant in variants.items():
            yield tried({"faces": faces, "variant": name}, partial(timed, visit, variant, faces))


def compiled(visit: Visit) -> Iterator[Row]:
    """The same under torch.compile."""
    for name, variant in list(COMPILED.items())[: 1 if visit.tiny else None]:
        for faces in (1,) if visit.tiny else (4, 64):
            yield tried({"faces": faces, "variant": name}, partial(timed, visit, variant, faces))


def timed(visit: Visit, variant: Variant, faces: int) -> Row:
    """Seconds of getting ready and of a step, and what they come to at effort `normal`.

    Finding faces, pasting and judging are not in it.
    """
    used, steps = computed(visit, variant), 1 if visit.tiny else STEPS
    with peak_memory(visit.device) as peak, autocast(visit, variant):
        began = time.perf_counter()
        work = optimisation(visit, used, faces)
        visit.settle()
        beginning = time.perf_counter() - began
        for _ in range(0 if visit.tiny else WARM):
            work.advance()
        visit.settle()
        began = time.perf_counter()
        for _ in range(steps):
            work.advance()
        visit.settle()
        step = (time.perf_counter() - began) / steps
    seconds = beginning + settings().steps * step
    return {"begin s": beginning, "step s": step, "faces a second": faces / seconds, "peak GB": peak() / 1e3}
