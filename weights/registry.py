"""Which models exist, where they come from and what is known about them: the cards of `cards.toml`.

Reads a text file and imports no torch, so that listing models is quick.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..core.registry import unknown

CARDS = Path(__file__).with_name("cards.toml")


@dataclass(frozen=True)
class Source:
    """The published files that a model was converted from, or the recipe that trained it."""

    package: str  # "registry:name", such as "pypi:face-recognition-models", or the path of a recipe
    version: str = ""
    archive: str = ""  # the file that the registry hands out
    files: Mapping[str, str] = field(default_factory=dict[str, str])  # path inside the archive -> sha256


@dataclass(frozen=True)
class Card:
    """What is known about one model.

    `thresholds` (recognisers only) maps "far10", "far1" and "far01" to the cosine above which two photos
    pass for one person, such that 10, 1 and 0.1 % of the pairs of different people pass.
    """

    name: str
    kind: str  # "recogniser", "prior", ...
    file: str
    sha256: str
    bytes: int
    licence: str
    source: Source
    training: str  # what it was trained on, as far as known
    packaged: bool = True
    shares: str = ""  # the model whose trunk it shares
    notes: str = ""
    thresholds: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def trunk(self) -> str:
        """The name under which recognisers that fall together are one."""
        return self.shares or self.name


def _card(name: str, entry: dict[str, Any]) -> Card:
    source = Source(**entry.pop("source"))
    return Card(name=name, source=source, **entry)


@cache
def cards() -> Mapping[str, Card]:
    """All cards by name, in the order of `cards.toml`."""
    entries = tomllib.loads(CARDS.read_text(encoding="utf-8"))
    return MappingProxyType({name: _card(name, entry) for name, entry in entries.items()})


def card(name: str) -> Card:
    """The card of one model.

    Raises:
        UnknownName: no model has this name; the hint names the closest or all names.
    """
    if name not in cards():
        raise unknown("model", name, cards())
    return cards()[name]
