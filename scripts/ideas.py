"""The ideas that `try_ideas.py` tries: what differs from the default, in settings and parts of the engine."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import load_file
from torch import Generator, Tensor
from torch.optim.lr_scheduler import LambdaLR

from veil.attacks import Recognizer, recognizer
from veil.attacks.ensemble import Ensemble, FaceImage
from veil.core.progress import finish
from veil.core.types import Face, Photo, tracks_of
from veil.privacy import Protected, protect
from veil.privacy.engine import objective_of
from veil.privacy.latent import Optimisation
from veil.privacy.penalties import PenaltySchedule, change_energy
from veil.privacy.settings import Settings

Copies = Mapping[str, Recognizer]  # by the names of what they are copies of


class Proportional(PenaltySchedule):
    """A penalty scale moved by how far the change is from its ceiling, so that it comes to rest there."""

    GAIN, FASTEST = 0.3, 0.18  # of log(size / ceiling); by how much the logarithm of the scale moves at most
    AHEAD = 0.05  # and at least, while the protection has its margin

    def update(self, margin: float, size: float) -> None:
        """Take in a step's margin and the root mean square of its change, in [0, 1]."""
        before = self.value
        super().update(margin, size)
        if self.steps > self.PATIENCE:
            away = self.GAIN * math.log(max(size, 1e-9) / self.ceiling)
            least = self.AHEAD if self.smoothed_margin > self.target_margin else -self.FASTEST
            move = min(max(away, least), self.FASTEST)
            self.value = min(max(before * math.exp(move), self.least), self.MOST * self.least)


