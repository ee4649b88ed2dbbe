"""How torch's threads are told to work before it is loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from veil.core import threads

PROGRAM = """
from veil.core.threads import settle
settle()
import hashlib
from skimage.data import astronaut
from veil.attacks.faces import find_faces
from veil.core.progress import finish
from veil.core.types import Photo
from veil.privacy import protect
from veil.privacy.settings import settings
photo = Photo(astronaut()[20:260, 100:340].copy(), "photo.png")
done = finish(protect(photo, find_faces(photo.pixels), settings(steps=8)))
print(done.leads, hashlib.sha256(done.photo.pixels).hexdigest())
"""


@pytest.mark.parametrize(("busy", "policy"), [(3.0, None), (60.0, "PASSIVE")])
def test_threads_sleep_while_they_wait_where_others_need_the_cores(
    monkeypatch: pytest.MonkeyPatch, busy: float, policy: str | None
) -> None:
    environment: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(psutil, "cpu_percent", lambda seconds: busy)
    threads.settle()
    assert environment.get("OMP_WAIT_POLICY") == policy
    assert environment["MKL_CBWR"] == "AUTO"


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"OMP_WAIT_POLICY": "ACTIVE", "MKL_CBWR": "COMPATIBLE"}
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(psutil, "cpu_percent", lambda seconds: 100.0)
    threads.settle()
    assert environment == {"OMP_WAIT_POLICY": "ACTIVE", "MKL_CBWR": "COMPATIBLE"}


def test_the_same_seed_gives_the_same_result_to_the_bit() -> None:
    first, second = (
        subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert len(first.split()) == 2
    assert first == second
