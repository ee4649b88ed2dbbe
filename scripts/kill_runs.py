"""Kill veil at random moments, fill its disk, make it read-only: what is left, and does the next run go on?

    python scripts/kill_runs.py [--runs 200] [--seed 0] [--minutes 60] [--only clip]

Protects two photos of scikit-image's astronaut (`veil protect`), does so as an album of the page, runs a
small benchmark, and protects a clip in short segments, each with one step, in processes of their own. They
end by SIGKILL or SIGTERM, after a random time or as they touch a random file; or no file may grow beyond a
random size; or (for root) the file system is full or read-only. Ends with 1 where an original changed, a
result was half-written, or the next run did not end well or left something behind, or a clip is not what it
is without interruption.
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
from functools import cache, partial
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias
from zipfile import ZipFile

import av
import numpy as np
import torch
import typer
from PIL import Image
from skimage.data import astronaut

from veil.attacks.faces.detection import search
from veil.core.errors import VeilError
from veil.core.files import PREFIX
from veil.core.progress import finish
from veil.eval.benchmark import unpack
from veil.eval.report import assess
from veil.privacy.settings import EFFORTS
from veil.ui import clip_drawing, clips, records, workflow
from veil.ui.cli import app
from veil.ui.clip_records import ClipRecord
from veil.ui.web import server as page
from veil.ui.web.results import wish
from veil.ui.web.tabs.album import Held, continued, each

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
FILE_EVENTS = ("open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod")
PICTURES = 12  # of the clip, in segments of 4
WHOLE: dict[str, bytes] = {}  # results of runs that were not interrupted
ESCAPED = 70  # the exit code where veil has not caught an error
Task: TypeAlias = Callable[[Path], int]


class Workload(NamedTuple):
    """What is run in a folder, whose originals lie in photos/, and how its results are checked."""

    work: Task
    check: Callable[
        [Path, bool], None
    ]  # (folder, complete): raises where a result is damaged or, if complete, missing
    exit_codes: tuple[int, ...]  # of the next run, which goes on


def make_inputs(folder: Path) -> None:
    """Two originals, and the file of a benchmark."""
    (folder / "photos").mkdir(parents=True)
    (folder / "tmp").mkdir()
    portrait = Image.fromarray(astronaut()[30:210, 130:310])
    for number, ending in enumerate(("png", "jpg")):
        portrait.rotate(5 * number).save(folder / "photos" / f"{number}.{ending}")
    (folder / "killed.toml").write_text(BENCHMARK)
    (folder / "clip").mkdir()
    (folder / "clip" / "0.mp4").write_bytes(filmed())


@cache
def filmed() -> bytes:
    """A clip of the portrait, which moves a little."""
    with av.open(file := BytesIO(), "w", format="mp4") as out:
        stream: Any = out.add_stream("libx264", 30)
        stream.width = stream.height = 160
        for number in range(PICTURES):
            pixels = np.ascontiguousarray(astronaut()[30 + number :, 130 + number :][:160, :160])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        out.mux(stream.encode(None))
    return file.getvalue()


def originals(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and time of the originals."""
    photos = [
        path for kind in ("photos", "clip") for path in (folder / kind).iterdir() if path.stem.isdigit()
    ]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in photos}


def protect(folder: Path) -> int:
    """`veil protect` of a folder."""
    command = ["protect", str(folder / "photos"), "--effort", "quick", "--surrogates", "mobileface"]
    return app(command, standalone_mode=False) or 0


def check_protected(folder: Path, complete: bool) -> None:
    """Every picture can be read and has a report, and no report stands alone."""
    files = [path for path in (folder / "photos").iterdir() if ".veiled" in path.name]
    for path in files:
        check_readable(path)
    pictures = {path.stem for path in files if path.suffix != ".json"}
    assert pictures == {path.stem for path in files if path.suffix == ".json"} or not complete, files
    assert len(pictures) == 2 or not complete, files


def check_readable(path: Path) -> None:
    """Check that a file is as long as it ought to be."""
    if path.suffix == ".json":
        records.Record.model_validate_json(path.read_bytes())
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
        held = Held()
        for path in paths:
            with suppress(VeilError, OSError):  # it becomes a row that says so
                held = continued(opened, held, visitor, paths, asked)
                finish(each(opened, path, asked, None, visitor, held))
        with suppress(OSError):
            held.pack()
        if held.zip and held.zip.exists():
            _check_zip_file(held.zip, 2 * held.count)
            shutil.move(held.zip, folder / "album.zip")
    return 0 if held.count == len(paths) else 2


