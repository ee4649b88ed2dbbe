"""Many protections in one process: does memory stay flat, and are threads and file handles given back?

    python scripts/endure.py [--protections 500] [--steps 2] [--minutes 60]

Protects scikit-image's astronaut again and again, from file to file as `veil protect` does, with a few steps
and seeds of their own; a tenth of them are stopped in the middle, and a tenth is a file that is no picture.
The first tenth warms up. Ends with 1 where memory grew by more than a twentieth since, or a thread or handle
was kept.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import psutil
import typer
from PIL import Image
from skimage.data import astronaut

from veil.core.errors import VeilError
from veil.core.memory import give_back
from veil.core.progress import finish
from veil.privacy.settings import settings
from veil.ui import workflow
from veil.ui.outputs import Output
from veil.ui.selection import Whom

PROCESS = psutil.Process()


class Held(NamedTuple):
    """What the process holds: megabytes, threads, file handles."""

    memory: float
    threads: int
    handles: int


def held() -> Held:
    """What is held now, after what can be given back has been."""
    give_back()
    return Held(PROCESS.memory_info().rss / 1e6, PROCESS.num_threads(), PROCESS.num_fds())


def protect(folder: Path, number: int, steps: int) -> None:
    """One protection of `number`: every tenth is stopped, and every tenth meets no picture."""
    photo = folder / f"{number}.png"
    if number % 10 == 7:
        photo.write_text("no picture at all")
    else:
        Image.fromarray(astronaut()[20:260, 100:340]).save(photo)
    try:
        job = workflow.prepare(photo, Output(), Whom(), set())
        assert isinstance(job, workflow.Job)
        work = workflow.run(job, settings(steps=steps, embedding_steps=1, seed=number))
        if number % 10 == 3:
            next(work)
            next(work)
            work.close()
        else:
            finish(work)
    except VeilError:
        assert number % 10 == 7


def main(
    protections: Annotated[int, typer.Option(min=20, help="How many.")] = 500,
    steps: Annotated[int, typer.Option(min=1, help="Of each.")] = 2,
    minutes: Annotated[float, typer.Option(help="When to end at the latest.")] = 60,
) -> None:
    """Protect, look ten times at what is held, and say whether it grew."""
    looks, end = list[Held](), time.monotonic() + 60 * minutes
    with TemporaryDirectory() as name:
        for number in range(protections):
            place = Path(name) / str(number)
            place.mkdir()
            protect(place, number, steps)
            shutil.rmtree(place)
            late = time.monotonic() > end
            if late or (number + 1) % (protections // 10) == 0:
                looks.append(held())
                memory, threads, handles = looks[-1]
                print(
                    f"{number + 1:5} done: {memory:7.1f} MB, {threads} threads, {handles} handles", flush=True
                )
            if late:
                break
    first, last = looks[0], looks[-1]
    growth = last.memory / first.memory - 1
    print(f"memory {growth:+.1%}, threads {last.threads - first.threads:+}, handles", end=" ")
    print(f"{last.handles - first.handles:+}, since the first tenth")
    sys.exit(growth > 0.05 or last.threads > first.threads or last.handles > first.handles)


if __name__ == "__main__":
    typer.run(main)
