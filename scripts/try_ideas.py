"""What do ideas gain against a recogniser that was not attacked, at the same likeness?

    python scripts/try_ideas.py FACES RUN [--people 10] [--workers 2] [--only "settles"] [--robust FOLDER]

FACES holds celebahq_pairs; its people from the 200th on, of whom no table in benchmarks/ tells. The five
strong recognisers are left out in turn, with their kin; all other packaged ones attack. Who is not taken for
one person by the left-out one before is passed over. What counts is the left-out one's cosine to the person's
other photo, above its threshold at FAR 1 %, in standard deviations of strangers' cosines: the lower, the
better.

What changes more protects more and looks less like the person, so the default is drawn as a line, through
three ceilings of the change. "Gained" is how far an idea lies below that line at its own `likeness`, paired
by person; outside of the line it is an extrapolation. In brackets 95 % intervals from drawing people.
`likeness` is measured: to ask viewers, make sheets of RUN/IDEA/PHOTO.png (benchmarks/ratings/README.md). A
run that was cut goes on. Seed 0. `--only` tries the ideas whose names hold a text, beside the default;
`--robust` names a folder of weights/recipes/train_robust.py's, without which the ideas that need it are left
out.

What does not pay is not in the engine: it lives here only, so that its figures can be made again. Earlier
ideas, tried at equal PSNR (benchmarks/ideas.md), are in this file's history.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

import io
import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import torch
import typer
from PIL import Image
from rich.progress import Progress
from safetensors.torch import load_file
from torch import Generator, Tensor
from torch.optim.lr_scheduler import LambdaLR

from veil.attacks import Recognizer, attacked, recognizer
from veil.attacks.ensemble import Ensemble, FaceImage
from veil.core.images import open_photo, to_tensor
from veil.core.progress import finish
from veil.core.types import Face, Photo, tracks_of
from veil.eval import resumable
from veil.eval.bootstrap import Interval, mean, rate
from veil.eval.datasets import Sample, main_face, samples
from veil.eval.metrics.likeness import likeness
from veil.eval.metrics.naturalness import naturalness
from veil.eval.metrics.psnr import psnr
from veil.eval.verification import embedding
from veil.privacy import Protected, protect
from veil.privacy.engine import objective_of
from veil.privacy.latent import Optimisation
from veil.privacy.penalties import PenaltySchedule, change_energy
from veil.privacy.settings import Settings, settings
from veil.weights.registry import card

STRONG = ("dlib", "mobilefacenet", "faceres", "faceplugin", "sface")
SKIPPED = 200
TRIED: dict[str, Any] = {"steps": 60, "penalty_scale": 2.1, "target_margin": 6.0, "seed": 0}
PICTURE, ROW = ".png", ".json"  # of a finished measurement; the row says that it is

Copies = Mapping[str, Recognizer]  # by the names of what they are copies of
Row = dict[str, Any]


class Proportional(PenaltySchedule):
    """A price that moves by how far the change is from its ceiling, so that it comes to rest there."""

    GAIN, FASTEST = 0.3, 0.18  # of log(size / ceiling); by how much the logarithm of the price moves at most
    AHEAD = 0.05  # and at least, while the protection has its margin

    def update(self, lead: float, size: float) -> None:
        """Learn by how much the protection led in a step, and the root mean square of the change."""
        before = self.value
        super().update(lead, size)
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

    def change(self, moved: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The change of the crops (B, 3, S, S) by the latents and by single pixels, and the maps."""
        change, maps = super().change(moved)
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

    def __call__(self, image: Tensor, face: Face) -> Tensor:
        loss = super().__call__(image, face)
        for one, own in self.held:
            loss = loss + self.WEIGHT * (1 - one.embed(one.align(image, face)) @ own)
        return loss


def held(
    recognizers: Sequence[Recognizer],
    own: Sequence[FaceImage],
    target: Sequence[FaceImage] | None,
    settings: Settings,
    *,
    copies: Copies,
) -> Ensemble:
    """The objective that robust copies hold."""
    with patch("veil.privacy.engine.Ensemble", Held):
        made: Any = objective_of(recognizers, own, target, settings)
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
LINE = tuple(IDEAS)[:3]


def seen(path: Path) -> tuple[Photo, Face] | None:
    """A photo and whom it is of."""
    photo = open_photo(path)
    face = main_face(photo.pixels)
    return (photo, face) if face else None


def above(name: str, one: tuple[Photo, Face], other: tuple[Photo, Face]) -> dict[str, float]:
    """How far two faces' cosine lies above a recogniser's thresholds, in deviations of strangers'."""
    a, b = (embedding(name, to_tensor(photo.pixels), face) for photo, face in (one, other))
    thresholds, (_, spread) = card(name).thresholds, card(name).strangers
    return {far: (float(a @ b) - thresholds[far]) / spread for far in ("far1", "far01")}


def usable(faces: Path) -> Iterator[tuple[Sample, str]]:
    """The people, and whom each of them leaves out."""
    everyone = [one for one in samples(faces / "celebahq_pairs") if int(one.identity) >= SKIPPED]
    for index, one in enumerate(everyone):
        left_out = STRONG[index % len(STRONG)]
        pair = seen(one.photo), seen(one.probe or one.photo)
        if pair[0] and pair[1] and above(left_out, pair[0], pair[1])["far1"] > 0:
            yield one, left_out


