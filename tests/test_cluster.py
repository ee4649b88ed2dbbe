"""An album on a cluster: what is written and said is what one machine writes and says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image
from skimage.data import astronaut
from typer.testing import CliRunner, Result

from veil.attacks.faces.tracks import Tracks
from veil.core.errors import VeilError
from veil.core.types import Sighting, Stage, Step, Steps, Track
from veil.privacy import Protected
from veil.privacy.settings import Settings
from veil.ui import clip_cluster, cluster, workflow
from veil.ui.cli import app
from veil.ui.records import Record

PORTRAIT = astronaut()[20:260, 100:340]


def engine(tracks: Sequence[Track], settings: Settings, target: Sighting | None) -> Steps[Protected]:
    """Covers faces with noise."""
    photo = tracks[0].key.frame
    pixels, noise = photo.pixels.copy(), np.random.default_rng(settings.seed)
    for track in tracks:
        yield Step(Stage.PROTECTING, 1, 1)
        left, top, right, bottom = track.key.face.box.round().astype(int).clip(0)
        part = pixels[top:bottom, left:right]
        part[:] = noise.integers(0, 256, part.shape)
    return Protected((photo.with_pixels(pixels),), tuple(tracks), ({},) * len(tracks), settings)


@dataclass
class InReverse:
    """A cluster without machines: all is done at once, and the last that was handed out comes first."""

    gpus: int = 0
    fails: str = ""
    done: list[str] = field(default_factory=list)

    def workers(self, gpu: bool = False) -> int:
        return self.gpus if gpu else 2

    def share(self, data: bytes) -> Callable[[], bytes]:
        return lambda: data

    def results(
        self, jobs: Iterable[tuple[str, Any]], work: Callable[[Any], Any], name: str, gpu: bool = False
    ) -> Iterator[tuple[str, Callable[[], Any]]]:
        for key, payload in list(jobs)[::-1]:

            def result(key: str = key, payload: Any = payload) -> Any:
                if name == "protect" and self.fails and self.fails in key:
                    raise VeilError("A worker of the cluster died again and again.", "Is there memory?")
                self.done.append(f"{name} {Path(key).name}")
                return work(payload)

            yield key, result


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> InReverse:
    """The cluster at any address; its engine covers faces with noise, and two recognisers judge."""
    made = InReverse()

    @contextmanager
    def connected(address: str) -> Generator[InReverse]:
        yield made

    monkeypatch.setattr(cluster, "ray_cluster", connected)
    monkeypatch.setattr(workflow, "protect", engine)
    monkeypatch.setattr(workflow, "assess", partial(workflow.assess, recognizers=("dlib", "sface")))
    return made


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Three portraits, and a file that is none; beside it, empty folders for results."""
    for name in "album", "here", "there", "out":
        (tmp_path / name).mkdir()
    folder = tmp_path / "album"
    for name, pixels in ("a", PORTRAIT), ("b", PORTRAIT[:, ::-1]), ("c", PORTRAIT[5:]):
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{name}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def veil(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def said(output: str, folder: Path) -> list[Any]:
    """The objects of --json, without the folder of the results."""
    return [json.loads(line.replace(str(folder), "OUT")) for line in output.splitlines()]


def test_files_words_and_exit_code_are_the_same(album: Path, tmp_path: Path, machines: InReverse) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    alone = veil("protect", album, "-o", here, "--json")
    shared = veil("protect", album, "-o", there, "--json", "--ray", "local")
    assert alone.exit_code == shared.exit_code == 2  # one is no picture
    assert len(files(here)) == 6
    assert files(there) == files(here)
    assert said(shared.stdout, there) == said(alone.stdout, here)
    assert shared.stderr == alone.stderr
    assert machines.done.index("protect c.png") < machines.done.index("protect a.png")


def test_a_run_that_was_stopped_goes_on(album: Path, tmp_path: Path, machines: InReverse) -> None:
    first = veil("protect", album, "-o", tmp_path / "out", "--ray", "local")
    before = files(tmp_path / "out")
    (tmp_path / "out" / "b.veiled.png").unlink()
    (tmp_path / "out" / "b.veiled.json").unlink()
    machines.done.clear()
    again = veil("protect", album, "-o", tmp_path / "out", "--ray", "local")
    assert first.exit_code == again.exit_code == 2
    assert [name for name in machines.done if name.startswith("protect")] == ["protect b.png"]
    assert files(tmp_path / "out") == before


def test_a_photo_that_kills_its_workers_does_not_end_the_others(
    album: Path, tmp_path: Path, machines: InReverse
) -> None:
    machines.fails = "b.png"
    result = veil("protect", album, "-o", tmp_path / "out", "--json", "--ray", "local")
    assert result.exit_code == 2
    assert set(files(tmp_path / "out")) == {
        f"{name}.veiled.{ending}" for name in "ac" for ending in ("png", "json")
    }
    (failed,) = (one for one in said(result.stdout, tmp_path) if one.get("error", "").startswith("A worker"))
    assert failed["photo"].endswith("b.png")
    assert failed["exit"] == 2


def test_a_result_of_another_that_appeared_meanwhile_is_not_replaced(
    album: Path, tmp_path: Path, machines: InReverse, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, write = tmp_path / "out", cluster._write

    def late(job: workflow.Job, content: tuple[bytes, bytes]) -> Record:
        if job.source.name == "b.png":
            job.picture.write_bytes(b"somebody's")
        return write(job, content)

    monkeypatch.setattr(cluster, "_write", late)
    result = veil("protect", album, "-o", out, "--ray", "local")
    assert result.exit_code == 2
    assert files(out)["b.veiled.png"] == b"somebody's"
    assert "b.veiled.json" not in files(out)
    assert "a.veiled.png" in files(out)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--device", "cuda"], "has a device 'cuda'"),
        (["--device", "cuda:1"], "names one of several"),
        (["--album"], "exclude each other"),
    ],
)
def test_what_a_cluster_cannot_do_is_told_first(
    album: Path, tmp_path: Path, machines: InReverse, options: list[str], complaint: str
) -> None:
    result = veil("protect", album, "-o", tmp_path / "out", "--ray", "local", *options)
    assert result.exit_code == 2
    assert complaint in result.stderr.replace("\n", " ")
    assert machines.done == []
    assert files(tmp_path / "out") == {}


