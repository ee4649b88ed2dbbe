"""How the threads of torch's libraries work: they ask the environment, once, when they are loaded."""

from __future__ import annotations

import os

SPINS = "1000"  # rounds of libgomp's loop, some microseconds; 300,000 where nothing is said


def configure_threads() -> None:
    """Make results repeatable, and work beside other programs bearable; call it before torch is imported.

    MKL gives the same seed the same bits only where asked to, at no cost. OpenMP's threads wait for each
    other by spinning: the quickest way while all of them run, but where others need the cores, a thread spins
    away the very time that the one it waits for needs. So they spin a little, and then sleep. What the user
    has set stays.
    """
    os.environ.setdefault("MKL_CBWR", "AUTO")
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
