"""How much identity does each prior's autoencoder keep, by size of the face? TokBench's F-Sim (2505.18142).

    python scripts/fsim.py FACES [--dataset celebahq_pairs] [--photos 100] [--recognizer dlib ...]

Every photo is shown in 256 pixels at three sizes, so that its face falls into each of TokBench's bins. Our
priors see faces, not photos: the face is cut, encoded, decoded and pasted back. What is printed is where any
protection by that prior begins: only the drop below it is protection.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.progress import track
from torch import Tensor

from veil.attacks import packaged
from veil.attacks.faces.sampling import warp
from veil.attacks.faces.transforms import box_transform
from veil.core.errors import VeilError
from veil.core.images import open_photo, to_pixels, to_tensor
from veil.core.types import Face, Pixels
from veil.eval.datasets import main_face, samples
from veil.eval.metrics.fsim import BINS, fsim
from veil.privacy.face_context import align_crop
from veil.privacy.paste import paste
from veil.privacy.priors import PRIORS, Prior, prior
from veil.privacy.purification import purified

SIDE = 256  # pixels of a picture
SHARES = (0.08, 0.15, 0.5)  # of its side that the face takes: one in each bin


def shown(pixels: Pixels, face: Face) -> Iterator[tuple[Pixels, Face]]:
    """A photo in pictures of 256 pixels, at three sizes of its face."""
    for share in SHARES:
        place = box_transform(face.box, (1 / share - 1) / 2, SIDE, face.turn)
        scale, shift = place[0, 0], place[:, 2]
        picture = to_pixels(warp(to_tensor(pixels), place, SIDE, "border"))
        yield picture, face.transformed(1 / scale, *(-shift / scale))


@torch.no_grad()
def rebuilt(used: Prior, pixels: Pixels, face: Face) -> Pixels:
    """A picture whose face went through a prior's autoencoder."""
    crop = align_crop(pixels, face, used.template, used.size)
    return paste(pixels, purified(used, crop.pixels, 0) - crop.pixels, crop.placement)


def pairs(used: Prior, pictures: Iterable[tuple[Pixels, Face]]) -> list[tuple[Tensor, Tensor, Face]]:
    """Each picture before and after, and its face."""
    return [(to_tensor(one), to_tensor(rebuilt(used, one, face)), face) for one, face in pictures]


def table(priors: Sequence[str], recognizers: Sequence[str], pictures: list[tuple[Pixels, Face]]) -> str:
    """F-Sim of every prior as Markdown, with the cosine of each bin; a prior that is not here is named."""
    edges = BINS[SIDE]
    bins = [f"{low:g} to {high:g}" for low, high in zip(edges, edges[1:], strict=False)]
    lines = [f"| prior | recogniser | F-Sim | {' | '.join(bins)} |", "|---|---|---|" + "---|" * len(bins)]
    for name in priors:
        try:
            both = pairs(prior(name), track(pictures, name))
        except VeilError as error:
            lines.append(f"| {name} | {error.message} |" + " - |" * (1 + len(bins)))
            continue
        for recognizer in recognizers:
            value, means = fsim(recognizer, both, edges)
            cells = " | ".join(f"{each:.4f}" for each in (value, *means))
            lines.append(f"| {name} | {recognizer} | {cells} |")
    return "\n".join(lines)


def main(
    faces: Path,
    dataset: str = "celebahq_pairs",
    photos: int = 100,
    recognizer: Annotated[list[str], typer.Option()] = list(packaged()),  # noqa: B006, B008
) -> None:
    """Print the table."""
    pictures: list[tuple[Pixels, Face]] = []
    for sample in samples(faces / dataset)[:photos]:
        pixels = open_photo(sample.photo).pixels
        if face := main_face(pixels):
            pictures += shown(pixels, face)
    print(table(list(PRIORS), recognizer, pictures))
    print(f"\n{len(pictures) // len(SHARES)} photos of {dataset}, each at {len(SHARES)} sizes.")


if __name__ == "__main__":
    typer.run(main)
