"""What the command line and the page say of models."""

from __future__ import annotations

from typing import Any

from ..core.errors import WeightsCorrupt, WeightsMissing
from ..core.registry import Registry
from ..weights import store
from ..weights.registry import Card, card, cards
from .wording import Row

PART_COLUMNS = ("Name", "Kind", "What it is")
MODEL_COLUMNS = ("Model", "Kind", "Licence", "Size", "Here")


def model_rows() -> list[Row]:
    """One row for each model that has a card, as `MODEL_COLUMNS` names them."""
    return [
        (card.name, card.kind, card.licence, f"{card.bytes / 1e6:.1f} MB", _state(card))
        for card in cards().values()
    ]


def part_rows() -> list[Row]:
    """One row for each method, metric, disturbance, detector, tracker and aspect of behaviour, as
    `PART_COLUMNS` names them."""
    from ..attacks.pixel import ATTACKS
    from ..eval import FACE_MEASURES, MEASURES, METRICS, SET_MEASURES
    from ..eval.behaviour import BEHAVIOURS
    from ..eval.detectors import DETECTORS
    from ..eval.disturbances import DISTURBANCES
    from ..eval.trackers import TRACKERS
    from ..privacy import METHODS
    from ..privacy.purification import PURIFIERS

    def about(registry: Registry[Any], name: str) -> str:
        told = (
            ATTACKS if registry is METHODS and name in ATTACKS else registry
        )  # of which one file makes methods
        return told.about(name)

    metrics = (METRICS, MEASURES, FACE_MEASURES, SET_MEASURES)
    registries = (METHODS, *metrics, DISTURBANCES, PURIFIERS, DETECTORS, TRACKERS, BEHAVIOURS)
    return [(name, one.kind, about(one, name)) for one in registries for name in one]


def facts(name: str) -> list[str]:
    """What to know of a model before it is fetched, a line each."""
    model = card(name)
    return [
        f"{model.name}: {model.kind}, about {model.bytes / 1e6:.0f} MB, from {model.source.package}",
        f"Licence: {model.licence}",
        f"Trained on: {model.training}",
        *filter(None, [model.notes]),
    ]


def _state(card: Card) -> str:
    try:
        store.path(card.name)
    except WeightsMissing:
        return "no"
    except WeightsCorrupt:
        return "damaged"
    return "yes"
