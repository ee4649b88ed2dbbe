"""Does a cloak that varies from photo to photo escape an adversary who learnt from cloaks that do not?

    python weights/recipes/train_trackers.py --help   # first: a purifier and a detector, in TRACKERS
    python scripts/try_variation.py FACES TRACKERS RUN [--people 16]

The main photos of people of FACES/celebahq_pairs from the 200th on are cloaked at `strong` as the adversary's
were (effort quick, without sface and its kin, which judges), and once more for each way to vary it, as the
photo's own checksum draws, so that no memory is needed:

depth: 0 to 3 steps of diffusion are inverted, so that the prior bends the change more or less.
prices: what skin, energy and colour cost, each up to e times as much or as little: another band.
decoy: all of the objective pulls towards one of those who do not exist, whom the photo picks (try_albums.py).
all: every one of these.

Printed: by the judge, the mean cosine with the person's other photo and the share that is rejected at FAR
1 %, before the purifier and after it; `likeness`; the detector's area under the curve. What does not pay is
not in the engine (docs/decisions/0028). A run that was cut goes on. Seed 0.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import typer
from try_albums import JUDGE, SKIPPED, Shown, cloaked, decoy, seen, shown

from veil.attacks import attacked
from veil.core.images import open_photo, to_tensor
from veil.core.types import Array, Sighting
from veil.core.writing import png
from veil.eval import resumable
from veil.eval.datasets import checksum, samples
from veil.eval.metrics.likeness import likeness
from veil.eval.trackers import adversary_weights, detector, purifier
from veil.eval.trackers.crops import cut
from veil.eval.trackers.rates import area_under_curve
from veil.privacy.settings import EFFORTS, STRENGTHS, Settings
from veil.ui.engine_hooks import ENGINE_HOOKS
from veil.weights.registry import card

EFFORT = EFFORTS["quick"]  # as of the cloaks that the adversary learnt from
WAYS = ("plain", "depth", "prices", "decoy", "all")
PRICES = ("energy_weight", "chroma", "smoothness", "structure", "perceptual")


def drawn(way: str, photo: Path) -> dict[str, Any]:
    """The settings that a way to vary draws for a photo, beside those of the strength."""
    random, plain = Random(checksum(photo)), Settings(**STRENGTHS["strong"])
    depth = {"depth": random.randrange(4)}
    prices = {name: getattr(plain, name) * np.exp(random.uniform(-1, 1)) for name in PRICES}
    towards = {"goal": "impersonate"}
    return {"plain": {}, "depth": depth, "prices": prices, "decoy": towards, "all": depth | prices | towards}[
        way
    ]


@dataclass(frozen=True)
class Adversary:
    """What was learnt from other people's cloaks."""

    purifier: purifier.Purifier
    detector: detector.Detector

    @classmethod
    def load(cls, folder: Path) -> Adversary:
        """From a folder of `train_trackers.py`."""
        ours, _ = adversary_weights.load(purifier.Purifier(), folder / "purifier.safetensors")
        theirs, _ = adversary_weights.load(detector.Detector(), folder / "detector.safetensors")
        return cls(ours, theirs)

    def score(self, one: Shown) -> float:
        """How sure it is that a photo was cloaked."""
        return float(self.detector(cut(Sighting(*one))).detach())


def judged(
    adversary: Adversary, before: Shown, file: Path, known: Array
) -> tuple[float, float, float, float]:
    """Of a cloaked photo: its cosine with a known vector, that after the purifier, likeness, and the
    detector's score."""
    face = before[1]
    after = open_photo(file)
    clean = file.with_suffix(".purified.png")
    resumable.replace(clean, png(purifier.purified(adversary.purifier, Sighting(after, face)).frame.pixels))
    alike = likeness(to_tensor(before[0].pixels), to_tensor(after.pixels), face)
    cosines = [float(seen(one, face) @ known) for one in (file, clean)]
    return cosines[0], cosines[1], float(alike[0]), adversary.score((after, face))


def main(faces: Path, trackers: Path, run: Path, people: int = 16) -> None:
    """Cloak, and print what the adversary makes of it."""
    pool = sorted((faces / "training" / "faker").iterdir())
    adversary = Adversary.load(trackers)
    everyone = [
        one for one in samples(faces / "celebahq_pairs") if int(one.identity) >= SKIPPED and one.probe
    ]
    rows: dict[str, list[tuple[float, float, float, float]]] = {way: [] for way in WAYS}
    clean: list[float] = []
    for person in islice(everyone, people):
        assert person.probe
        one, other = shown(person.photo), shown(person.probe)
        clean.append(adversary.score(one))
        known = seen(person.probe, other[1])
        for way in WAYS:
            changes = {"surrogates": list(attacked(JUDGE)), "seed": 0, **EFFORT, **drawn(way, person.photo)}
            values = ENGINE_HOOKS.resolve("veil", "strong", changes)
            target = decoy(person.photo, pool) if values["goal"] == "impersonate" else None
            file = cloaked(run / way / f"{person.identity}.png", one, values, target)
            rows[way].append(judged(adversary, one, file, known))
        print(
            person.identity, {way: np.round(some[-1], 2).tolist() for way, some in rows.items()}, flush=True
        )
    threshold = card(JUDGE).thresholds["far1"]
    for way, some in rows.items():
        before, after, alike, scores = np.array(some).T
        cloaks = np.arange(2 * len(some)) >= len(some)
        area = area_under_curve(np.concatenate([clean, scores]), cloaks, 2 * list(range(len(some))))
        print(
            f"{way}: cosine {before.mean():.3f} -> {after.mean():.3f}, "
            f"rejected {(before <= threshold).mean():.2f} -> {(after <= threshold).mean():.2f}, "
            f"likeness {alike.mean():.3f}, "
            f"AUC {area.value:.2f} [{area.low:.2f}, {area.high:.2f}], n {len(some)}"
        )


if __name__ == "__main__":
    typer.run(main)
