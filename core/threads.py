"""How the threads of torch's libraries work: they ask the environment, once, when they are loaded."""

from __future__ import annotations

import os

import psutil

LOOK = 0.1  # seconds: how long the cores are watched
BUSY = 25.0  # percent of them that others take, from which threads had better sleep while they wait


def settle() -> None:
    """Make results repeatable, and work beside other programs bearable; call it before torch is imported.

    MKL gives the same seed the same bits only where asked to, at no cost. OpenMP's threads wait for each
    other by spinning: the quickest way on idle cores, but where others keep these busy, a thread spins away
    the very time that the one it waits for needs. What the user has set stays.
    """
    os.environ.setdefault("MKL_CBWR", "AUTO")
    if psutil.cpu_percent(LOOK) > BUSY:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
