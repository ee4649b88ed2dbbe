"""Twenty visitors at once against the hosted page: is everyone served, does memory hold?

    python scripts/load_page.py [--visitors 20] [--engine real]

Each visitor uploads a photo of its own (the astronaut with a coloured stripe that tells whose it is), asks
for protection, and checks that what comes back is its own. By default a stand-in of two seconds takes the
engine's place, so that the page is measured and not the engine; `--engine real` waits for the true one.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

import argparse
import multiprocessing
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from gradio_client import Client, handle_file
from PIL import Image
from skimage.data import astronaut

STRIPE = 24  # rows at the bottom, in the visitor's colour


def serve(engine: str, out: Connection) -> None:
    """The process of the page: says where it is, and how long it took to open."""
    from veil import privacy
    from veil.core.types import Stage, Step
    from veil.privacy import Protected
    from veil.ui.web import policy, server

    begun = time.monotonic()

    def stand_in(tracks: Any, settings: Any, target: Any) -> Any:
        photo, face = tracks[0].key.frame, tracks[0].key.face
        for done in range(20):
            sum(range(1_000_000))
            time.sleep(0.08)
            yield Step(Stage.PROTECTING, done + 1, 20, 0.0, photo.pixels[:200, :200])
        pixels = photo.pixels.copy()
        left, top, right, bottom = face.box.astype(int)
        pixels[top:bottom, left:right] //= 2
        return Protected((photo.with_pixels(pixels),), tracks, ({},), settings)

    if engine != "real":
        privacy.METHODS = {"veil": stand_in}  # type: ignore[assignment]
    with server.opened(policy.HOSTED) as (blocks, address):
        page: Any = blocks.veil  # type: ignore[attr-defined]
        out.send((address, time.monotonic() - begun))
        while out.recv() != "end":
            found = [path for path in page.visitors.root.rglob("*") if path.is_file()]
            files = [path for path in found if path.stat().st_size]  # gradio leaves empty ones to the sweep
            out.send((len(page.visitors), len(files)))


def visit(address: str, number: int, folder: Path) -> dict[str, Any]:
    """One visitor's journey: when it was told its place and served, and whether its photo came back."""
    rng = np.random.default_rng(number)
    pixels, colour = astronaut().copy(), rng.integers(0, 256, 3)
    pixels[-STRIPE:] = colour
    photo = folder / f"visitor{number}.png"
    Image.fromarray(pixels).save(photo)
    begun = time.monotonic()
    client = Client(address, download_files=folder / str(number), verbose=False)
    job = client.submit(handle_file(photo), api_name="/protect")
    told, ranks = None, set[int]()
    while not job.done():
        if (rank := job.status().rank) is not None:
            told = told or time.monotonic() - begun
            ranks.add(rank)
        time.sleep(0.1)
    try:
        picture, _ = job.result()
        mine = bool((np.asarray(Image.open(picture))[-STRIPE:] == colour).all())
        outcome = "own photo" if mine else "ANOTHER'S PHOTO"
    except Exception as error:
        outcome = f"refused: {error}"
    spent = time.monotonic() - begun
    client.close()
    return {"outcome": outcome, "told": told, "places": len(ranks), "seconds": spent}


def main() -> None:
    """Open the page, send one visitor and then all at once, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--engine", choices=["stand-in", "real"], default="stand-in")
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(options.engine, there))
    server.start()
    address, opening = here.recv()
    process = psutil.Process(server.pid)
    first = time.monotonic()
    httpx.get(address, timeout=30)
    print(f"start-up {opening:.1f} s, first page {time.monotonic() - first:.2f} s")

    def memory() -> float:
        return process.memory_info().rss / 1e6

    def idle(seconds: float) -> float:
        process.cpu_percent()
        time.sleep(seconds)
        return process.cpu_percent()

    print(f"idle: {memory():.0f} MB, {idle(10):.1f} % of a core")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        visit(address, 999, folder)  # loads the models
        time.sleep(20)
        start, most = memory(), 0.0
        print(f"after one visitor: {start:.0f} MB")
        with ThreadPoolExecutor(options.visitors) as pool:
            begun = time.monotonic()
            waves = [pool.submit(visit, address, number, folder) for number in range(options.visitors)]
            while not all(each.done() for each in waves):
                most = max(most, memory())
                time.sleep(0.2)
            results = [each.result() for each in waves]
        spent = time.monotonic() - begun
    for outcome in sorted({each["outcome"] for each in results}):
        print(f"{sum(each['outcome'] == outcome for each in results)} visitors: {outcome}")
    told = [each["told"] for each in results if each["told"] is not None]
    times = [each["seconds"] for each in results]
    print(f"{len(told)} were told their place, the last after {max(told, default=0):.1f} s")
    middle = statistics.median(times)
    print(f"all done in {spent:.1f} s; each in {min(times):.1f} to {max(times):.1f} s, median {middle:.1f} s")
    print(f"memory at most {most:.0f} MB")
    for wait in (20, 20, 20):
        time.sleep(wait)
        here.send("count")
        visitors, files = here.recv()
        now = memory()
        print(f"then {now:.0f} MB ({now / start - 1:+.1%}), {visitors} visitors and {files} files left")
    print(f"idle: {idle(10):.1f} % of a core")
    here.send("end")
    server.join(20)
    server.terminate()


if __name__ == "__main__":
    main()
