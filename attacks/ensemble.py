"""Many recognisers as one objective."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional

from ..core.types import Face
from ..weights.registry import DEVIATIONS, card
from . import Recognizer
from .losses import dodge, impersonate
from .views import VIEWS, draw


class Ensemble:
    """An objective over images (1, 3, H, W) of one face, the lower the better it is protected.

    With `balance` each recogniser's cosines count in standard deviations of strangers' cosines, above their
    mean: the cosines of some are spread wide and those of others lie close together. A target makes it
    impersonation; `own_identity` weighs the similarity to the person's own clean embedding beyond a
    stranger's, which otherwise remains however well the target is met. Without a target that similarity is
    the whole objective.

    What a recogniser counts is in proportion to exp(-focus * its loss), 1 on average. Above 0 the one that is
    fooled the most counts the most: that direction carries over, where what the stubborn one asks for is its
    own. Below 0 it is the other way round.
    """

    def __init__(
        self,
        recognizers: Sequence[Recognizer],
        image: Tensor,
        face: Face,
        *,
        target: tuple[Tensor, Face] | None = None,
        source_weight: float = 1.0,
        standardise_cosines: bool = True,
        easy_surrogate_bias: float = 0.0,
        views: int = 0,
        seed: int = 0,
    ) -> None:
        self.face, self.views, self.source_weight = face, views, source_weight
        self.standardise_cosines, self.easy_surrogate_bias = standardise_cosines, easy_surrogate_bias
        self.generator, self.step = Generator().manual_seed(seed), 0
        self.parts = [
            (
                one,
                card(one.name).strangers,
                identity(one, image, face),
                identity(one, *target) if target else None,
            )
            for one in recognizers
        ]

    def __call__(self, image: Tensor) -> Tensor:
        """The mean loss (1,) over the views of this step, summed over recognisers by their weights."""
        return self._look(image, self.views)

    @property
    def worst_margin(self) -> float:
        """By how many standard deviations the surrogate that is worst off, over the views of the last call,
        was on the right side of its threshold at FAR 0.1 %."""
        return float(torch.stack(self.margins).min())

    @torch.no_grad()
    def verdict(self, image: Tensor) -> tuple[dict[str, float], float]:
        """The cosine to the person's own clean embedding, by recogniser, of an image as it is, and the lead
        over a view of each kind. Of the clean image a cosine is a little below 1: its mirror image counts."""
        self._look(image, 1 + len(VIEWS))
        return {name: float(cosine) for name, cosine in self.cosines.items()}, self.worst_margin

    def _look(self, image: Tensor, views: int) -> Tensor:
        shown = list(draw(image, self.face, views, self.step, self.generator))
        self.step += 1
        losses, self.margins, self.cosines = list[Tensor](), list[Tensor](), dict[str, Tensor]()
        for recognizer, (mean, spread), own, target in self.parts:
            faces = recognizer.embed(torch.cat([recognizer.align(view, face) for view, face in shown]))
            alike = faces @ own
            loss = dodge(alike, mean) / spread
            lead = DEVIATIONS["far01"] - loss.detach().mean()
            if target is not None:
                towards = faces @ target
                loss = impersonate(towards) / spread + self.source_weight * loss.clamp(min=0)
                lead = (towards.detach().mean() - mean) / spread - DEVIATIONS["far01"]
            losses.append(loss.mean() * (1 if self.standardise_cosines else spread))
            self.margins.append(lead)
            self.cosines[recognizer.name] = alike[0].detach()
        every = torch.stack(losses)
        weights = len(every) * torch.softmax(-self.easy_surrogate_bias * every.detach(), 0)
        return (weights * every).sum(0, keepdim=True)


@torch.no_grad()
def identity(recognizer: Recognizer, image: Tensor, face: Face) -> Tensor:
    """The embedding (D,) between those of a face and of its mirror image: less of the photo, more of who it
    is."""
    crop = recognizer.align(image, face)
    return functional.normalize(recognizer.embed(torch.cat([crop, crop.flip(-1)])).mean(0), dim=0)
