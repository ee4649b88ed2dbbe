"""What veil does on a GPU, in one visit of under eight minutes, beside what was estimated without one.

    python scripts/gpu_visit.py [-o FOLDER] [--device cuda] [--only portrait --only methods] [--minutes 7.5]

Every section runs in a process of its own, which is ended when its time is over, so that neither a slow
compiler nor a full card costs the others their figures. visit.md and visit.json are written again after every
row. Needs no network and no nvidia-smi. `--tiny` takes small networks and few steps, so that tests walk the
same way on a CPU.

- agreement: a face at effort `normal` on CPU and GPU, whole: how alike the pictures are, whether it
  is still known, seconds
- portrait: seconds a step, faces a second and memory of the portrait prior, by how many faces go together
- waiting: where a step reads from the GPU, how many kernels it starts, how long the GPU has nothing to do
- processes: faces a second of several processes on one card, each as `veil protect --ray` starts it
- stable-diffusion: seconds a step and memory of a Stable Diffusion 2 of full size with random weights
- methods: `balanced`, `paper` and the pixel attacks on one face
- compiled: the portrait prior under torch.compile, and with its CUDA graphs
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

import json
import math
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias

import numpy as np
import torch
import typer
from measure_speed import JUDGE, Case, peak_memory
from measure_speed import measure as measure_method
from measure_stable_diffusion import CASES, GIGA, ready, untrained
from PIL import Image
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

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
from veil.privacy.priors.stable_diffusion import A_PIXEL, FIXED
from veil.privacy.settings import Settings, settings
from veil.privacy.subject import Subject
from veil.weights.registry import card

ROOT = Path(__file__).resolve().parents[1]
PHOTO = ROOT / "ui" / "web" / "examples" / "astronaut.jpg"  # NASA's, in the public domain
SCALES = (1.0, 0.8, 1.25, 0.9)  # of its copies, mirrored too: faces of eight sizes
STEPS = 10  # that are timed: each kind of view comes twice
WARM = 5  # before, each kind of view once
PIXEL_METHODS = ("random-noise", "pgd", "mi-fgsm", "ti-dim", "tip-im")
TINY_MODEL: tuple[dict[str, Any], dict[str, Any]] = (  # a Stable Diffusion for tests: UNet and autoencoder
    {
        "sample_size": 16,
        "down_block_types": ("CrossAttnDownBlock2D",) * 2,
        "up_block_types": ("CrossAttnUpBlock2D",) * 2,
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "cross_attention_dim": 16,
        "norm_num_groups": 8,
    },
    {
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "block_out_channels": (8, 16, 16),
        "latent_channels": 4,
        "norm_num_groups": 8,
    },
)

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


class Crossings(TorchDispatchMode):
    """Counts, by the line of veil that asks for it, what goes between main memory and another device."""

    def __init__(self) -> None:
        super().__init__()
        self.places = Counter[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].device.type != "cpu":
            self.places[f"read: {asked_by()}"] += 1
            return self.value(func, args)
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            pinned = func is torch.ops.aten._pin_memory.default
            kinds = {one.device.type for one in tree_leaves(args) if isinstance(one, Tensor) and one.dim()}
            if kinds and not pinned and result.device.type not in kinds:
                self.places[f"{'/'.join(kinds)} to {result.device.type}: {asked_by()}"] += 1
        return result

    def value(self, func: Any, args: Any) -> Any:
        """The number that Python reads."""
        return func(*args)


def asked_by() -> str:
    """The innermost line of veil's own code on the stack."""
    frame = sys._getframe(2)
    while frame is not None:
        path, name = Path(frame.f_code.co_filename), frame.f_code.co_name
        if path.is_relative_to(ROOT) and ".venv" not in path.parts and name != "__torch_dispatch__":
            return f"{path.relative_to(ROOT)}:{frame.f_lineno} {frame.f_code.co_qualname}"
        frame = frame.f_back
    return "elsewhere"


def waiting(visit: Visit) -> Iterator[Row]:
    """What of a step is not computing, by how many faces go together."""
    for faces in (1,) if visit.tiny else (1, 16):
        work = optimisation(visit, computed(visit, Variant()), faces)
        for _ in range(0 if visit.tiny else WARM):
            work.advance()
        with Crossings() as crossings:
            for _ in range(1 if visit.tiny else WARM):
                work.advance()
        for place, count in crossings.places.most_common():
            yield {"faces": faces, "what": place, "in five steps": count}
        yield tried({"faces": faces}, partial(kernels, visit, work))


