"""Kill veil at random moments, fill its disk, make it read-only: what is left, and does the next run go on?

    python scripts/kill_runs.py [--runs 200] [--seed 0] [--minutes 60]

Protects two photos of scikit-image's astronaut (`veil protect`), does so as an album of the page, and runs a
small benchmark, each with one step, in processes of their own. They end by SIGKILL or SIGTERM, after a random
time or as they touch a random file; or no file may grow beyond a random size; or (for root) the file system
is full or read-only. Ends with 1 where an original changed, a result was half-written, or the next run did
not end well or left something behind.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

import gc
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias
from zipfile import ZipFile

import torch
import typer
from PIL import Image
from skimage.data import astronaut

from veil.attacks.faces import search
from veil.core.errors import VeilError
from veil.core.progress import finish
from veil.eval.benchmark import unpack
from veil.eval.report import assess
from veil.privacy.settings import EFFORTS
from veil.ui import workflow
from veil.ui.cli import app
from veil.ui.web import server as page
from veil.ui.web.results import wish
from veil.ui.web.tabs.album import Album, continued, each

JUDGES = ("mobilefacenet", "mobileface")
BENCHMARK = """
title = "Killed"
dataset = "photos"
judges = ["mobilefacenet"]
pool = ["mobileface"]
measures = []
methods = [
    { name = "pgd", method = "pgd", settings = { steps = 1 } },
    { name = "noise", method = "random-noise", attacks = false, settings = { steps = 1 } },
]
"""
TOUCHES = ("open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod")
Work: TypeAlias = Callable[[Path], int]


class Case(NamedTuple):
    """What is run in a folder, whose originals lie in photos/, and how its results are looked at."""

    work: Work
    look: Callable[[Path, bool], None]  # raises where a result is not whole or, where all are due, absent
    ends: tuple[int, ...]  # the exit codes of a run that goes on


def make(folder: Path) -> None:
    """Two originals, and the file of a benchmark."""
    (folder / "photos").mkdir(parents=True)
    (folder / "tmp").mkdir()
    portrait = Image.fromarray(astronaut()[30:210, 130:310])
    for number, ending in enumerate(("png", "jpg")):
        portrait.rotate(5 * number).save(folder / "photos" / f"{number}.{ending}")
    (folder / "killed.toml").write_text(BENCHMARK)


def originals(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of the originals."""
    photos = [path for path in (folder / "photos").iterdir() if path.stem.isdigit()]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in photos}


def protect(folder: Path) -> int:
    """`veil protect` of a folder."""
    command = ["protect", str(folder / "photos"), "--effort", "quick", "--surrogates", "mobileface"]
    return app(command, standalone_mode=False) or 0


def protected(folder: Path, all_due: bool) -> None:
    """Every picture can be read and has a report, and no report stands alone."""
    files = [path for path in (folder / "photos").iterdir() if ".veiled" in path.name]
    for path in files:
        whole(path)
    pictures = {path.stem for path in files if path.suffix != ".json"}
    assert pictures == {path.stem for path in files if path.suffix == ".json"} or not all_due, files
    assert len(pictures) == 2 or not all_due, files


def whole(path: Path) -> None:
    """Check that a file is as long as it ought to be."""
    if path.suffix == ".json":
        workflow.Record.model_validate_json(path.read_bytes())
    else:
        with Image.open(path) as image:
            image.load()


def album(folder: Path) -> int:
    """The tab Album of an open page, whose zip is downloaded in the end."""
    try:
        return _album(folder)
    except OSError:  # as `veil ui` does
        return 2


def _album(folder: Path) -> int:
    with page.opened() as (blocks, _):
        opened: Any = blocks.veil  # pyright: ignore[reportAttributeAccessIssue]
        visitor, asked = opened.visitors.of("ann"), wish("balanced", "quick", surrogates=["mobileface"])
        paths = sorted(str(path) for path in (folder / "photos").iterdir())
        held = Album()
        for path in paths:
            with suppress(VeilError, OSError):  # it becomes a row that says so
                held = continued(opened, held, visitor, paths, asked)
                finish(each(opened, path, asked, None, visitor, held))
        with suppress(OSError):
            held.pack()
        if held.zip and held.zip.exists():
            _check_zip(held.zip, 2 * held.count)
            shutil.move(held.zip, folder / "album.zip")
    return 0 if held.count == len(paths) else 2


