"""What a protection costs: our default beside the paper's setting, on the same prior, faces and recognisers.

    python scripts/measure_speed.py [FACES] [--pairs 10] [--effort normal]

Measures three methods in one process, in turn on every face: strength `balanced` at one effort; the preset
`paper`, which already saves what cannot change the picture; and `paper` at the cost of its public script
(arXiv 2503.10350), which inverts through all levels, learns embeddings without stopping early, and denoises
four samples at every step of the attack where one is enough. (It also decodes two; that is not counted.)

Prints medians over the faces: samples that went through the UNet, seconds, and the most memory above what
the process held before; beside them what it bought: the cosine of a recogniser that no attack used, to the
person's other photo, and the PSNR. FACES holds celebahq_pairs; without it the faces are scikit-image's
astronaut and insightface's group photo, which are compared with themselves.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import fmean, median
from threading import Event, Thread
from typing import Annotated, Any, NamedTuple

import numpy as np
import psutil
import torch
import typer
from rich.progress import track
from torch import Tensor

from veil.attacks import held_out, independent
from veil.attacks.faces.boxes import clipped, padded
from veil.attacks.faces.detection import find_faces
from veil.core.images import open_photo, to_tensor
from veil.core.memory import give_back
from veil.core.progress import finish
from veil.core.types import Face, Photo, Sighting, Steps, Track, tracks_of
from veil.eval.datasets import main_face, samples
from veil.eval.metrics.psnr import psnr
from veil.eval.verification import embedding
from veil.privacy import Protected, protect
from veil.privacy.embeddings import learn
from veil.privacy.engine import protect_in_batches
from veil.privacy.face_context import Crop, align_crop
from veil.privacy.inversion import invert, levels
from veil.privacy.latent import Optimisation, optimise, reconstruct
from veil.privacy.priors import Prior, prior
from veil.privacy.settings import Settings, settings
from veil.privacy.subject import Subject
from veil.weights.registry import card

JUDGE = held_out()
PROCESS = psutil.Process()
POLLING_INTERVAL = 0.005  # seconds between two readings of the memory
WARM_UP = {"steps": 2, "embedding_steps": 1}


class Case(NamedTuple):
    """A photo and its face, and the probe: another photo of that person, against which it is judged."""

    photo: Photo
    face: Face
    probe: Photo
    probe_face: Face


class Measurement(NamedTuple):
    """One protection of one face: its cost, and its effect.

    Samples through the UNet, seconds, megabytes at the peak; the judge's cosine to the probe, PSNR in dB.
    """

    samples: int
    seconds: float
    megabytes: float
    cosine: float
    psnr: float


class FourSamplePrior(Prior):
    """A prior that denoises as the paper's script: with the original beside it, and the batch doubled."""

    def noise(self, latent: Tensor, timestep: int, embedding: Tensor) -> Tensor:
        return super().noise(latent.repeat(4, 1, 1, 1), timestep, embedding)[:1]


def find_as_published(used: Prior, settings: Settings, subjects: Sequence[Subject]) -> Steps[Tensor]:
    """The same change of one face as `find_change` has it, with all that the paper's script computes."""
    (subject,) = subjects
    schedule = levels(used, settings.schedule, settings.schedule - 1)
    timesteps = schedule[: settings.depth + 1]
    with torch.no_grad():
        latent = used.encode(subject.crop.pixels)
    trajectory = invert(used, latent, schedule)[: settings.depth + 1]
    steps, rate = settings.embedding_steps, settings.embedding_rate
    embeddings = yield from learn(used, trajectory, timesteps, steps, rate, patience=steps + 1)
    begin = reconstruct(used, trajectory[-1], timesteps, embeddings)
    begin = replace(begin, maps=[map_.repeat(4, 1, 1) for map_ in begin.maps])
    four_samples = FourSamplePrior(**vars(used))
    optimisation = Optimisation(four_samples, begin, settings, subjects, subject.crop.pixels)
    return (yield from optimise(optimisation))


def as_published(tracks: Sequence[Track], settings: Settings) -> Steps[Protected]:
    """Protect faces at the cost of the paper's public script."""
    used = prior(settings.prior)

    def crop_of(sighting: Sighting) -> Crop:
        return align_crop(sighting.frame.pixels, sighting.face, used.template, used.size)

    find = partial(find_as_published, used, settings)
    return (yield from protect_in_batches(tracks, settings, None, crop_of, find))


METHODS: dict[str, tuple[str, Callable[[Sequence[Track], Settings], Steps[Protected]]]] = {
    "balanced": ("balanced", protect),
    "paper": ("paper", protect),
    "paper, as published": ("paper", as_published),
}


