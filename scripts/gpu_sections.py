"""What else gpu_visit.py measures: waiting, processes that share a card, Stable Diffusion, methods."""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from gpu_portrait import ROOT, STEPS, WARM, Row, Variant, Visit, computed, optimisation, sightings, tried
from measure_speed import JUDGE, Case
from measure_speed import measure as measure_method
from measure_stable_diffusion import CASES, GIGA, ready, untrained
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from veil.privacy.latent import Optimisation
from veil.privacy.priors.stable_diffusion import A_PIXEL, FIXED
from veil.privacy.settings import settings
from veil.weights.registry import card

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