def kernels(visit: Visit, work: Optimisation) -> Row:
    """How many kernels five steps start, how long the GPU works on them, and how often torch says that they
    wait for it."""
    steps = 1 if visit.tiny else WARM
    activities = [torch.profiler.ProfilerActivity.CPU]
    if visit.gpu:
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        began = time.perf_counter()
        for _ in range(steps):
            work.advance()
        visit.settle()
        seconds = time.perf_counter() - began
    events = [event for event in profile.events() if "CUDA" in str(event.device_type) or not visit.gpu]
    busy = sum(event.device_time if visit.gpu else event.self_cpu_time_total for event in events) / 1e6
    row = {"what": "kernels", "in five steps": len(events), "seconds": seconds, "busy": busy / seconds}
    if visit.gpu:
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for _ in range(steps):
                work.advance()
        torch.cuda.set_sync_debug_mode("default")
        row["waits"] = sum("synchroniz" in str(one.message) for one in said)
    return row


def processes(visit: Visit) -> Iterator[Row]:
    """Several processes on one card, which each protect a few faces at a time."""
    for count in (1,) if visit.tiny else (1, 2, 4, 8):
        for faces in (1,) if visit.tiny else (4, 16):
            yield tried({"processes": count, "faces": faces}, partial(shared, visit, count, faces))


