"""Find, check and read the files of models."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import WeightsCorrupt, WeightsMissing
from . import registry
from .registry import Card, card

if TYPE_CHECKING:
    from torch import Tensor

PACKAGED = registry.folders[0]
SNAPSHOT = "model_index.json"  # what every folder of diffusers holds


def use_cache(folder: Path) -> None:
    """Look for files that are not packaged in `folder` from now on."""
    registry.folders[1] = folder
    registry.cards.cache_clear()


def path(name: str) -> Path:
    """Where the file of a model lies: packaged or in the cache folder; checked once in a process.

    Of a model that is a folder ("name:folder", or a hub id that was fetched before) it is the folder. Nothing
    is ever downloaded here: that is `fetch`.

    Raises:
        UnknownName: no model has this name.
        WeightsMissing: it is in neither place.
        WeightsCorrupt: its file does not have the checksum that its card states.
    """
    model = card(name)
    return _checked(model.name, *registry.folders) if model.file else _folder(model)


def _folder(model: Card) -> Path:
    """Where a folder of diffusers is: the one that is named, or the hub's own cache."""
    folder = Path(model.model).expanduser()
    if not folder.is_dir():
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        try:
            folder = Path(snapshot_download(model.model, local_files_only=True))
        except HFValidationError as error:
            raise WeightsMissing(f"There is no folder {model.model}.", "Check its name.") from error
        except LocalEntryNotFoundError as error:
            raise WeightsMissing(f"{model.model} is not on this machine.", _remedy(model)) from error
    if not (folder / SNAPSHOT).is_file():
        raise WeightsMissing(f"{folder} is no complete model: it has no {SNAPSHOT}.", _remedy(model))
    return folder


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
    return "Install veil again." if model.packaged else f"Run `veil fetch {model.name}`."


def load(name: str) -> dict[str, Tensor]:
    """Read the tensors of a model as float32, on the CPU.

    Raises:
        UnknownName, WeightsMissing, WeightsCorrupt: as `path` does.
    """
    from safetensors.torch import load_file

    return {key: value.float() for key, value in load_file(path(name)).items()}