def _check_zip_file(file: Path, count: int) -> None:
    with ZipFile(file) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == count, archive.namelist()


def check_zip(folder: Path, complete: bool) -> None:
    """The zip holds all results; it is not there where it was not downloaded."""
    if complete:
        _check_zip_file(folder / "album.zip", 4)


def benchmark(folder: Path) -> int:
    """`veil benchmark` with two methods, beside none, and two photos."""
    command = ["benchmark", str(folder / "killed.toml"), "--faces", str(folder), "--workers", "0"]
    return app([*command, "-o", str(folder / "run")], standalone_mode=False) or 0


def check_benchmark(folder: Path, complete: bool) -> None:
    """Every piece that says it is finished can be read, and in the end all are there."""
    found = (folder / "run").rglob("*.npz")
    pieces = [
        path for path in found if not path.parent.name.startswith(PREFIX)
    ]  # those are still to be moved
    for path in pieces:
        unpack(path)
        check_readable(path.with_suffix(".png"))
    if complete:
        assert len(pieces) == 6, pieces
        assert len((folder / "run" / "rows.csv").read_text().splitlines()) == 7
        assert (folder / "run" / "report.html").read_text().rstrip().endswith("</html>")


def clip(folder: Path) -> int:
    """`veil protect` of a clip."""
    command = ["protect", str(folder / "clip"), "--effort", "quick", "--surrogates", "mobileface"]
    return app(command, standalone_mode=False) or 0


def check_clip(folder: Path, complete: bool) -> None:
    """Clip and record are both there or neither, whole, and the clip is the same after every run."""
    result, record = (folder / "clip" / f"0.veiled.{ending}" for ending in ("mp4", "json"))
    assert result.exists() == record.exists() == (complete or result.exists())
    if result.exists():
        ClipRecord.model_validate_json(record.read_bytes())
        with av.open(str(result)) as file:
            assert sum(1 for _ in file.decode(video=0)) == PICTURES
        assert WHOLE.setdefault("clip", result.read_bytes()) == result.read_bytes()


WORKLOADS = {
    "protect": Workload(protect, check_protected, (0, 3)),  # what the run before has done is passed over
    "album": Workload(album, check_zip, (0,)),
    "benchmark": Workload(benchmark, check_benchmark, (0,)),
    "clip": Workload(clip, check_clip, (0, 3)),
}


class KillAtFileEvent:
    """An audit hook: counts file events below a folder, and sends this process a signal at a given one."""

    def __init__(self, folder: Path, at: int = 0, end: int = signal.SIGKILL) -> None:
        self.folder, self.at, self.end, self.count = str(folder), at, end, 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in FILE_EVENTS and isinstance(arguments[0], (str, bytes, os.PathLike)):
            inside = os.fsdecode(arguments[0]).startswith(self.folder)
            self.count += inside
            if inside and self.count == self.at:
                os.kill(os.getpid(), self.end)


def fork(folder: Path, work: Task, before: Callable[[], object] = lambda: None) -> int:
    """Run `work` in a forked process, whose output goes to a log file beside the folder; its process id."""
    if process := os.fork():
        return process
    code = ESCAPED
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


