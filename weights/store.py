"""Find, check and read the files of models."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import WeightsCorrupt, WeightsMissing
from .registry import Card, card

if TYPE_CHECKING:
    from torch import Tensor

PACKAGED = Path(__file__).with_name("packaged")

_folders = [PACKAGED, Path.home() / ".cache" / "veil"]  # where files are looked for, in this order


def use_cache(folder: Path) -> None:
    """Look for files that are not packaged in `folder` from now on."""
    _folders[1] = folder


def path(name: str) -> Path:
    """Where the file of a model lies: packaged or in the cache folder; checked once in a process.

    Raises:
        UnknownName: no model has this name.
        WeightsMissing: its file is in neither place.
        WeightsCorrupt: its file does not have the checksum that its card states.
    """
    return _checked(name, *_folders)


@cache
def _checked(name: str, *folders: Path) -> Path:
    model = card(name)
    file = next((folder / model.file for folder in folders if (folder / model.file).is_file()), None)
    if file is None:
        raise WeightsMissing(f"The file of the model {name!r} is not on this machine.", _remedy(model))
    if sha256(file.read_bytes()).hexdigest() != model.sha256:
        raise WeightsCorrupt(
            f"{file.name} is damaged: its checksum is not that of the model {name!r}.",
            f"Delete {file}. {_remedy(model)}",
        )
    return file


def _remedy(model: Card) -> str:
    return "Install veil again." if model.packaged else f"Put {model.file} into {_folders[1]}."


def load(name: str) -> dict[str, Tensor]:
    """Read the tensors of a model as float32, on the CPU.

    Raises:
        UnknownName, WeightsMissing, WeightsCorrupt: as `path` does.
    """
    from safetensors.torch import load_file

    return {key: value.float() for key, value in load_file(path(name)).items()}
