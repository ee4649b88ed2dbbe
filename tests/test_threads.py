"""How torch's threads are told to work before it is loaded."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from veil.core import threads

SCRIPTS = sorted((Path(__file__).parents[1] / "scripts").glob("*.py"))
TEXTS = {script: script.read_text(encoding="utf-8") for script in SCRIPTS}
RUN = [path for path, text in TEXTS.items() if "__main__" in text and re.search(r"^\s*from veil", text, re.M)]

PROGRAM = """
from veil.core.threads import configure_threads
configure_threads()
import hashlib
from skimage.data import astronaut
from veil.attacks.faces.detection import find_faces
from veil.core.progress import finish
from veil.core.types import Photo, tracks_of
from veil.privacy import protect
from veil.privacy.settings import settings
photo = Photo(astronaut()[20:260, 100:340].copy(), "photo.png")
done = finish(protect(tracks_of(photo, find_faces(photo.pixels)), settings(steps=8)))
print(done.worst_margins, hashlib.sha256(done.photo.pixels).hexdigest())
"""


def test_threads_sleep_when_they_have_waited_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", environment)
    threads.configure_threads()
    assert environment == {"MKL_CBWR": "AUTO", "GOMP_SPINCOUNT": threads.SPINS}


@pytest.mark.parametrize("waiting", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "7"}])
def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch, waiting: dict[str, str]) -> None:
    environment = {"MKL_CBWR": "COMPATIBLE", **waiting}
    monkeypatch.setattr(os, "environ", environment)
    threads.configure_threads()
    assert environment == {"MKL_CBWR": "COMPATIBLE", **waiting}


@pytest.mark.parametrize("script", RUN, ids=lambda script: script.stem)
def test_scripts_settle_their_threads_before_all_else(script: Path) -> None:
    """What else they import loads torch, which asks only then."""
    lines = [line for line in ast.parse(script.read_text(encoding="utf-8")).body if not ignored(line)]
    assert [ast.unparse(line) for line in lines[:2]] == [
        "from veil.core.threads import configure_threads",
        "configure_threads()",
    ]


def ignored(line: ast.stmt) -> bool:
    """Whether a statement is a docstring or tells of the future."""
    told = isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
    return told or (isinstance(line, ast.ImportFrom) and line.module == "__future__")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_result_to_the_bit() -> None:
    first, second = (
        subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert len(first.split()) == 2
    assert first == second
