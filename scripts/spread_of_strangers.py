"""Do the people whom the prior makes up turn their heads and move their faces as those in photos do?

    python scripts/spread_of_strangers.py FACES [--people 200]

Of as many made-up people (the distractors `prior:N` of benchmarks, from seed 0 on) and of as many people of
each dataset in FACES: how far heads are turned, nod and are tilted, how far mouths are open, smile and brows
are raised, as the standard deviation over people, with its interval. Prints a table, for docs/decisions/0027.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import typer

from veil.attacks.networks.blendshapes import NAMES
from veil.core.images import open_photo
from veil.core.progress import finish
from veil.core.types import Array, Pixels
from veil.eval.behaviour.head import angles
from veil.eval.behaviour.reading import read
from veil.eval.datasets import main_face, samples
from veil.ui.engine_hooks import ENGINE_HOOKS

DATASETS = ("lfw", "celebahq_pairs", "utkface_adults")
MOVES = ("jawOpen", "mouthSmileLeft", "browInnerUp")
DRAWS = 2000


def made_up() -> Iterable[Pixels]:
    """Pictures of people who do not exist."""
    seed = 0
    while True:
        yield ENGINE_HOOKS.make_person(seed).pixels
        seed += 1


def spread(pictures: Iterable[Pixels], people: int) -> Array:
    """The angles, in degrees, and the `MOVES`, from 0 to 1, of the main face of each picture (N, 6)."""
    rows = list[Array]()
    for pixels in pictures:
        if face := main_face(pixels):
            reading = finish(read([pixels], np.zeros(1), [face], rarely=2))
            rows.append(
                np.concatenate([angles(reading)[0], reading.blendshapes[0, [*map(NAMES.index, MOVES)]]])
            )
        if len(rows) == people:
            break
    found = np.stack(rows)
    return found[~np.isnan(found).any(1)]


def main(faces: Path, people: int = 200) -> None:
    """Read, and print the standard deviations."""
    sources: dict[str, Iterable[Pixels]] = {"made up": made_up()}
    for name in DATASETS:
        sources[name] = (open_photo(one.photo).pixels for one in samples(faces / name))
    print("of", *("turned", "nodding", "tilted"), *MOVES, "n", sep=" | ")
    random = np.random.default_rng(0)
    for name, pictures in sources.items():
        found = spread(islice(pictures, 2 * people), people)
        again = found[random.integers(0, len(found), (DRAWS, len(found)))].std(1)
        low, high = np.percentile(again, [2.5, 97.5], axis=0)
        cells = [f"{v:.3g} [{a:.3g}, {b:.3g}]" for v, a, b in zip(found.std(0), low, high, strict=True)]
        print(name, *cells, len(found), sep=" | ", flush=True)


if __name__ == "__main__":
    typer.run(main)
