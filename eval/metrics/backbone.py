"""Networks that some metrics need and veil does not ship: used where they are, never downloaded."""

from __future__ import annotations

from pathlib import Path

import torch

from ...core.errors import WeightsMissing


def require(metric: str, *files: str) -> None:
    """Check that the files of a metric lie where torch keeps what it has once downloaded.

    Raises:
        WeightsMissing: one does not.
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    for file in files:
        if not (folder / file).exists():
            raise WeightsMissing(
                f"{metric.upper()} needs {file}, which is not on this machine.",
                f"Put it into {folder}, or leave {metric} out of the measures.",
            )
