"""Runs that are killed leave nothing half-written, and the next goes on: a few of scripts/kill_runs.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "kill_runs.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no processes are forked there")
def test_runs_that_are_killed_lose_nothing() -> None:
    command = [sys.executable, SCRIPT, "--runs", "8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 runs where all was well, 0 where it was not" in done.stdout
