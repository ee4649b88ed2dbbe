"""Verification: does a recogniser take two faces for one person?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, computed_field
from torch import Tensor

from ..attacks import independent, recognizer
from ..core.types import Face
from ..weights.registry import card

UsedByAttack = Literal["yes", "related", "no"]


class Match(BaseModel):
    """What one recogniser makes of a face before and after its protection.

    used_by_attack: whether the attack used it; "related" where it shares a trunk with one that the attack
        used. Reports of before call it "seen".
    before, after: cosines to the person, in [-1, 1]; above `threshold` it takes the two for one person.
    threshold: the cosine that 1 % of the pairs of different people exceed.
    """

    model_config = ConfigDict(frozen=True)

    recognizer: str
    used_by_attack: UsedByAttack = Field(validation_alias=AliasChoices("used_by_attack", "seen"))
    before: float
    after: float
    threshold: float

    @computed_field
    @property
    def recognised(self) -> bool:
        """Whether it recognised the person before."""
        return self.before > self.threshold

    @computed_field
    @property
    def still_recognised(self) -> bool:
        """Whether it recognises the person after."""
        return self.after > self.threshold


def used_by(name: str, attack: Iterable[str]) -> UsedByAttack:
    """Whether an attack that used the recognisers `attack` used `name` too, or one that falls with it."""
    attack = frozenset(attack)
    if name in attack:
        return "yes"
    return "no" if all(independent(name, other) for other in attack) else "related"


def by_fairness(used: UsedByAttack) -> int:
    """What to sort recognisers by, so that those come first that the attack did not use."""
    return ("no", "related", "yes").index(used)


def match(name: str, before: Tensor, after: Tensor, person: Tensor, surrogates: Iterable[str]) -> Match:
    """What a recogniser makes of a face before and after (D,), and of that of N vectors (N, D) of the person
    to which it is closest."""
    return Match(
        recognizer=name,
        used_by_attack=used_by(name, surrogates),
        before=round(float((person @ before).max()), 4),
        after=round(float((person @ after).max()), 4),
        threshold=card(name).thresholds["far1"],
    )


@torch.no_grad()
def embedding(name: str, image: Tensor, face: Face) -> Tensor:
    """The unit vector (D,) that a recogniser gives `face` of an image (1, 3, H, W) in [0, 1].

    Raises:
        UnknownName, WeightsMissing, WeightsCorrupt: as `attacks.recognizer` does.
    """
    judge = recognizer(name)
    return judge.embed(judge.align(image, face))[0]