class Settling(Optimisation):
    """The rate falls along a cosine to a tenth. Beside the latent single pixels of the crop are changed, at a
    rate of their own in [0, 1], by default not at all."""

    LOWEST = 0.1

    def __init__(self, *parts: Any, pixels: float = 0.0) -> None:
        super().__init__(*parts)
        steps, noise = self.settings.steps, Generator().manual_seed(self.settings.seed)
        self.pixels = (2 / 3 * pixels * torch.randn(self.before.shape, generator=noise)).requires_grad_()
        self.optimizer.add_param_group({"params": [self.pixels], "lr": pixels})
        self.last_pixels = deque([self.pixels.detach()], self.last.maxlen)
        self.falling = LambdaLR(self.optimizer, lambda done: self.rate_at(done / steps))

    def rate_at(self, progress: float) -> float:
        """The rate as a share of the first, after a share of the steps."""
        return self.LOWEST + (1 - self.LOWEST) * (1 + math.cos(math.pi * progress)) / 2

    def change(self, delta: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The change of the crops (B, 3, S, S) by the latents and by single pixels, and the maps."""
        change, maps = super().change(delta)
        return change + self.pixels, maps

    def advance(self) -> tuple[float, list[Tensor]]:
        """One step, at a rate that is lower than the last one's."""
        found = super().advance()
        self.falling.step()
        self.last_pixels.append(self.pixels.detach().clone())
        return found

    @torch.no_grad()
    def result(self) -> Tensor:
        """The change that the last latents and the last pixels give on average."""
        self.pixels = torch.stack(tuple(self.last_pixels)).mean(0)
        return super().result()


def filling(ceiling: float, change: Tensor) -> Tensor:
    """The factors (B, 1, 1, 1) that bring the root mean square of changes (B, 3, H, W) to a ceiling."""
    return (ceiling / change_energy(change).sqrt().clamp(min=1e-9))[:, None, None, None]


def joined(recognizers: Sequence[Recognizer], *about: Any, copies: Copies, instead: bool = False) -> Ensemble:
    """An objective whose surrogates' robust copies attack too, or instead of them."""
    robust = [copies[one.name] for one in recognizers if one.name in copies]
    kept = [one for one in recognizers if not (instead and one.name in copies)]
    return objective_of([*kept, *robust], *about)


class Held(Ensemble):
    """Robust copies of surrogates have to see the same person: what fools them is what people see."""

    WEIGHT = 40.0  # of one less the cosine

    held: list[tuple[Recognizer, Tensor]]
    shown: FaceImage

    def draw(self, image: Tensor, face: Face, views: int | None = None) -> list[FaceImage]:
        """The next views; the image is kept for the copies."""
        self.shown = image, face
        return super().draw(image, face, views)

    def score(self, embeddings: Sequence[Tensor]) -> Tensor:
        """The loss (1,), with what the copies ask for."""
        loss, (image, face) = super().score(embeddings), self.shown
        for one, own in self.held:
            loss = loss + self.WEIGHT * (1 - one.embed(one.align(image, face)) @ own)
        return loss


def held(
    recognizers: Sequence[Recognizer],
    own: Sequence[FaceImage],
    target: Sequence[FaceImage] | None,
    settings: Settings,
    album: Sequence[Sequence[Tensor]] = (),
    *,
    copies: Copies,
) -> Ensemble:
    """The objective that robust copies hold."""
    with patch("veil.privacy.engine.Ensemble", Held):
        made: Any = objective_of(recognizers, own, target, settings, album)
    image, face = own[0]
    robust = [copies[one.name] for one in recognizers if one.name in copies]
    with torch.no_grad():
        made.held = [(one, one.embed(one.align(image, face))[0]) for one in robust]
    return made


@cache
def copies_in(folder: Path) -> Copies:
    """Robust copies of recognisers, from files that are called NAME.safetensors."""
    found: dict[str, Recognizer] = {}
    for file in sorted(folder.glob("*.safetensors")):
        one: Any = recognizer(file.stem)
        found[file.stem] = robust = replace(one, network=deepcopy(one.network))
        robust.network.load_state_dict(load_file(file))
    return found


@dataclass(frozen=True)
class Idea:
    """What differs from the default: settings, parts of `veil.privacy` by their names there, and what builds
    an objective from robust copies."""

    changes: Mapping[str, Any]
    parts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    objective: Callable[..., Ensemble] | None = None

    def protect(self, photo: Photo, face: Face, chosen: Settings, copies: Copies) -> Protected:
        """Protect a face of a photo as the engine does, but for what differs."""
        parts = dict(self.parts)
        if self.objective:
            parts["engine.objective_of"] = partial(self.objective, copies=copies)
        with ExitStack() as stack:
            for name, part in parts.items():
                stack.enter_context(patch(f"veil.privacy.{name}", part))
            return finish(protect(tracks_of(photo, [face]), chosen.model_copy(update=self.changes)))


SETTLES = {
    "latent.PenaltySchedule": Proportional,
    "latent.ceiling_scale": filling,
    "engine.Optimisation": Settling,
}
SETTLED = {"learning_rate": 0.1, "tail_average": 0.3, "ceiling": 2.0}
IDEAS: dict[str, Idea] = {
    "default, ceiling 1.7": Idea({"ceiling": 1.7}),
    "default, ceiling 2.3": Idea({"ceiling": 2.3}),
    "default, ceiling 5.2 and price .6": Idea({"ceiling": 5.2, "penalty_scale": 0.6}),
    "the price settles, ceiling 1.6": Idea({**SETTLED, "ceiling": 1.6}, SETTLES),
    "the price settles, ceiling 2": Idea(SETTLED, SETTLES),
    "the price settles, and a change of single pixels beside the latent": Idea(
        SETTLED, {**SETTLES, "engine.Optimisation": partial(Settling, pixels=0.3 / 255)}
    ),
    "the price settles, and robust copies of two surrogates attack too": Idea(SETTLED, SETTLES, joined),
    "the price settles, and robust copies attack instead of them": Idea(
        SETTLED, SETTLES, partial(joined, instead=True)
    ),
    "the price settles, and robust copies hold the person": Idea(SETTLED, SETTLES, held),
    "the price settles, and views are none": Idea({**SETTLED, "views": 0}, SETTLES),
}
