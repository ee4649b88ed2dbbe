"""Find, check and read the files of models.

A `WeightsStore` is two folders, what is packaged with veil and a cache for what is fetched. It has no state
of its own, and what is cached about its files is keyed by their path, size and time: two stores live side by
side, and a file that changes is read again. Whoever names no store uses the default one: its cache folder is
what the environment variable `VEIL_WEIGHTS` says, or ~/.cache/veil. Processes that are started inherit it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..core.errors import WeightsCorrupt, WeightsMissing
from ..core.files import atomic_write
from .cards import CARDS, Card, complete_cards, find_card, shipped_cards

if TYPE_CHECKING:
    from torch import Tensor

ENVIRONMENT = "VEIL_WEIGHTS"  # the variable that names the default store's cache folder
PACKAGED = Path(__file__).with_name("packaged")
REMEMBERED = "cards.json"
DIFFUSERS_INDEX = "model_index.json"  # what every folder of diffusers holds

Stamp: TypeAlias = tuple[int, int, int]  # of a file: inode, bytes, time of its last change in nanoseconds


@dataclass(frozen=True)
class WeightsStore:
    """The files of models in two folders, and what is remembered about those that were fetched.

    Args:
        cache_dir: where fetched files and `cards.json` lie; it need not exist.
        packaged_dir: what comes with veil; looked into first.
        cards_file: the cards that come with veil, as TOML.
    """

    cache_dir: Path
    packaged_dir: Path = PACKAGED
    cards_file: Path = CARDS

    def cards(self) -> Mapping[str, Card]:
        """All cards by name: in the order of `cards.toml`, then the other models of families that are here.

        Raises:
            WeightsCorrupt: `cards.json` cannot be read.
        """
        file = self.cache_dir / REMEMBERED
        return _cards(self.cards_file, file, _stamp(file))

    def card(self, name: str) -> Card:
        """The card of one model, or of one model of a family.

        Raises:
            UnknownName: no model has this name; the hint names the closest or all names.
        """
        return find_card(name, self.cards())

    def remember(self, name: str, **facts: Any) -> None:
        """Keep facts about a model that is not packaged: fields of its card, in `cards.json`."""
        file = self.cache_dir / REMEMBERED
        everything = _remembered(file)
        everything[name] = everything.get(name, {}) | facts
        self.cache_dir.mkdir(parents=True, exist_ok=True)
        with atomic_write(file, replace=True) as (part,):
            part.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")

    def path(self, name: str) -> Path:
        """Where the file of a model lies; its checksum is computed once for each state of the file.

        Of a model that is a folder ("name:folder", or a hub id that was fetched before) it is the folder.
        Nothing is ever downloaded here: that is `fetch`.

        Raises:
            UnknownName: no model has this name.
            WeightsMissing: it is in neither folder.
            WeightsCorrupt: its file does not have the checksum that its card states.
        """
        model = self.card(name)
        if not model.file:
            return _diffusers_folder(model)
        places = (folder / model.file for folder in (self.packaged_dir, self.cache_dir))
        file = next(filter(Path.is_file, places), None)
        if file is None:
            raise WeightsMissing(
                f"The file of the model {model.name!r} is not on this machine.", _remedy(model)
            )
        if _checksum(file, _stamp(file)) != model.sha256:
            raise WeightsCorrupt(
                f"{file.name} is damaged: its checksum is not that of the model {model.name!r}.",
                f"Delete {file}. {_remedy(model)}",
            )
        return file

    def load(self, name: str) -> dict[str, Tensor]:
        """The tensors of a model by name, as float32 on the CPU.

        Raises:
            UnknownName, WeightsMissing, WeightsCorrupt: as `path` does.
        """
        from safetensors.torch import load_file

        return {key: value.float() for key, value in load_file(self.path(name)).items()}


def default_store() -> WeightsStore:
    """The store of this process, by the environment variable `VEIL_WEIGHTS`."""
    folder = os.environ.get(ENVIRONMENT)
    return WeightsStore(Path(folder) if folder else Path.home() / ".cache" / "veil")


def path(name: str) -> Path:
    """Where a model's file lies in the default store: `WeightsStore.path`."""
    return default_store().path(name)


def load(name: str) -> dict[str, Tensor]:
    """The tensors of a model of the default store: `WeightsStore.load`."""
    return default_store().load(name)


def _stamp(file: Path) -> Stamp | None:
    """What changes when a file does; None where there is no file."""
    if not file.is_file():
        return None
    state = file.stat()
    return state.st_ino, state.st_size, state.st_mtime_ns


@lru_cache
def _cards(shipped: Path, file: Path, stamp: Stamp | None) -> Mapping[str, Card]:
    return complete_cards(shipped_cards(shipped), _remembered(file) if stamp else {})


def _remembered(file: Path) -> dict[str, dict[str, Any]]:
    try:
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise WeightsCorrupt(
            f"{file} is damaged ({error}).", "Delete it, then fetch and calibrate what is not packaged again."
        ) from error


@lru_cache(None)
def _checksum(file: Path, stamp: Stamp | None) -> str:
    return sha256(file.read_bytes()).hexdigest()


def _diffusers_folder(model: Card) -> Path:
    """The folder of a diffusers model: the one that is named, or the hub's own cache."""
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
    if not (folder / DIFFUSERS_INDEX).is_file():
        raise WeightsMissing(f"{folder} is no complete model: it has no {DIFFUSERS_INDEX}.", _remedy(model))
    return folder


def _remedy(model: Card) -> str:
    return "Install veil again." if model.packaged else f"Run `veil fetch {model.name}`."