def exit_code_of(process: int) -> int:
    """The exit code of a process, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def measure_whole_run(folder: Path, case: Workload) -> tuple[float, int]:
    """Seconds that a whole run takes, and how many file events it has."""
    make_inputs(folder)
    hook, count_file = KillAtFileEvent(folder), folder.with_suffix(".count")

    def work(place: Path) -> int:
        code = case.work(place)
        count_file.write_text(str(hook.count))
        return code

    began = time.monotonic()
    code = exit_code_of(fork(folder, work, lambda: sys.addaudithook(hook)))
    assert code in case.exit_codes, (code, folder.with_suffix(".log").read_text())
    case.check(folder, True)
    shutil.rmtree(folder)
    return time.monotonic() - began, int(count_file.read_text())


def signal_at_a_time(end: int, folder: Path, case: Workload, seconds: float, rng: random.Random) -> int:
    """Send a signal after a random time."""
    process = fork(folder, case.work)
    time.sleep(rng.uniform(0, 0.7 * seconds))  # the first, which was measured, is the slowest
    os.kill(process, end)  # a process that has ended waits for `waitpid`
    return exit_code_of(process)


def signal_at_a_file(end: int, folder: Path, case: Workload, events: int, rng: random.Random) -> int:
    """Send a signal at a random file event."""
    hook = KillAtFileEvent(folder, rng.randint(1, events), end)
    return exit_code_of(fork(folder, case.work, lambda: sys.addaudithook(hook)))


def limit_file_size(folder: Path, case: Workload, rng: random.Random) -> int:
    """Let no file grow beyond a size, as if the disk were full."""
    size = int(10 ** rng.uniform(0, 5))
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))
    return exit_code_of(fork(folder, case.work, limit))


def on_file_system(room: int | None, folder: Path, case: Workload) -> int:
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
        code = exit_code_of(fork(folder, case.work))
        shutil.rmtree(kept)
        shutil.copytree(folder, kept)
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()
        shutil.move(kept, folder)
    return code


def kill_and_resume(folder: Path, case: Workload, end: Callable[[Path, Workload], int]) -> int:
    """One run that ends early, and the next, which goes on; returns the first one's exit code."""
    make_inputs(folder)
    before = originals(folder)
    code = end(folder, case)
    log = folder.with_suffix(".log").read_text()
    assert code != ESCAPED, log  # a traceback may find no room
    assert "Traceback" not in log, log
    assert originals(folder) == before
    case.check(folder, False)
    next_code = exit_code_of(fork(folder, case.work))
    log = folder.with_suffix(".log").read_text()
    assert next_code in case.exit_codes, (next_code, log)
    assert "Traceback" not in log, log
    assert originals(folder) == before
    case.check(folder, True)
    left = [path for path in folder.rglob("*") if path.name.startswith(".") or path.parent.name == "tmp"]
    assert not left, left
    shutil.rmtree(folder)
    return code


def load_networks() -> None:
    """What a first run loads, so that those that are forked from here have it; no step is taken back yet."""
    torch.set_num_threads(1)
    EFFORTS["quick"] = {"steps": 1, "embedding_steps": 1}
    vars(workflow).update(assess=partial(assess, recognizers=JUDGES))
    vars(clips).update(packaged=lambda: JUDGES)
    clip_drawing.LENGTH = 4
    import_module("veil.eval.html_report")
    with tempfile.TemporaryDirectory() as name:
        make_inputs(Path(name) / "warm")
        photo = workflow.open_photo(Path(name) / "warm" / "photos" / "0.png")
    workflow.assess(photo, photo, faces=search(photo.pixels).numbered)
    gc.freeze()


def main(
    runs: Annotated[int, typer.Option(min=1, help="How many are ended early.")] = 200,
    seed: Annotated[int, typer.Option(help="Of what is random.")] = 0,
    minutes: Annotated[float, typer.Option(help="When to end at the latest.")] = 60,
    only: Annotated[str, typer.Option(help="protect, album, benchmark or clip alone.")] = "",
) -> None:
    """End runs early, check what is left, and count."""
    rng, latest = random.Random(seed), time.monotonic() + 60 * minutes
    load_networks()
    kinds = [only] if only else list(WORKLOADS)
    done, wrong, limits = Counter[str](), 0, dict[str, tuple[float, int]]()
    with tempfile.TemporaryDirectory() as name:
        for number in range(runs):
            kind = kinds[number % len(kinds)]
            if kind not in limits:
                limits[kind] = measure_whole_run(Path(name) / kind, WORKLOADS[kind])
            seconds, events = limits[kind]
            endings: dict[str, Callable[[Path, Workload], int]] = {}
            for end in (signal.SIGKILL, signal.SIGTERM):
                endings[f"{end.name} at a file"] = partial(signal_at_a_file, end, events=events, rng=rng)
                endings[f"{end.name} at a time"] = partial(signal_at_a_time, end, seconds=seconds, rng=rng)
            endings["files bounded"] = partial(limit_file_size, rng=rng)
            if os.geteuid() == 0:
                endings["disk full"] = partial(on_file_system, rng.randrange(0, 300_000, 4096))
                endings["read-only"] = partial(on_file_system, None)
            end = list(endings)[number // len(kinds) % len(endings)]
            try:
                code = kill_and_resume(Path(name) / str(number), WORKLOADS[kind], endings[end])
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
