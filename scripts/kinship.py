"""Which recognisers are kin? How much two agree on who resembles whom, among people who are not one.

    python scripts/kinship.py FACES [--people 400] [--recognizer dlib ...]

FACES is a dataset; one photo of each person is used. For every two recognisers: the correlation of their
cosines over all pairs of people, and what of it the other recognisers do not share (the partial correlation),
with 95 % intervals from drawing people. All that tell people apart agree somewhat, for some people do look
alike, the stronger the more. Two that share a trunk, faceres and faceres-deep, are the yardstick.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

from itertools import combinations, islice
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.progress import track

from veil.attacks import packaged
from veil.core.images import open_photo, to_tensor
from veil.core.types import Array
from veil.eval.bootstrap import draws_of, percentiles
from veil.eval.datasets import main_face, samples
from veil.eval.verification import embedding


def cosines(faces: Path, people: int, recognizers: list[str]) -> Array:
    """The cosines (R, P, P) of every recogniser between people, each with one photo."""
    vectors: dict[str, list[torch.Tensor]] = {name: [] for name in recognizers}
    for one in track(list(islice(samples(faces), people)), "embedding"):
        pixels = open_photo(one.photo).pixels
        if face := main_face(pixels):
            for name in recognizers:
                vectors[name].append(embedding(name, to_tensor(pixels), face))
    stacked = [torch.stack(rows).double().numpy() for rows in vectors.values()]
    return np.stack([rows @ rows.T for rows in stacked])


def correlations(cosines: Array, weights: Array) -> Array:
    """How matrices (R, P, P) agree off their diagonals, (N, R, R), each person counted (N, P) times."""
    count = weights.sum(1) ** 2 - (weights**2).sum(1)

    def mean(values: Array) -> Array:
        return np.einsum("np,np->n", weights @ (values * (1 - np.eye(len(values)))), weights) / count

    means = np.stack([mean(one) for one in cosines], 1)
    products = np.stack([np.stack([mean(one * other) for other in cosines], 1) for one in cosines], 1)
    return scaled(products - means[:, :, None] * means[:, None])


def scaled(matrices: Array) -> Array:
    """Matrices (N, R, R) with a diagonal of ones."""
    sizes = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    return matrices / (sizes[:, :, None] * sizes[:, None])


def main(
    faces: Path,
    people: int = 400,
    recognizer: Annotated[list[str], typer.Option()] = list(packaged()),  # noqa: B006, B008
) -> None:
    """Print a table, the closest first."""
    found = cosines(faces, people, recognizer)
    size = found.shape[1]
    drawn = correlations(found, np.vstack([np.ones(size), draws_of(size)]))  # first: everyone once
    columns = drawn, -scaled(np.linalg.inv(drawn))
    print("| recognisers | correlation | beyond the others |\n|---|---|---|")
    for first, second in sorted(combinations(range(len(found)), 2), key=lambda both: -columns[1][0, *both]):
        cells = [cell(column[:, first, second]) for column in columns]
        print(f"| {recognizer[first]}, {recognizer[second]} | {' | '.join(cells)} |")
    print(f"{size} people, {size * (size - 1) // 2} pairs")


def cell(values: Array) -> str:
    """A value, with its interval from those that were drawn."""
    one = percentiles(values[0], values[1:], len(values))
    return f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"


if __name__ == "__main__":
    typer.run(main)
