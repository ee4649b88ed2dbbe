"""The cards of the default store (`store.default_store`): which models exist and what is known about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import store
from .cards import CARDS, DEVIATIONS, Card, Source

__all__ = ["CARDS", "DEVIATIONS", "Card", "Source", "card", "cards", "remember"]


def cards() -> Mapping[str, Card]:
    """All cards by name: `WeightsStore.cards`."""
    return store.default_store().cards()


def card(name: str) -> Card:
    """The card of one model, or of one model of a family.

    Raises:
        UnknownName: no model has this name; the hint names the closest or all names.
    """
    return store.default_store().card(name)


def remember(name: str, **facts: Any) -> None:
    """Keep facts about a model that is not packaged: `WeightsStore.remember`."""
    store.default_store().remember(name, **facts)
