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
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from gpu_portrait import Row, Visit, agreement, compiled, portrait
from gpu_sections import methods, processes, stable_diffusion, waiting
from measure_stable_diffusion import GIGA


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