def _check_zip(file: Path, count: int) -> None:
    with ZipFile(file) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == count, archive.namelist()


def zipped(folder: Path, all_due: bool) -> None:
    """The zip holds all results; it is not there where it was not downloaded."""
    if all_due:
        _check_zip(folder / "album.zip", 4)


def benchmark(folder: Path) -> int:
    """`veil benchmark` with two methods, beside none, and two photos."""
    command = ["benchmark", str(folder / "killed.toml"), "--faces", str(folder), "--workers", "0"]
    return app([*command, "-o", str(folder / "run")], standalone_mode=False) or 0


def measured(folder: Path, all_due: bool) -> None:
    """Every piece that says it is finished can be read, and in the end all are there."""
    pieces = list((folder / "run").rglob("*.npz"))
    for path in pieces:
        unpack(path)
        whole(path.with_suffix(".png"))
    if all_due:
        assert len(pieces) == 6, pieces
        assert len((folder / "run" / "rows.csv").read_text().splitlines()) == 7
        assert (folder / "run" / "report.html").read_text().rstrip().endswith("</html>")


CASES = {
    "protect": Case(protect, protected, (0, 2, 3)),  # 2: results of the run before are left as they are
    "album": Case(album, zipped, (0,)),
    "benchmark": Case(benchmark, measured, (0,)),
}


class Counted:
    """Hears of whatever touches a file below a folder, and sends a signal at the given one."""

    def __init__(self, folder: Path, at: int = 0, end: int = signal.SIGKILL) -> None:
        self.folder, self.at, self.end, self.count = str(folder), at, end, 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in TOUCHES and isinstance(arguments[0], (str, bytes, os.PathLike)):
            inside = os.fsdecode(arguments[0]).startswith(self.folder)
            self.count += inside
            if inside and self.count == self.at:
                os.kill(os.getpid(), self.end)


def start(folder: Path, work: Work, before: Callable[[], object] = lambda: None) -> int:
    """Work in a process of its own, what it says going to a file; returns its number."""
    if process := os.fork():
        return process
    code = 70
    try:
        log = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as veil's own programs do
        tempfile.tempdir = str(folder / "tmp")
        before()
        code = work(folder)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)


def ended(process: int) -> int:
    """The exit code of a process, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def how_long(folder: Path, case: Case) -> tuple[float, int]:
    """Seconds that a whole run takes, and how many files it touches."""
    make(folder)
    counted, told = Counted(folder), folder.with_suffix(".count")

    def work(place: Path) -> int:
        code = case.work(place)
        told.write_text(str(counted.count))
        return code

    began = time.monotonic()
    code = ended(start(folder, work, lambda: sys.addaudithook(counted)))
    assert code in case.ends, (code, folder.with_suffix(".log").read_text())
    case.look(folder, True)
    shutil.rmtree(folder)
    return time.monotonic() - began, int(told.read_text())


def at_a_time(end: int, folder: Path, case: Case, seconds: float, chance: random.Random) -> int:
    """Send a signal after a while."""
    process = start(folder, case.work)
    time.sleep(chance.uniform(0, 0.7 * seconds))  # the first, which was measured, is the slowest
    os.kill(process, end)  # a process that has ended waits to be looked at
    return ended(process)


def at_a_file(end: int, folder: Path, case: Case, touches: int, chance: random.Random) -> int:
    """Send a signal when a file is touched."""
    counted = Counted(folder, chance.randint(1, touches), end)
    return ended(start(folder, case.work, lambda: sys.addaudithook(counted)))


def small_files(folder: Path, case: Case, chance: random.Random) -> int:
    """Let no file grow beyond a size, as if the disk were full."""
    size = int(10 ** chance.uniform(0, 5))
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))
    return ended(start(folder, case.work, limit))


def mounted(room: int | None, folder: Path, case: Case) -> int:
    """Work in a file system of its own with so many bytes of room, or where None, read-only.

    Where the next run goes on, there is room.
    """
    kept = folder.with_suffix(".kept")
    shutil.move(folder, kept)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=True)
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        size = None if room is None else shutil.disk_usage(folder).used + room
        options = f"remount,size={size}" if size else "remount,ro"
        subprocess.run(["mount", "-o", options, folder], check=True)
        code = ended(start(folder, case.work))
        shutil.rmtree(kept)
        shutil.copytree(folder, kept)
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()
        shutil.move(kept, folder)
    return code


def tried(folder: Path, case: Case, end: Callable[[Path, Case], int]) -> int:
    """One run that ends early, and the next, which goes on; returns the first one's exit code."""
    make(folder)
    before = originals(folder)
    code = end(folder, case)
    log = folder.with_suffix(".log").read_text()
    assert "Traceback" not in log, log
    assert originals(folder) == before
    case.look(folder, False)
    next_code = ended(start(folder, case.work))
    log = folder.with_suffix(".log").read_text()
    assert next_code in case.ends, (next_code, log)
    assert "Traceback" not in log, log
    assert originals(folder) == before
    case.look(folder, True)
    left = [path for path in folder.rglob("*") if path.name.startswith(".") or path.parent.name == "tmp"]
    assert not left, left
    shutil.rmtree(folder)
    return code


