"""Whatever is killed, and whenever: nothing finished is lost or done twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from veil.core.errors import VeilError
from veil.core.progress import finish
from veil.eval.resumable import Store, run

# A stand-in for a benchmark: quick work that writes down when it begins and how it ends.
PROGRAM = """
import os, sys, time
from pathlib import Path
from veil.core.progress import finish
from veil.eval.resumable import Store, run

FOLDER = Path(sys.argv[1])

def work(number):
    with (FOLDER / "begun").open("a") as log:
        log.write(f"{number}\\n")
    time.sleep(0.03)
    if number == 7 and not (FOLDER / "killed").exists():
        (FOLDER / "killed").touch()
        os.kill(os.getpid(), 9)
    return {".png": b"p" * 100_000, ".npz": str(number).encode()}

if __name__ == "__main__":
    pieces = [(f"photo/{number}", number) for number in range(60)]
    done = finish(run(pieces, work, Store(FOLDER, ".npz"), workers=2, cluster=sys.argv[2] or None))
    print(done)
"""


def start(folder: Path, cluster: str = "") -> subprocess.Popen[str]:
    (folder / "program.py").write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, str(folder / "program.py"), str(folder), cluster],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(folder: Path) -> dict[str, int]:
    """The finished pieces, and when each was."""
    return {path.stem: path.stat().st_mtime_ns for path in folder.glob("photo/*.npz")}


def begun(folder: Path) -> list[str]:
    log = folder / "begun"
    return log.read_text().split() if log.exists() else []


def is_complete(folder: Path) -> None:
    assert sorted(map(int, finished(folder))) == list(range(60))
    for number in range(60):
        assert (folder / f"photo/{number}.npz").read_bytes() == str(number).encode()
        assert (folder / f"photo/{number}.png").stat().st_size == 100_000


@pytest.mark.slow
def test_ten_kills_lose_and_repeat_nothing(tmp_path: Path) -> None:
    (tmp_path / "killed").touch()
    chance = random.Random(0)
    for _ in range(10):
        before = finished(tmp_path)
        process = start(tmp_path)
        time.sleep(chance.uniform(0.2, 1.4))
        process.kill()
        process.communicate()
        time.sleep(0.2)  # for its workers, which end with it
        after = finished(tmp_path)
        assert {name: after[name] for name in before} == before
    known, tried = finished(tmp_path), len(begun(tmp_path))
    process = start(tmp_path)
    output, complaint = process.communicate(timeout=60)
    assert process.returncode == 0, complaint
    assert int(output) == 60 - len(known)
    is_complete(tmp_path)
    assert not set(begun(tmp_path)[tried:]) & set(known)
    assert {name: finished(tmp_path)[name] for name in known} == known


@pytest.mark.slow
def test_a_killed_run_leaves_no_worker_behind(tmp_path: Path) -> None:
    (tmp_path / "killed").touch()
    process = start(tmp_path)
    while len(begun(tmp_path)) < 4:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    time.sleep(0.3)
    count = len(begun(tmp_path))
    time.sleep(0.4)
    assert len(begun(tmp_path)) == count


@pytest.mark.slow
def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    process = start(tmp_path)
    output, complaint = process.communicate(timeout=60)
    assert process.returncode == 0, complaint
    assert int(output) == 60
    assert (tmp_path / "killed").exists()
    is_complete(tmp_path)


@pytest.mark.slow
def test_ray_gives_the_same_and_survives_a_killed_worker(tmp_path: Path) -> None:
    process = start(tmp_path, "local")
    output, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, complaint
    assert int(output.split()[-1]) == 60
    assert (tmp_path / "killed").exists()
    is_complete(tmp_path)


@pytest.mark.slow
def test_a_piece_that_always_kills_its_worker_is_told(tmp_path: Path) -> None:
    with pytest.raises(VeilError, match="died again"):
        finish(run([("a", 3), ("b", 4)], exit_hard, Store(tmp_path, ".npz"), workers=1))


def exit_hard(number: int) -> dict[str, bytes]:
    import os

    os._exit(number)


def test_work_in_this_process(tmp_path: Path) -> None:
    store = Store(tmp_path, ".npz")
    pieces = [("a/1", 1), ("a/2", 2)]
    assert finish(run(pieces, lambda number: {".npz": bytes(number)}, store, workers=0)) == 2
    assert finish(run(pieces, lambda number: {".npz": bytes(number)}, store, workers=0)) == 0
    assert store.path("a/2", ".npz").read_bytes() == bytes(2)
