"""What the command line and the page say of models."""

from __future__ import annotations

from ..core.errors import WeightsCorrupt, WeightsMissing
from ..weights import store
from ..weights.registry import Card, card, cards
from .wording import Row

MODEL_COLUMNS = ("Model", "Kind", "Licence", "Size", "Here")


def model_rows() -> list[Row]:
    """One row for each model that has a card, as `MODEL_COLUMNS` names them."""
    return [
        (card.name, card.kind, card.licence, f"{card.bytes / 1e6:.1f} MB", _state(card))
        for card in cards().values()
    ]


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
