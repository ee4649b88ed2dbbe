"""Which models exist, where they come from and what is known about them: the cards of `cards.toml`.

What is learnt here of models that are not packaged, such as the checksum of what was fetched and calibrated
thresholds, is kept in `cards.json` in the cache folder and completes their cards.

Reads text files and imports no torch, so that listing models is quick.
"""

from __future__ import annotations

import json
import os
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

from ..core.errors import BadSettings
from ..core.registry import unknown

CARDS = Path(__file__).with_name("cards.toml")
REMEMBERED = "cards.json"
# How many standard deviations above the mean of strangers' cosines the thresholds lie under a normal law.
DEVIATIONS = {name: NormalDist().inv_cdf(1 - rate) for name, rate in (("far10", 0.1), ("far01", 0.001))}

folders = [  # where files are looked for, in this order: what is packaged, and the cache
    Path(__file__).with_name("packaged"),
    Path.home() / ".cache" / "veil",
]


@dataclass(frozen=True)
class Source:
    """The published files that a model was converted from, or the recipe that trained it."""

    package: str  # "registry:name", such as "pypi:face-recognition-models", or the path of a recipe
    version: str = ""
    archive: str = ""  # the file that the registry hands out
    files: Mapping[str, str] = field(default_factory=dict[str, str])  # path inside the archive -> sha256


class Thresholds(dict[str, float]):
    """A recogniser's thresholds; to ask for one that was never measured is the user's error, not ours."""

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
        """The name under which recognisers that fall together are one."""
        return self.shares or self.name

    @property
    def strangers(self) -> tuple[float, float]:
        """The mean and standard deviation of the cosines of different people, if they are spread normally:
        as the thresholds at FAR 10 and 0.1 % tell."""
        low, high = self.thresholds["far10"], self.thresholds["far01"]
        spread = (high - low) / (DEVIATIONS["far01"] - DEVIATIONS["far10"])
        return low - DEVIATIONS["far10"] * spread, spread

    @property
    def model(self) -> str:
        """Which of its family it is; empty where it has none."""
        return self.name.partition(":")[2] or "".join(self.models[:1])


def _card(name: str, entry: dict[str, Any]) -> Card:
    source, models = Source(**entry.pop("source")), tuple(entry.pop("models", ()))
    thresholds = Thresholds(name, entry.pop("thresholds", {}))
    return Card(name=name, source=source, models=models, thresholds=thresholds, **entry)


def _member(family: Card, name: str) -> Card:
    """The card of one model of a family, of which only the family's is written."""
    base = Path(family.file)
    file = re.sub(r"[^\w.-]+", "-", name) + base.suffix if family.file else ""
    return replace(family, name=name, file=file, sha256="", thresholds=Thresholds(name, {}))


@cache
def cards() -> Mapping[str, Card]:
    """All cards by name: in the order of `cards.toml`, then the other models of families that are here."""
    entries = tomllib.loads(CARDS.read_text(encoding="utf-8"))
    known = {name: _card(name, entry) for name, entry in entries.items()}
    for name, facts in _remembered().items():
        family = known.get(name.partition(":")[0])
        if family and not family.packaged:
            of = known.get(name) or _member(family, name)
            known[name] = replace(of, **facts | {"thresholds": Thresholds(name, facts.get("thresholds", {}))})
    return MappingProxyType(known)


def card(name: str) -> Card:
    """The card of one model, or of one model of a family.

    Raises:
        UnknownName: no model has this name; the hint names the closest or all names.
    """
    known = cards()
    family, colon, model = name.partition(":")
    if name not in known and colon and family in known and known[family].models:
        base = known[family]
        if model in ("", base.model):
            return base
        if any(fnmatchcase(model, pattern) for pattern in base.models):
            return _member(base, name)
        raise unknown(f"model of {family!r}", model, base.models)
    if name not in known:
        raise unknown("model", name, known)
    return known[name]


def remember(name: str, **facts: Any) -> None:
    """Keep facts about a model that is not packaged in the cache folder: fields of its card."""
    file = folders[1] / REMEMBERED
    everything = _remembered()
    everything[name] = everything.get(name, {}) | facts
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    os.replace(part, file)
    cards.cache_clear()


def _remembered() -> dict[str, dict[str, Any]]:
    file = folders[1] / REMEMBERED
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