@contextmanager
def unet_batches(used: Prior) -> Generator[list[int]]:
    """Yield the sizes of the batches that go through the prior's UNet within."""
    sizes: list[int] = []
    hook = used.unet.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    try:
        yield sizes
    finally:
        hook.remove()


def resident_bytes() -> int:
    """The resident memory of this process, after what it does not use was given back."""
    give_back()  # so that a second run does not cost less
    return PROCESS.memory_info().rss


@contextmanager
def peak_memory(device: str = "cpu") -> Generator[Callable[[], float]]:
    """Yield what tells afterwards the peak within, in MB above that at the start: of the resident memory, or
    of what tensors take of a GPU."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
        yield lambda: (torch.cuda.max_memory_allocated(device) - held) / 1e6
        return
    over = Event()
    before = peak = resident_bytes()

    def watch() -> None:
        nonlocal peak
        while not over.wait(POLLING_INTERVAL):
            peak = max(peak, PROCESS.memory_info().rss)

    thread = Thread(target=watch)
    thread.start()
    try:
        yield lambda: (peak - before) / 1e6
    finally:
        over.set()
        thread.join()


def measure(method: str, case: Case, /, **changes: Any) -> Measurement:
    """Protect one face by one method."""
    preset, run = METHODS[method]
    chosen = settings(preset, **changes)
    used = prior(chosen.prior, chosen.size, chosen.device)
    with unet_batches(used) as sizes, peak_memory(chosen.device) as peak:
        began = time.perf_counter()
        after = finish(run(tracks_of(case.photo, [case.face]), chosen)).photo
        seconds = time.perf_counter() - began
    before, now, probe = (to_tensor(photo.pixels) for photo in (case.photo, after, case.probe))
    seen = embedding(JUDGE, now, main_face(after.pixels) or case.face)
    cosine = float(seen @ embedding(JUDGE, probe, case.probe_face))
    return Measurement(sum(sizes), seconds, peak(), cosine, float(psnr(before, now)))


def demo_cases() -> Iterator[Case]:
    """Every face of the demo portraits, cut out with a margin; each is its own probe."""
    from insightface.data import get_image
    from skimage.data import astronaut

    for pixels in astronaut(), get_image("t1")[..., ::-1]:  # BGR
        for face in find_faces(np.ascontiguousarray(pixels)):
            size = pixels.shape[1], pixels.shape[0]
            left, top, right, bottom = clipped(padded(face.box, 0.5 * face.side), size)
            photo = Photo(np.ascontiguousarray(pixels[top:bottom, left:right]), "portrait.png")
            inside = face.transformed(1, -left, -top)
            yield Case(photo, inside, photo, inside)


def dataset_cases(folder: Path) -> Iterator[Case]:
    """The people of a dataset whose two photos show a face."""
    for one in samples(folder):
        photo, probe = (open_photo(path) for path in (one.photo, one.probe or one.photo))
        face, other = (main_face(each.pixels) for each in (photo, probe))
        if face and other:
            yield Case(photo, face, probe, other)


def table(results: dict[str, list[Measurement]]) -> str:
    """A Markdown table: medians of costs, also as multiples of the first method's, and means of effects."""
    threshold = card(JUDGE).thresholds["far1"]
    lines = [
        f"| setting | UNet samples | seconds | MB | {JUDGE} (threshold {threshold}) | rejected | dB |",
        "|---|---|---|---|---|---|---|",
    ]
    first: list[float] = []
    for method, rows in results.items():
        costs = [median(column) for column in list(zip(*rows, strict=True))[:3]]
        first = first or costs
        cells = [f"{cost:.4g} (x {cost / own:.1f})" for cost, own in zip(costs, first, strict=True)]
        rejected = sum(row.cosine <= threshold for row in rows)
        cosine, decibels = fmean(row.cosine for row in rows), fmean(row.psnr for row in rows)
        cells += [f"{cosine:.3f}", f"{rejected}/{len(rows)}", f"{decibels:.1f}"]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(
    faces: Annotated[Path | None, typer.Argument()] = None, pairs: int = 10, effort: str = "normal"
) -> None:
    """Measure, and print the table."""
    assert all(independent(JUDGE, name) for name in Settings().surrogates)
    cases = list(islice(dataset_cases(faces / "celebahq_pairs"), pairs) if faces else demo_cases())
    for method in METHODS:
        measure(method, cases[0], **WARM_UP)
    loaded = resident_bytes() / 1e6
    results: dict[str, list[Measurement]] = {method: [] for method in METHODS}
    for case in track(cases, "protecting"):
        for method in METHODS:
            results[method].append(measure(method, case, effort=effort))
    print(table(results))
    print(f"{len(cases)} faces, {torch.get_num_threads()} threads; {loaded:.0f} MB with all models loaded")


if __name__ == "__main__":
    typer.run(main)