def load_networks() -> None:
    """What a first run loads, so that those that are forked from here have it; no step is taken back yet."""
    torch.set_num_threads(1)
    EFFORTS["quick"] = {"steps": 1, "embedding_steps": 1}
    vars(workflow).update(assess=partial(assess, recognizers=JUDGES))
    import_module("veil.eval.html_report")
    with tempfile.TemporaryDirectory() as name:
        make(Path(name) / "warm")
        photo = workflow.open_photo(Path(name) / "warm" / "photos" / "0.png")
    workflow.assess(photo, photo, faces=search(photo.pixels).numbered)
    gc.freeze()


def main(
    runs: Annotated[int, typer.Option(min=1, help="How many are ended early.")] = 200,
    seed: Annotated[int, typer.Option(help="Of what is random.")] = 0,
    minutes: Annotated[float, typer.Option(help="When to end at the latest.")] = 60,
) -> None:
    """End runs early, look at what is left, and count."""
    chance, latest = random.Random(seed), time.monotonic() + 60 * minutes
    load_networks()
    done, wrong, limits = Counter[str](), 0, dict[str, tuple[float, int]]()
    with tempfile.TemporaryDirectory() as name:
        for number in range(runs):
            kind = list(CASES)[number % len(CASES)]
            if kind not in limits:
                limits[kind] = how_long(Path(name) / kind, CASES[kind])
            seconds, touches = limits[kind]
            ends: dict[str, Callable[[Path, Case], int]] = {}
            for end in (signal.SIGKILL, signal.SIGTERM):
                ends[f"{end.name} at a file"] = partial(at_a_file, end, touches=touches, chance=chance)
                ends[f"{end.name} at a time"] = partial(at_a_time, end, seconds=seconds, chance=chance)
            ends["files bounded"] = partial(small_files, chance=chance)
            if os.geteuid() == 0:
                ends["disk full"] = partial(mounted, chance.randrange(0, 300_000, 4096))
                ends["read-only"] = partial(mounted, None)
            end = list(ends)[number // len(CASES) % len(ends)]
            try:
                code = tried(Path(name) / str(number), CASES[kind], ends[end])
                done[f"{kind}, {end}: exit code {code}"] += 1
                print(f"{number}: {kind}, {end}: exit code {code}", flush=True)
            except Exception:
                wrong += 1
                print(f"{number}: {kind}, {end}:\n{traceback.format_exc()}", flush=True)
            if time.monotonic() > latest:
                break
    print(*(f"{count:4} {what}" for what, count in sorted(done.items())), sep="\n")
    print(f"{done.total()} runs where all was well, {wrong} where it was not")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    typer.run(main)