def shared(visit: Visit, count: int, faces: int) -> Row:
    """Faces a second of processes that work at the same time; in steps alone."""
    context = get_context("spawn")
    barrier, results = context.Barrier(count), context.SimpleQueue()
    started = [
        context.Process(target=stepping, args=(visit, faces, barrier, results), daemon=True)
        for _ in range(count)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
    each = [results.get() for process in started if process.exitcode == 0]
    if len(each) < count:
        raise RuntimeError(f"{count - len(each)} of {count} processes failed")
    step = max(each)
    return {"step s": step, "faces a second": count * faces / (settings().steps * step)}


def stepping(visit: Visit, faces: int, barrier: Any, results: Any) -> None:
    """Take steps when all are ready; hands in the seconds of one."""
    torch.set_num_threads(1)
    work = optimisation(visit, computed(visit, Variant()), faces)
    work.advance()
    barrier.wait(timeout=60)
    began, steps = time.perf_counter(), 1 if visit.tiny else STEPS
    for _ in range(steps):
        work.advance()
    visit.settle()
    results.put((time.perf_counter() - began) / steps)


def stable_diffusion(visit: Visit) -> Iterator[Row]:
    """Steps of a Stable Diffusion, the less hungry first, beside what docs/gpu.md says."""
    estimates = documented()
    for side in (64,) if visit.tiny else (256, 512):
        for dtype, checkpoint, offload in sorted(
            CASES, key=lambda case: (case[0] != torch.bfloat16, not case[1])
        ):
            case = {
                "crop": side,
                "UNet": str(dtype).removeprefix("torch."),
                "checkpointing": "yes" if checkpoint else "no",
                "offloading": "yes" if offload else "no",
            }
            estimate = estimates.get(tuple(map(str, case.values())), {})
            yield tried(case | estimate, partial(diffused, visit, dtype, checkpoint, offload, side))


def diffused(visit: Visit, dtype: torch.dtype, checkpoint: bool, offload: bool, side: int) -> Row:
    """One case: seconds a step and the peak, weights included."""
    device, steps = torch.device(visit.device), 1 if visit.tiny else 3
    configs = (TINY_MODEL,) if visit.tiny else ()
    if visit.gpu:
        torch.cuda.empty_cache()
    used, _ = untrained(dtype, side, checkpoint, offload, device, *configs)
    photo, face = sightings()[0].frame, sightings()[0].face
    work = ready(used, photo, face, 3, "mobileface" if visit.tiny else "dlib")
    if visit.gpu:
        work.advance()
        torch.cuda.reset_peak_memory_stats(device)
    visit.settle()
    began = time.perf_counter()
    for _ in range(steps):
        work.advance()
    visit.settle()
    row = {
        "step s": (time.perf_counter() - began) / steps,
        "engine reckons GB": (FIXED + A_PIXEL * side**2) / GIGA,
    }
    if visit.gpu:
        row["tensors GB"] = torch.cuda.max_memory_allocated(device) / GIGA
        row["reserved GB"] = torch.cuda.max_memory_reserved(device) / GIGA
    return row


def documented() -> dict[tuple[str, ...], Row]:
    """The table of docs/gpu.md: its case -> its figures."""
    lines = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    head = next(row for row in rows if row[0] == "crop")
    ours = [row for row in rows if len(row) == len(head) and row[0].isdigit()]
    return {
        tuple(row[:4]): {f"docs: {name}": cell for name, cell in zip(head[4:], row[4:], strict=True)}
        for row in ours
    }


def methods(visit: Visit) -> Iterator[Row]:
    """A face by every method, whole, on the device and on the CPU."""
    photo, face = sightings()[0].frame, sightings()[0].face
    case = Case(photo, face, photo, face)
    names = ("balanced", "paper", *PIXEL_METHODS)
    for name in names[:2] + names[3:4] if visit.tiny else names:
        preset = "paper" if name == "paper" else "balanced"
        for device in dict.fromkeys(("cpu", visit.device)) if not visit.tiny else ("cpu",):
            chosen = visit._replace(device=device).settings(preset, method="veil" if name == preset else name)
            changes = chosen.model_dump(exclude_unset=True)
            yield tried({"method": name, "device": device}, partial(protected_by, preset, case, changes))


def protected_by(preset: str, case: Case, changes: Row) -> Row:
    """The second of two protections."""
    measure_method(preset, case, **{**changes, "steps": 2})
    done = measure_method(preset, case, **changes)
    return {
        "seconds": done.seconds,
        "MB": done.megabytes,
        JUDGE: done.cosine,
        "still known": done.cosine > card(JUDGE).thresholds["far1"],
        "dB to the photo": done.psnr,
    }


@dataclass(frozen=True)
class Section:
    """What makes rows, and the seconds that it may take."""

    rows: Callable[[Visit], Iterator[Row]]
    seconds: float


SECTIONS = {  # the most needed first
    "agreement": Section(agreement, 60),
    "portrait": Section(portrait, 110),
    "waiting": Section(waiting, 35),
    "stable-diffusion": Section(stable_diffusion, 90),
    "processes": Section(processes, 80),
    "methods": Section(methods, 75),
    "compiled": Section(compiled, 120),
}


def send(sender: Connection, name: str, visit: Visit) -> None:
    """The rows of a section, from a process of its own."""
    if visit.tiny:
        torch.set_num_threads(1)
    try:
        for row in SECTIONS[name].rows(visit):
            sender.send(row)
    except Exception as error:
        sender.send({"failed": f"{type(error).__name__}: {error}"})
        raise


def rows_of(name: str, visit: Visit, seconds: float) -> Iterator[Row]:
    """The rows of a section as they come, and a last one where it did not end by itself."""
    receiver, sender = get_context("spawn").Pipe(duplex=False)
    process = get_context("spawn").Process(target=send, args=(sender, name, visit))
    until = time.monotonic() + seconds
    process.start()
    sender.close()
    try:
        while receiver.poll(max(0.0, until - time.monotonic())):
            yield receiver.recv()
        yield {"failed": f"ended after {seconds:.0f} s"}
    except EOFError:
        process.join(5)
        if process.exitcode:
            yield {"failed": f"the process ended with {process.exitcode}"}
    finally:
        process.kill()
        process.join()


def card_of(visit: Visit) -> Row:
    """The machine: its card, its torch."""
    facts: Row = {"torch": torch.__version__, "device": visit.device, "card": "none"}
    if visit.gpu:
        about = torch.cuda.get_device_properties(visit.device)
        facts |= {"card": about.name, "GB": about.total_memory / GIGA, "CUDA": torch.version.cuda}
        facts |= {"TF32 convolutions": torch.backends.cudnn.allow_tf32}
    return facts


def cell(value: Any) -> str:
    """A value, as a table shows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if math.isfinite(value) else str(value)
    return str(value)


def table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [
        columns,
        ["---"] * len(columns),
        *([cell(row.get(name, "")) for name in columns] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(folder: Path, found: dict[str, list[Row]]) -> None:
    """Both files."""
    (folder / "visit.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    parts = [f"## {name}\n\n{table(rows)}\n" for name, rows in found.items() if rows]
    (folder / "visit.md").write_text("\n".join(parts), encoding="utf-8")


def main(
    output: Annotated[Path, typer.Option("--output", "-o")] = Path("gpu-visit"),
    device: str = "cuda",
    only: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(SECTIONS)}.")] = None,
    minutes: float = 7.5,
    tiny: bool = False,
) -> None:
    """Visit the device; prints rows as they come and writes visit.md and visit.json."""
    visit, until = Visit(device, tiny), time.monotonic() + 60 * minutes
    output.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Row]] = {"machine": [card_of(visit)]}
    for name in only or SECTIONS:
        found[name] = []
        seconds = min(SECTIONS[name].seconds * (5 if tiny else 1), until - time.monotonic())
        for row in rows_of(name, visit, seconds) if seconds > 0 else [{"failed": "no time was left"}]:
            found[name].append(row)
            print(name, " ".join(f"{key}={cell(value)}" for key, value in row.items()), flush=True)
            write(output, found)
    print((output / "visit.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    typer.run(main)