def test_a_clip_is_found_and_drawn_elsewhere_with_the_same_bytes(
    film: Any, work: Any, tmp_path: Path, machines: InReverse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_cluster, "find_changes", work.find_changes)
    source = film(tmp_path / "a.mp4", sound=0.0)
    for name, options in ("here", ()), ("there", ("--ray", "local")):
        (tmp_path / name).mkdir()
        result = veil("protect", source, "-o", tmp_path / name, *options)
        assert result.exit_code == 3, result.output  # a face is too small
    assert files(tmp_path / "there") == files(tmp_path / "here")
    assert machines.done == ["protect 1", "draw 10", "draw 5", "draw 0"]
    assert work.found == 2
    machines.fails = "1"
    failed = veil("protect", film(tmp_path / "b.mp4"), "--ray", "local")
    assert failed.exit_code == 2
    assert "died again and again" in failed.stderr.replace("\n", " ")
    assert not (tmp_path / "b.veiled.mp4").exists()
    machines.fails = ""
    assert veil("protect", tmp_path / "b.mp4", "--ray", "local").exit_code == 3
    assert work.followed == 3  # what was found is kept


def test_a_part_of_a_change_draws_the_same(work: Any) -> None:
    tracks = Tracks(work.tracks, (0,), 12)
    part = tracks.between(4, 9)
    for whole, some in zip(tracks.tracks, part.tracks, strict=True):
        for number in range(12):
            mesh = some.mesh(number)
            assert (mesh is None) == (not 4 <= number < 9 or whole.mesh(number) is None)
            assert mesh is None or np.array_equal(mesh, whole.mesh(number))


RUN = "import veil.ui.clip_drawing as d; d.LENGTH = 20; from veil.ui.cli import main; main()"


def start(folder: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    """`veil protect` of a folder or clip, in short segments, on one thread."""
    run = [sys.executable, "-c", RUN, "protect", str(folder)]
    run += ["-o", str(out), "--effort", "quick", "--surrogates", "mobileface", "--json", "--quiet", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return subprocess.Popen(run, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_one(process: subprocess.Popen[str], title: str = "ray::protect") -> bool:
    """Kill the first worker of a run that is found at a kind of work, such as protecting a photo."""
    while process.poll() is None:
        for one in psutil.Process(process.pid).children(recursive=True):
            try:
                if one.cmdline()[:1] == [title]:
                    time.sleep(0.5)
                    one.kill()
                    return True
            except (psutil.Error, IndexError):
                continue
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_a_killed_worker_costs_no_photo_and_no_byte(album: Path, tmp_path: Path) -> None:
    (album / "broken.png").unlink()
    (album / "c.png").unlink()
    alone, shared = start(album, tmp_path / "here"), tmp_path / "there"
    expected, complaint = alone.communicate(timeout=600)
    assert alone.returncode in (0, 3), complaint
    process = start(album, shared, "--ray", "local")
    killed = kill_one(process)
    output, complaint = process.communicate(timeout=600)
    assert killed
    assert process.returncode == alone.returncode, complaint
    assert len(files(shared)) == 4
    assert files(shared) == files(tmp_path / "here")
    assert said(output, shared) == said(expected, tmp_path / "here")


@pytest.mark.slow
def test_a_killed_worker_costs_no_picture_of_a_clip(film: Any, tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4", times=range(0, 50 * 512, 512), sound=0.0)
    runs = {name: tmp_path / name for name in ("here", "there")}
    for folder in runs.values():
        folder.mkdir()
    alone = start(source, runs["here"])
    _, complaint = alone.communicate(timeout=600)
    assert alone.returncode in (0, 3), complaint
    process = start(source, runs["there"], "--ray", "local")
    killed = kill_one(process, "ray::draw")
    _, complaint = process.communicate(timeout=600)
    assert killed
    assert process.returncode == alone.returncode, complaint
    assert len(files(runs["there"])) == 2
    assert files(runs["there"]) == files(runs["here"])
