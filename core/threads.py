"""Settings of OpenMP and MKL, which read the environment once, when torch loads them."""

from __future__ import annotations

import os

SPINS = "1000"  # iterations of libgomp's busy-wait, some microseconds; 300,000 by default


def configure_threads() -> None:
    """Make results reproducible, and bound OpenMP's busy-waiting; call it before torch is imported.

    MKL gives the same seed the same bits only where asked to (`MKL_CBWR`), at no cost. OpenMP's threads wait
    for each other by spinning: the quickest way on idle cores, but beside other programs a thread spins away
    the very time that the one it waits for needs. So they spin briefly, then sleep. Variables that the user
    has set stay.
    """
    os.environ.setdefault("MKL_CBWR", "AUTO")
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
