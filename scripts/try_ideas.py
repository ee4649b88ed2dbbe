"""What do other settings, and ideas from the literature, gain on a recogniser that was not attacked?

    python scripts/try_ideas.py FACES RUN [--people 18] [--workers 2] [--only "made up"]

FACES holds celebahq_pairs; its people from the 200th on, of whom no table in benchmarks/ tells, whose clean
pairs all strong recognisers accept. Each person's photo is protected by the default engine and by each idea,
one at a time, leaving out the strong recognisers in turn; what counts is the left-out one's cosine to the
person's other photo above its threshold at FAR 1 %, in standard deviations of strangers' cosines: the lower,
the better. An idea that changes more protects more, so the default also runs cheaper and dearer: "gained"
compares an idea with the line through these, at the idea's own PSNR, person by person; in brackets 95 %
intervals from drawing people. Finished rows lie in RUN, so that a run that was cut goes on. Seed 0. `--only`
runs the default and the ideas whose names hold a text.

What does not pay is not in the engine: it lives here only, so that its figures can be made again. Where the
PSNR lies far outside of the line's, "gained" is an extrapolation. Equal PSNR is not equal likeness, which
nobody rated here.
"""

from __future__ import annotations

from veil.core.threads import settle

settle()  # before torch is loaded

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, partial
from itertools import count, islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import typer
from rich.progress import Progress
from torch import Generator, Tensor, nn
from torch.nn import functional

from veil.attacks import Recognizer, independent, recognizer
from veil.attacks.ensemble import Ensemble
from veil.attacks.networks import blazeface
from veil.attacks.views import VIEWS, blurred, draw, jittered, noisy
from veil.core.images import open_photo, to_pixels, to_tensor
from veil.core.progress import finish
from veil.core.types import Face, Photo
from veil.eval import shards
from veil.eval.datasets import Sample, main_face, samples
from veil.eval.metrics.psnr import psnr
from veil.eval.metrics.ssim import ssim
from veil.eval.statistics import mean
from veil.eval.verification import embedding
from veil.privacy import Protected, protect
from veil.privacy.inversion import denoise, levels
from veil.privacy.looks import Looks
from veil.privacy.priors import Prior, prior
from veil.privacy.purification import PURIFIERS
from veil.privacy.settings import Settings, settings
from veil.privacy.structure import denoise_with_maps
from veil.weights.registry import card

STRONG = ("dlib", "mobilefacenet", "faceres")
SURROGATES = (*STRONG, "mobileface")
SKIPPED = 200
# The defaults of the engine that benchmarks/ideas.md was measured with.
TRIED: dict[str, Any] = {"effort": "quick", "price": 1.0, "margin": 2.0, "ceiling": 4.8}
ROW = ".json"  # a finished measurement

Way = Callable[[Photo, Face, Settings], Protected]


def plainly(photo: Photo, face: Face, chosen: Settings) -> Protected:
    """Protect as the engine does."""
    return finish(protect(photo, [face], chosen))


def with_settings(**changes: Any) -> Way:
    """Protect with other settings."""
    return lambda photo, face, chosen: plainly(photo, face, chosen.model_copy(update=changes))


def dearer(factor: float) -> Way:
    """Protect with less to be seen, or more where the factor is below 1."""

    def way(photo: Photo, face: Face, chosen: Settings) -> Protected:
        less = {"price": factor * chosen.price, "ceiling": chosen.ceiling / factor**0.5}
        return with_settings(**less)(photo, face, chosen)

    return way


def with_parts(
    *,
    objective: Callable[..., Ensemble] = Ensemble,
    looks: type[Looks] = Looks,
    inside: Callable[[], AbstractContextManager[object]] = nullcontext,
    **changes: Any,
) -> Way:
    """Protect with other parts of the engine and other settings, inside of what changes how it works."""

    def way(photo: Photo, face: Face, chosen: Settings) -> Protected:
        with (
            patch("veil.privacy.engine.Ensemble", objective),
            patch("veil.privacy.latent.Looks", looks),
            inside(),
        ):
            return with_settings(**changes)(photo, face, chosen)

    return way


