"""Many recognisers as one objective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Generator, Tensor
from torch.nn import functional

from ..core.types import Face
from ..weights.registry import DEVIATIONS, card
from . import Recognizer
from .losses import dodge, impersonate
from .views import VIEWS, draw

FaceImage: TypeAlias = tuple[Tensor, Face]  # (1, 3, H, W) in [0, 1], and the face as it lies there


def losses_together(objectives: Sequence[Ensemble], images: Sequence[FaceImage]) -> Tensor:
    """The losses (B,) of images of B people, each by the person's own objective, as calling it has them.

    Each recogniser is asked once for all of them: a GPU takes about as long for many crops as for one.

    Args:
        objectives: of the same recognisers.
    """
    drawn = [one.draw(*image) for one, image in zip(objectives, images, strict=True)]
    embeddings = _embeddings([recognizer for recognizer, *_ in objectives[0].parts], drawn)
    return torch.cat([one.score(own) for one, own in zip(objectives, embeddings, strict=True)])


def _embeddings(
    recognizers: Sequence[Recognizer], drawn: Sequence[Sequence[FaceImage]]
) -> list[list[Tensor]]:
    """For each person the embeddings (V, D) of V views, one tensor a recogniser."""
    found: list[list[Tensor]] = [[] for _ in drawn]
    for one in recognizers:
        crops = [one.align(view, place) for views in drawn for view, place in views]
        together = one.embed(torch.cat(crops)).split([len(views) for views in drawn])
        for own, embeddings in zip(found, together, strict=True):
            own.append(embeddings)
    return found


class Ensemble:
    """An objective over images of one person's face: the lower, the better it is protected.

    Without a target the loss of a recogniser is the cosine between what it sees and the person's own clean
    embedding, above the mean of strangers' cosines (dodging), or the smooth maximum of that and of the same
    with the photos of an album. With a target it is the cosine distance to the target's embedding
    (impersonation, equation 1 of arXiv 2503.10350), and `source_weight` times the dodging loss where that is
    above 0: the person's own identity otherwise remains, however well the target is met.

    Args:
        recognizers: the surrogates.
        own: the person's own clean embeddings (D,), one a recogniser, as `person_embeddings` makes them.
        album: those of photos (K, D) that are protected already, and with which this one is not to be linked.
        target: those of whom to impersonate.
        source_weight: see above; of no effect without a target.
        standardise_cosines: count each recogniser's cosines in standard deviations of strangers' cosines;
            those of some recognisers are spread wide and those of others lie close together.
        easy_surrogate_bias: losses are summed with softmax weights exp(-bias * loss), 1 on average. Above 0
            surrogates that are fooled already are favoured: that direction transfers to other recognisers,
            where what the stubborn one asks for is its own. Below 0 it is the other way round.
        album_slack: how much more like those of the album than like the person a photo may be at the same
            cost, in standard deviations of strangers' cosines.
        views: how many random views a call averages over; 0 takes the image as it is.
        seed: of the views.

    Raises:
        BadSettings: a recogniser has no thresholds.
    """

    def __init__(
        self,
        recognizers: Sequence[Recognizer],
        own: Sequence[Tensor],
        *,
        album: Sequence[Tensor] | None = None,
        target: Sequence[Tensor] | None = None,
        source_weight: float = 1.0,
        standardise_cosines: bool = True,
        easy_surrogate_bias: float = 0.0,
        album_slack: float = 0.0,
        views: int = 0,
        seed: int = 0,
    ) -> None:
        self.views, self.source_weight = views, source_weight
        self.album_slack = album_slack
        self.standardise_cosines, self.easy_surrogate_bias = standardise_cosines, easy_surrogate_bias
        self.generator, self.step = Generator().manual_seed(seed), 0
        strangers = [card(one.name).strangers for one in recognizers]
        none = [None] * len(recognizers)
        self.parts = list(zip(recognizers, strangers, own, album or none, target or none, strict=True))

    def __call__(self, image: Tensor, face: Face) -> Tensor:
        """The loss (1,) of an image (1, 3, H, W): its mean over this call's views, summed over recognisers.

        Args:
            face: as it lies in the image.
        """
        return losses_together([self], [(image, face)])

    @property
    def worst_margin(self) -> Tensor:
        """By how many standard deviations of strangers' cosines the worst recogniser, over the views of the
        last call, was on the right side of its threshold at FAR 0.1 %: a tensor (), not waited for."""
        return torch.stack(self.margins).min()

    @torch.no_grad()
    def verdict(
        self, image: Tensor, face: Face, views: int = 1 + len(VIEWS)
    ) -> tuple[dict[str, float], float]:
        """The cosines to the person's own clean embeddings, by recogniser, of an image (1, 3, H, W) as it is,
        and the worst margin over it and a view of each kind; with `views` of 0, of the image alone.

        Of the clean image a cosine is a little below 1, since its mirror image counts too.
        """
        drawn = self.draw(image, face, views)
        (embeddings,) = _embeddings([recognizer for recognizer, *_ in self.parts], [drawn])
        self.score(embeddings)
        return {name: float(cosine) for name, cosine in self.cosines.items()}, float(self.worst_margin)

    def draw(self, image: Tensor, face: Face, views: int | None = None) -> list[FaceImage]:
        """The next views of an image (1, 3, H, W): as many as the objective has, or so many."""
        drawn = list(draw(image, face, self.views if views is None else views, self.step, self.generator))
        self.step += 1
        return drawn

    def score(self, embeddings: Sequence[Tensor]) -> Tensor:
        """The loss (1,) of embeddings (V, D) of views, one tensor a recogniser; keeps margins and cosines."""
        losses, self.margins, self.cosines = list[Tensor](), list[Tensor](), dict[str, Tensor]()
        for (recognizer, (mean, deviation), own, album, target), found in zip(
            self.parts, embeddings, strict=True
        ):
            cosines = found @ own
            loss = nearest = dodge(cosines, mean) / deviation
            if album is not None:
                linked = dodge(found @ album.T, mean) / deviation
                nearest = torch.cat([loss[:, None], linked], 1).amax(1)
                loss = torch.cat([loss[:, None], linked - self.album_slack], 1).logsumexp(1)
            margin = DEVIATIONS["far01"] - nearest.detach().mean()
            if target is not None:
                to_target = found @ target
                loss = impersonate(to_target) / deviation + self.source_weight * loss.clamp(min=0)
                margin = (to_target.detach().mean() - mean) / deviation - DEVIATIONS["far01"]
            losses.append(loss.mean() * (1 if self.standardise_cosines else deviation))
            self.margins.append(margin)
            self.cosines[recognizer.name] = cosines[0].detach()
        stacked = torch.stack(losses)
        weights = len(stacked) * torch.softmax(-self.easy_surrogate_bias * stacked.detach(), 0)
        return (weights * stacked).sum(0, keepdim=True)


@torch.no_grad()
def person_embedding(recognizer: Recognizer, faces: Sequence[FaceImage]) -> Tensor:
    """The embedding (D,), of length 1, of a person whom images show.

    It is the mean over the faces and their mirror images: less of a photo, more of who it is.
    """
    crops = [recognizer.align(image, face) for image, face in faces]
    both = torch.cat([view for crop in crops for view in (crop, crop.flip(-1))])
    return functional.normalize(recognizer.embed(both).mean(0), dim=0)


def person_embeddings(recognizers: Sequence[Recognizer], faces: Sequence[FaceImage]) -> list[Tensor]:
    """The `person_embedding` (D,) of one person, for each recogniser."""
    return [person_embedding(one, faces) for one in recognizers]
