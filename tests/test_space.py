"""What hosts need, as far as it can be tried without them: the Space's app under a stand-in for ZeroGPU."""

from __future__ import annotations

import pickle
import re
import runpy
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from veil.core.errors import NoFace
from veil.core.progress import WithResult
from veil.core.types import Face, Photo, Stage, Step, Steps, Track, tracks_of
from veil.privacy import Protected
from veil.privacy.settings import EFFORTS, SECONDS, settings
from veil.ui import workflow
from veil.ui.web.sessions import Visitors

ROOT = Path(__file__).parents[1]
PHOTO = Photo(np.zeros((2, 2, 3), np.uint8), "blank.png")
FACE = Face(np.zeros(4), np.zeros((5, 2)))
TRACKS = tracks_of(PHOTO, [FACE])


LENT: list[int] = []  # for how many seconds


def gpu(duration: Callable[..., int]) -> Callable[..., Any]:
    """As `spaces.GPU` on ZeroGPU: whatever goes in and out is pickled; a generator's result is lost."""

    def decorate(task: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(task)
        def handler(*arguments: Any) -> Iterator[Any]:
            LENT.append(duration(*arguments))
            for item in task(*pickle.loads(pickle.dumps(arguments))):
                yield pickle.loads(pickle.dumps(item))

        return handler

    return decorate


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs the Space's app over an engine; returns the protection that the page would then use."""

    def run(engine: Callable[..., Steps[Protected]]) -> Any:
        monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=gpu))
        monkeypatch.setenv("VEIL_HOSTED", "")  # so that it is put back afterwards
        monkeypatch.setattr(workflow, "protect", engine)
        runpy.run_path(str(ROOT / "ui" / "space" / "app.py"), run_name="app")
        return workflow.protect

    return run


def test_a_lent_gpu_passes_on_steps_and_the_result(space: Callable[..., Any]) -> None:
    def engine(tracks: tuple[Track, ...], *rest: Any) -> Steps[Protected]:
        yield Step(Stage.PROTECTING, 1, 2)
        yield Step(Stage.PROTECTING, 2, 2)
        return Protected((tracks[0].key.frame,), tracks, ({},), workflow.Settings())

    run = WithResult(space(engine)(TRACKS, workflow.Settings(), None))
    assert [step.done for step in run] == [1, 2]
    assert run.result.photo.name == "blank.png"
    assert run.result.photo is run.result.tracks[0].key.frame  # also after pickling


def test_a_lent_gpu_tells_of_errors_and_can_be_stopped(space: Callable[..., Any]) -> None:
    closed: list[bool] = []

    def engine(tracks: tuple[Track, ...], *rest: Any) -> Steps[Protected]:
        try:
            yield Step(Stage.PROTECTING, 1, 2)
            raise NoFace("No face.", "Another photo.")
        finally:
            closed.append(True)

    work = space(engine)(TRACKS, workflow.Settings(), None)
    assert next(work).done == 1
    work.close()
    assert closed == [True]
    with pytest.raises(NoFace) as error:
        list(space(engine)(TRACKS, workflow.Settings(), None))
    assert error.value.hint == "Another photo."


@pytest.mark.parametrize("effort", EFFORTS)
def test_a_gpu_is_lent_for_as_long_as_an_effort_takes(space: Callable[..., Any], effort: str) -> None:
    def engine(tracks: tuple[Track, ...], *rest: Any) -> Steps[Protected]:
        yield Step(Stage.PROTECTING, 1, 1)
        return Protected((tracks[0].key.frame,), tracks, ({},), workflow.Settings())

    for faces in (1, 4):
        list(space(engine)(tracks_of(PHOTO, [FACE] * faces), settings(effort=effort), None))
        assert LENT[-1] >= 10 + SECONDS[effort] * faces


def test_the_work_knows_who_asked(tmp_path: Path) -> None:
    """ZeroGPU reads the request from a context variable, which a thread does not have by itself."""
    asked: ContextVar[str] = ContextVar("asked", default="nobody")
    asked.set("ann")

    def work() -> Steps[str]:
        yield Step(Stage.PROTECTING, 1, 1)
        return asked.get()

    visitors = Visitors(tmp_path, None, 1)
    with visitors.follow(visitors.of("ann"), work()) as follower:
        assert follower.ended.wait(10)
        assert follower.result == "ann"


def test_a_space_installs_what_the_package_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "ui" / "space" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == project["dependencies"]
    front = (ROOT / "ui" / "space" / "README.md").read_text(encoding="utf-8").split("---")[1]
    facts = dict(line.split(": ", 1) for line in front.strip().splitlines())
    assert facts["sdk"] == "gradio"
    assert (ROOT / "ui" / "space" / facts["app_file"]).exists()
    assert int(facts["sdk_version"].split(".")[0]) == 6
    assert len(facts["short_description"]) <= 60  # more is refused
    assert facts["tags"].startswith("[")
    assert (ROOT / facts["thumbnail"].partition("/main/")[2]).is_file()


def test_the_dockerfile_names_what_there_is() -> None:
    text = (ROOT / "ui" / "space" / "Dockerfile").read_text(encoding="utf-8")
    command = re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)
    assert command
    from typer.testing import CliRunner

    from veil.ui.cli import app

    _, *words = [word.strip('" ') for word in command[1].strip("[]").split(",")]
    known = CliRunner().invoke(app, [words[0], "--help"], env={"COLUMNS": "200"}).output
    assert all(word in known for word in words[1:] if word.startswith("--"))