class Normalised(Ensemble):
    """Each surrogate's gradient at the image gets the same length."""

    def __call__(self, image: Tensor) -> Tensor:
        every, step, seen = self.parts, self.step, self.generator.get_state()
        pulls: list[Tensor] = []
        leads: list[Tensor] = []
        try:
            for part in every:
                self.parts, self.step = [part], step
                self.generator.set_state(seen)
                pulls += torch.autograd.grad(super().__call__(image), image, retain_graph=True)
                leads += self.leads
        finally:
            self.parts = every
        self.leads = leads
        lengths = torch.stack([pull.norm() for pull in pulls])
        pull = sum(
            (lengths.mean() / length * pull for pull, length in zip(pulls, lengths, strict=True)),
            torch.zeros_like(image),
        )
        return (pull * image).sum()[None]


class DroppedOut(Ensemble):
    """One surrogate, at random, is left out of each step."""

    def __call__(self, image: Tensor) -> Tensor:
        every = self.parts
        out = int(torch.randint(len(every), (), generator=self.generator))
        self.parts = every[:out] + every[out + 1 :]
        try:
            return super().__call__(image)
        finally:
            self.parts = every


@contextmanager
def dropped_features(share: float = 0.05) -> Iterator[None]:
    """Drop features of every convolution of the surrogates at random (DFANet, Zhong and Deng 2020)."""
    generator = Generator().manual_seed(0)

    def drop(_: nn.Module, __: object, features: Tensor) -> Tensor:
        if not features.requires_grad:
            return features
        return features * (torch.rand(features.shape, generator=generator) >= share) / (1 - share)

    hooks = [
        module.register_forward_hook(drop)
        for name in SURROGATES
        for module in recognizer(name).network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


MIDDLE: list[Tensor] = []


@contextmanager
def middle_block() -> Iterator[None]:
    """Keep what the middle block of the prior's UNet last gave."""

    def keep(_: nn.Module, __: object, features: Tensor) -> None:
        MIDDLE[:] = [features]

    hook = prior("portrait").unet.mid_block.register_forward_hook(keep)
    try:
        yield
    finally:
        hook.remove()


class Diverging(Ensemble):
    """The features in the middle of the UNet also move away from those of the clean latent."""

    WEIGHT = 1.0
    clean: Tensor | None = None

    def __call__(self, image: Tensor) -> Tensor:
        loss = super().__call__(image)
        middle = MIDDLE[0]
        if self.clean is None:
            self.clean = middle.detach()
        apart = (middle - self.clean).square().mean() / self.clean.square().mean()
        return loss - self.WEIGHT * (apart + 1e-8).sqrt()


@cache
def nobody(people: int = 32) -> list[tuple[Tensor, Face]]:
    """People who do not exist, as our own prior makes them up; some of them have no face that is found."""
    used, depth = prior("portrait"), 19
    with torch.no_grad():
        shape = used.encode(torch.zeros(1, 3, used.size, used.size)).shape[1:]
        noise = torch.randn((people, *shape), generator=Generator().manual_seed(0))
        clean = denoise(used, noise, levels(used, depth + 1, depth), depth * [used.unconditional])
        images = used.decode(clean).clamp(0, 1).split(1)
    seen = ((image, main_face(to_pixels(image))) for image in images)
    return [(image, face) for image, face in seen if face]


@cache
def embeddings(name: str) -> Tensor:
    """How a recogniser sees those people: (N, D)."""
    return torch.stack([embedding(name, image, face) for image, face in nobody()])


class Pulled(Ensemble):
    """A share of the objective is likeness to the person who does not exist and is farthest from the own one,
    or to the mean of the farthest so many. At 1 what remains of one's own identity costs nothing."""

    def __init__(
        self,
        recognizers: Sequence[Recognizer],
        image: Tensor,
        face: Face,
        *,
        share: float,
        mean_of: int = 1,
        **rest: Any,
    ) -> None:
        super().__init__(recognizers, image, face, **rest)
        self.share = share
        every = [(embeddings(one.name), own, spread) for one, (_, spread), own, _ in self.parts]
        alike = torch.stack([people @ own / spread for people, own, spread in every]).sum(0)
        farthest = alike.argsort()[:mean_of]
        self.aims = [functional.normalize(people[farthest].mean(0), dim=0) for people, _, _ in every]

    def __call__(self, image: Tensor) -> Tensor:
        shown = list(draw(image, self.face, self.views, self.step, self.generator))
        pull = image.new_zeros(1)
        for (one, (_, spread), _, _), aim in zip(self.parts, self.aims, strict=True):
            faces = one.embed(torch.cat([one.align(view, face) for view, face in shown]))
            pull = pull - (faces @ aim).mean() / spread
        return (1 - self.share) * super().__call__(image) + self.share * pull


class Rarely(Looks):
    """Expression and landmarks are looked at in every second step only, and count twice there."""

    calls = 0

    def __call__(self, image: Tensor) -> Tensor:
        self.calls += 1
        return 2 * super().__call__(image) if self.calls % 2 else image.new_zeros(1)


class Settling(torch.optim.Adam):
    """Adam whose rate falls to nothing over so many steps."""

    def __init__(
        self, steps: int, parameters: Iterable[Tensor], rate: float, memory: tuple[float, float]
    ) -> None:
        super().__init__(parameters, rate, memory)
        self.steps, self.rate, self.taken = steps, rate, 0

    def step(self, closure: Any = None) -> Any:
        """One step, at a rate that is lower than the last one's."""
        for group in self.param_groups:
            group["lr"] = self.rate * max(0.0, 1 - self.taken / self.steps)
        self.taken += 1
        return super().step(closure)


def settling(steps: int) -> AbstractContextManager[object]:
    """The rate of the latent's optimiser falls to nothing over so many steps."""
    return patch("torch.optim.Adam", partial(Settling, steps))


@contextmanager
def coasting() -> Iterator[None]:
    """The UNet is asked in every second step only: between, its noise stays what it was, and weighs nothing
    in the gradient."""
    steps = count()
    last: list[tuple[Tensor, Tensor, list[Tensor]]] = []

    def denoise(
        used: Prior, latent: Tensor, timesteps: Sequence[int], embeddings: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        if not torch.is_grad_enabled() or next(steps) % 2 == 0:  # the start and the result are no steps
            clean, maps = denoise_with_maps(used, latent, timesteps, embeddings)
            last[:] = [(latent.detach(), clean.detach(), [one.detach() for one in maps])]
            return clean, maps
        ((before, clean, maps),) = last
        up, down = (used.kept(one) ** 0.5 for one in (timesteps[-1], timesteps[0]))
        return clean + down / up * (latent - before), maps

    with patch("veil.privacy.latent.denoise_with_maps", denoise):
        yield


def with_views(**changes: Any) -> Way:
    """Protect with other views than `attacks.views` has."""

    def way(photo: Photo, face: Face, chosen: Settings) -> Protected:
        with patch.multiple("veil.attacks.views", **changes):
            return plainly(photo, face, chosen)

    return way


def washed(image: Tensor, _: Generator) -> Tensor:
    """As our own prior purifies it at t = 150; its gradient is that of the image (Athalye et al. 2018)."""
    clean = PURIFIERS["purify-150"](to_pixels(image.detach()))
    return image + (to_tensor(clean).to(image) - image).detach()


def aligned_by_another(photo: Photo, face: Face, chosen: Settings) -> Protected:
    """All views but the image as it is are aligned by the points of a second detector."""
    other = main_face(photo.pixels, blazeface.find_faces) or face

    def placed(seen: Face, generator: Generator) -> Face:
        scale = seen.eyes / face.eyes
        return jittered(other.moved(scale, *(seen.points[0] - scale * face.points[0])), generator)

    return with_views(jittered=placed)(photo, face, chosen)


def with_more(name: str) -> Way:
    """Attack one recogniser more, where none of its trunk is left out."""

    def way(photo: Photo, face: Face, chosen: Settings) -> Protected:
        left_out = [one for one in STRONG if one not in chosen.surrogates]
        more = (name,) if all(independent(name, one) for one in left_out) else ()
        return with_settings(surrogates=chosen.surrogates + more)(photo, face, chosen)

    return way


def without_small(photo: Photo, face: Face, chosen: Settings) -> Protected:
    """Attack strong recognisers only."""
    strong = tuple(name for name in chosen.surrogates if name in STRONG)
    return with_settings(surrogates=strong)(photo, face, chosen)


def unbalanced(photo: Photo, face: Face, chosen: Settings) -> Protected:
    """Count cosines as they are: smaller numbers, about a twelfth, and so is what a change costs."""
    return with_settings(balance=False, price=chosen.price / 12)(photo, face, chosen)


def best_of_two(photo: Photo, face: Face, chosen: Settings) -> Protected:
    """Start twice, and keep what the surrogates recognise the least."""
    tries = [plainly(photo, face, chosen.model_copy(update={"seed": seed})) for seed in (0, 1)]
    return max(tries, key=lambda one: one.leads[0])


IDEAS: dict[str, Way] = {
    "default": plainly,
    "default, less to be seen": dearer(1.5),
    "default, more to be seen": dearer(0.7),
    "28 steps, the rate falling, surrogates alike": with_parts(
        inside=partial(settling, 28), steps=28, rate=0.3, memory=(0.8, 0.95), average=0.0, focus=0.0
    ),
    "the rate falling instead of a mean": with_parts(
        inside=partial(settling, settings(effort="quick").steps), average=0.0
    ),
    "the last latent instead of a mean": with_settings(average=0.0),
    "rate .1": with_settings(rate=0.1),
    "rate .4": with_settings(rate=0.4),
    "Adam's usual memory": with_settings(memory=(0.9, 0.999)),
    "14 steps": with_settings(steps=14),
    "28 steps": with_settings(steps=28),
    "two views a step": with_settings(views=2),
    "9 steps of two views": with_settings(views=2, steps=9),
    "no step on the embedding": with_settings(embedding_steps=0),
    "ten steps on the embedding": with_settings(embedding_steps=10),
    "channels not evened": with_settings(even=False),
    "no price on spots and wrinkles": with_settings(smoothness=0.0),
    "no price on what early features see": with_settings(perceptual=0.0),
    "neither price": with_settings(smoothness=0.0, perceptual=0.0),
    "surrogates alike": with_settings(focus=0.0),
    "more weight to the surrogate fooled the most": with_settings(focus=0.4),
    "weight to the surrogate fooled the least": with_settings(focus=-0.5),
    "gradients of one length": with_parts(objective=Normalised),
    "cosines not balanced": unbalanced,
    "drop-out of surrogates": with_parts(objective=DroppedOut),
    "drop-out of features": with_parts(inside=dropped_features),
    "with faceplugin": with_more("faceplugin"),
    "with faceres-deep": with_more("faceres-deep"),
    "without mobileface": without_small,
    "best of two starts": best_of_two,
    "pulled by a third towards somebody made up": with_parts(objective=partial(Pulled, share=1 / 3)),
    "pulled by half towards somebody made up": with_parts(objective=partial(Pulled, share=1 / 2)),
    "pulled by a third towards the mean of eight made up": with_parts(
        objective=partial(Pulled, share=1 / 3, mean_of=8)
    ),
    "only pulled towards somebody made up": with_parts(objective=partial(Pulled, share=1.0)),
    "divergence in the middle block": with_parts(objective=Diverging, inside=middle_block),
    "views aligned by BlazeFace": aligned_by_another,
    "purification as a view": with_views(VIEWS=(*VIEWS, washed)),
    "views without resizing and JPEG": with_views(VIEWS=(noisy, blurred)),
    "views without jitter": with_views(JITTER=0.0),
    "views with twice the jitter": with_views(JITTER=0.04),
    "looks at every second step": with_parts(looks=Rarely),
    "UNet at every second step": with_parts(inside=coasting),
}
LINE = tuple(IDEAS)[:3]


def seen(path: Path) -> tuple[Photo, Face] | None:
    """A photo and whom it is of."""
    photo = open_photo(path)
    face = main_face(photo.pixels)
    return (photo, face) if face else None


def above(name: str, one: tuple[Photo, Face], other: tuple[Photo, Face]) -> float:
    """How far two faces' cosine lies above the threshold at FAR 1 %, in deviations of strangers'."""
    a, b = (embedding(name, to_tensor(photo.pixels), face) for photo, face in (one, other))
    return (float(a @ b) - card(name).thresholds["far1"]) / card(name).strangers[1]


def usable(faces: Path, wanted: int) -> list[tuple[Sample, str]]:
    """The people, and whom each of them leaves out."""

    def accepted(one: Sample) -> bool:
        a, b = seen(one.photo), seen(one.probe or one.photo)
        return a is not None and b is not None and all(above(name, a, b) > 0 for name in STRONG)

    people = (one for one in samples(faces / "celebahq_pairs")[SKIPPED:] if accepted(one))
    return [(one, STRONG[index % len(STRONG)]) for index, one in enumerate(islice(people, wanted))]


def measure(idea: str, one: Sample, left_out: str) -> dict[str, Any]:
    """Protect one person's photo by an idea, and ask the recogniser that was left out."""
    before, probe = seen(one.photo), seen(one.probe or one.photo)
    if before is None or probe is None:
        raise ValueError(f"no face of {one.identity}")
    used = tuple(name for name in SURROGATES if independent(name, left_out))
    chosen = settings(**TRIED, surrogates=used)
    after = IDEAS[idea](*before, chosen).photo
    now = after, main_face(after.pixels) or before[1]
    images = to_tensor(before[0].pixels), to_tensor(after.pixels)
    return {
        "idea": idea,
        "identity": one.identity,
        "left_out": left_out,
        "above": above(left_out, now, probe),
        "psnr": float(psnr(*images)),
        "ssim": float(ssim(*images)),
    }


def perform(job: tuple[str, Sample, str]) -> dict[str, bytes]:
    """What is kept of a finished measurement."""
    return {ROW: json.dumps(measure(*job)).encode()}


def finished(run: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows that an earlier run has written, by idea and person."""
    rows = [json.loads(path.read_bytes()) for path in sorted(run.glob(f"*/*{ROW}"))]
    return {(row["idea"], row["identity"]): row for row in rows}


def table(rows: dict[tuple[str, str], dict[str, Any]], people: list[str]) -> str:
    """What each idea gained, as Markdown; those that not all people have tried yet are left out."""

    def column(idea: str, name: str) -> np.ndarray:
        return np.array([rows[idea, one][name] for one in people])

    complete = [idea for idea in IDEAS if all((idea, one) in rows for one in people)]
    qualities, scores = ([column(idea, name).mean() for idea in LINE] for name in ("psnr", "above"))
    slope = float(np.polyfit(qualities, scores, 1)[0])
    lines = ["| idea | rejected | above the threshold | dB | SSIM | gained |", "|---|---|---|---|---|---|"]
    for idea in complete:
        score, quality = column(idea, "above"), column(idea, "psnr")
        line = column(LINE[0], "above") + slope * (quality - column(LINE[0], "psnr"))
        gained = mean(line - score, people)
        lines.append(
            f"| {idea} | {(score <= 0).sum()}/{len(people)} | {score.mean():.2f} | {quality.mean():.2f} "
            f"| {column(idea, 'ssim').mean():.3f} "
            f"| {gained.value:+.2f} [{gained.low:+.2f}, {gained.high:+.2f}] |"
        )
    return "\n".join(lines)


def main(faces: Path, run: Path, people: int = 18, workers: int = 2, only: str = "") -> None:
    """Run what is missing, then print the table."""
    chosen = usable(faces, people)
    ideas = [idea for idea in IDEAS if idea in LINE or only in idea]
    jobs = [(f"{idea}/{one.identity}", (idea, one, left_out)) for idea in ideas for one, left_out in chosen]
    with Progress() as progress:
        task = progress.add_task("protecting", total=len(jobs))
        for step in shards.run(jobs, perform, shards.Store(run, ROW), workers):
            progress.update(task, completed=step.done)
    print(table(finished(run), [one.identity for one, _ in chosen]))
    print(f"\nn = {len(chosen)} people, seed 0")


if __name__ == "__main__":
    typer.run(main)
