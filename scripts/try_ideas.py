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

What does not pay is not in the engine: it lives in `ideas.py` only, so that its figures can be made again.
Earlier ideas, tried at equal PSNR (benchmarks/ideas.md), are in this file's history.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from ideas import IDEAS, copies_in
from rich.progress import Progress

from veil.attacks import attacked
from veil.core.images import open_photo, to_tensor
from veil.core.types import Face, Photo
from veil.core.writing import png
from veil.eval import resumable
from veil.eval.bootstrap import Interval, mean, rate
from veil.eval.datasets import Sample, main_face, samples
from veil.eval.metrics.likeness import likeness
from veil.eval.metrics.naturalness import naturalness
from veil.eval.metrics.psnr import psnr
from veil.eval.verification import embedding
from veil.privacy.settings import settings
from veil.weights.registry import card

STRONG = ("dlib", "mobilefacenet", "faceres", "faceplugin", "sface")
SKIPPED = 200
TRIED: dict[str, Any] = {"steps": 60, "penalty_scale": 2.1, "target_margin": 6.0, "seed": 0}
PICTURE, ROW = ".png", ".json"  # of a finished measurement; the row says that it is

Row = dict[str, Any]


LINE = tuple(IDEAS)[:3]


def photo_and_face(path: Path) -> tuple[Photo, Face] | None:
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
        pair = photo_and_face(one.photo), photo_and_face(one.probe or one.photo)
        if pair[0] and pair[1] and above(left_out, pair[0], pair[1])["far1"] > 0:
            yield one, left_out


def perform(job: tuple[str, Sample, str, Path | None]) -> dict[str, bytes]:
    """Protect one person's photo by an idea and ask the recogniser that was left out: picture and row."""
    idea, one, left_out, robust = job
    before, probe = photo_and_face(one.photo), photo_and_face(one.probe or one.photo)
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
    return {PICTURE: png(after.pixels), ROW: json.dumps(row).encode()}


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