def perform(job: tuple[str, Sample, str, Path | None]) -> dict[str, bytes]:
    """Protect one person's photo by an idea and ask the recogniser that was left out: picture and row."""
    idea, one, left_out, robust = job
    before, probe = seen(one.photo), seen(one.probe or one.photo)
    if before is None or probe is None:
        raise ValueError(f"no face of {one.identity}")
    chosen = settings(**TRIED, surrogates=attacked(left_out))
    after = IDEAS[idea].protect(*before, chosen, copies_in(robust) if robust else {}).photo
    images = to_tensor(before[0].pixels), to_tensor(after.pixels)
    row = {
        "idea": idea,
        "identity": one.identity,
        "left_out": left_out,
        **above(left_out, (after, main_face(after.pixels) or before[1]), probe),
        "psnr": float(psnr(*images)),
        "likeness": float(likeness(*images, before[1])),
        "naturalness": float(naturalness(*images, before[1])),
    }
    Image.fromarray(after.pixels).save(buffer := io.BytesIO(), "PNG")
    return {PICTURE: buffer.getvalue(), ROW: json.dumps(row).encode()}


def finished(run: Path) -> dict[tuple[str, str], Row]:
    """The rows that an earlier run has written, by idea and person."""
    rows = [json.loads(path.read_bytes()) for path in sorted(run.glob(f"*/*{ROW}"))]
    return {(row["idea"], row["identity"]): row for row in rows}


def gained(line: np.ndarray, idea: np.ndarray) -> np.ndarray:
    """How far an idea lies below the default's line at its own likeness, person by person.

    Args:
        line: the default's likeness and deviations above the threshold (ceilings, 2, people).
        idea: an idea's (2, people).

    The line runs from ceiling to ceiling through the means over people, and on beyond its ends; a person's
    place on it is that person's own, moved along the line to the likeness that the idea has there.
    """
    order = np.argsort(line[:, 0].mean(1))
    means = line[order].mean(2)
    first = int(np.clip(np.searchsorted(means[:, 0], idea[0].mean()) - 1, 0, len(order) - 2))
    low, high = line[order[first]], line[order[first + 1]]
    run, rise = means[first + 1] - means[first]
    share = (idea[0].mean() - means[first, 0]) / run
    alike, default = (1 - share) * low + share * high
    return default + rise / run * (idea[0] - alike) - idea[1]


def table(rows: Mapping[tuple[str, str], Row], people: Sequence[str]) -> str:
    """What each idea gained, as Markdown; those that not all people have tried yet are left out."""

    def column(idea: str, name: str) -> np.ndarray:
        return np.array([rows[idea, one][name] for one in people])

    def placed(idea: str) -> np.ndarray:
        return np.stack([column(idea, name) for name in ("likeness", "far1")])

    def shown(found: Interval, form: str) -> str:
        return f"{found.value:{form}} [{found.low:{form}}, {found.high:{form}}]"

    complete = [idea for idea in IDEAS if all((idea, one) in rows for one in people)]
    line = np.stack([placed(idea) for idea in LINE])
    lines = [
        "| idea | dB | likeness | naturalness | rejected at FAR 1 % | at FAR 0.1 % | above | gained |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for idea in complete:
        measures = [
            f"{column(idea, name).mean():{form}}"
            for name, form in (("psnr", ".1f"), ("likeness", ".4f"), ("naturalness", ".3f"))
        ]
        rates = [shown(rate(column(idea, far) <= 0, people), ".0%") for far in ("far1", "far01")]
        score, gain = column(idea, "far1").mean(), mean(gained(line, placed(idea)), people)
        lines.append(
            "| " + " | ".join([idea, *measures, *rates, f"{score:+.2f}", shown(gain, "+.2f")]) + " |"
        )
    return "\n".join(lines)


def main(
    faces: Path,
    run: Path,
    people: int = 10,
    workers: int = 2,
    only: str = "",
    robust: Annotated[Path | None, typer.Option(exists=True, file_okay=False)] = None,
) -> None:
    """Run what is missing, then print the table."""
    if robust and not copies_in(robust):
        raise typer.BadParameter(f"There are no robust copies in {robust}: see train_robust.py.")
    ideas = [idea for idea in IDEAS if idea in LINE or only in idea]
    wanting = [idea for idea in ideas if IDEAS[idea].objective and not robust]
    ideas = [idea for idea in ideas if idea not in wanting]
    chosen = list(islice(usable(faces), people))
    every = [(idea, one, left_out, robust) for idea in ideas for one, left_out in chosen]
    jobs = [(f"{job[0]}/{job[1].photo.stem}", job) for job in every]
    with Progress() as progress:
        task = progress.add_task("protecting", total=len(jobs))
        for step in resumable.run(jobs, perform, resumable.Store(run, ROW), workers):
            progress.update(task, completed=step.done)
    print(table(finished(run), [one.identity for one, _ in chosen]))
    print(f"\nn = {len(chosen)} people, seed 0")
    for idea in wanting:
        print(f"left out, since it needs --robust: {idea}")


if __name__ == "__main__":
    typer.run(main)
