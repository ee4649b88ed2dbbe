"""Does `veil protect --only` choose the right faces? The votes of recognisers on known people.

    python scripts/measure_choice.py FACES [--people 400]

FACES is a dataset with two photos of each person: one is the reference, the other lies in the album, beside
those of everyone else. Prints how often the person is chosen and others are not, and how often that is
doubtful, with 95 % intervals from drawing people.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

from itertools import islice
from pathlib import Path

import numpy as np
import torch
import typer
from rich.progress import track

from veil.attacks.person import OTHER, SAME, Vectors, vectors, vote
from veil.core.images import open_photo
from veil.core.types import Array
from veil.eval.bootstrap import rate
from veil.eval.datasets import main_face, samples


def seen(photo: Path) -> Vectors | None:
    """How recognisers see the person of a photo; None where no face is found."""
    pixels = open_photo(photo).pixels
    face = main_face(pixels)
    return vectors(pixels, face) if face else None


def votes(faces: Path, people: int) -> Array:
    """The votes (P, P) on everyone's photo in the album, by everyone's reference."""
    everyone = [one for one in samples(faces) if one.probe]
    references, album = list[Vectors](), list[Vectors]()
    for one in track(list(islice(everyone, people)), "looking"):
        assert one.probe
        both = seen(one.probe), seen(one.photo)
        if both[0] and both[1]:
            references.append(both[0])
            album.append(both[1])
    known, shown = (
        {name: torch.stack([one[name] for one in side]) for name in side[0]} for side in (references, album)
    )
    return vote(known, {name: rows.T for name, rows in shown.items()}).double().numpy()


def main(faces: Path, people: int = 400) -> None:
    """Print a line for each kind of choice."""
    found = votes(faces, people)
    rows, columns = np.nonzero(~np.eye(len(found), dtype=bool))
    own, others = np.diag(found), found[rows, columns]
    everyone = range(len(found))
    for text, right, whose in (
        ("the person is chosen by --only", own >= OTHER, everyone),
        ("the person is spared by --except", own >= SAME, everyone),
        ("others are left by --only", others < OTHER, rows),
        ("others are protected by --except", others < SAME, rows),
        ("the person is doubtful", (own >= OTHER) & (own < SAME), everyone),
        ("others are doubtful", (others >= OTHER) & (others < SAME), rows),
    ):
        share = rate(right, list(whose))
        print(f"{text}: {share.value:.2%} [{share.low:.2%}, {share.high:.2%}] of {share.n}")


if __name__ == "__main__":
    typer.run(main)
