"""Weights that an adversary trained: files that anybody makes by the recipe, and that no card tells of."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_model
from torch import nn

from ...core.errors import WeightsCorrupt, WeightsMissing
from ...core.files import atomic_write

Module = TypeVar("Module", bound=nn.Module)
RECIPE = "Train it: python weights/recipes/train_trackers.py."
LEARNT_FROM = "cloaked_photos"  # how many, in the file's metadata


def save(network: nn.Module, file: Path, photos: int) -> None:
    """Write a network that learnt from so many cloaked photos."""
    with atomic_write(file, replace=True) as (part,):
        save_model(network, str(part), {LEARNT_FROM: str(photos)})


def load(network: Module, file: Path) -> tuple[Module, int]:
    """A network with its weights, for use alone, and from how many cloaked photos it learnt.

    Raises:
        WeightsMissing: there is no such file.
        WeightsCorrupt: it holds no weights of this network.
    """
    if not file.is_file():
        raise WeightsMissing(f"There is no file {str(file)!r}.", RECIPE)
    try:
        with safe_open(file, "pt") as opened:
            photos = int((opened.metadata() or {})[LEARNT_FROM])
        load_model(network, str(file))
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsCorrupt(f"{file} does not hold the weights that it should.", RECIPE) from error
    return network.eval().requires_grad_(False), photos
