"""Does protection carry over to a strong recogniser that the engine never saw?

    python scripts/first_light.py FACES RUN [--pairs 40] [--strength balanced] [--set depth=8 ...]

FACES holds celebahq_pairs. Takes the first pairs without a doubtful label whose clean photos every strong
recogniser accepts as one person, and leaves out each strong recogniser in turn: it must not recognise the
protected photo against the *different* photo of that person, at its threshold of FAR 1 % (calibrated on
LFW, cards.toml). Beside it: the clean rate, and the rate after reconstruction without an attack. Finished
rows lie in RUN/rows.csv, so that a run that was cut goes on. Seed 0; intervals are bootstrapped over people.
"""

import csv
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image
from rich.progress import Progress

from veil.attacks import independent
from veil.attacks.faces import find_faces, largest_face
from veil.core.images import open_photo, to_tensor
from veil.core.progress import finish
from veil.core.types import Face, Pixels
from veil.eval.statistics import mean
from veil.eval.verification import embedding
from veil.privacy import protect
from veil.privacy.canvas import cut
from veil.privacy.engine import find_start
from veil.privacy.paste import paste, window
from veil.privacy.priors import prior
from veil.privacy.settings import Settings, settings
from veil.weights.registry import card

STRONG = ("dlib", "mobilefacenet", "faceres")
SURROGATES = ("dlib", "mobilefacenet", "faceres", "mobileface")


def cosine(name: str, a: tuple[Pixels, Face], b: tuple[Pixels, Face]) -> float:
    """How alike a recogniser finds two faces."""
    one, other = (embedding(name, to_tensor(pixels), face) for pixels, face in (a, b))
    return float(one @ other)


def seen(pixels: Pixels) -> tuple[Pixels, Face]:
    """A photo and its largest face."""
    return pixels, largest_face(pixels)


def usable(faces: Path, wanted: int) -> list[str]:
    """The first identities whose clean pair every strong recogniser accepts."""
    found: list[str] = []
    with (faces / "celebahq_pairs" / "pairs.csv").open() as file:
        for row in csv.DictReader(file):
            if row["doubtful_label"] != "0":
                continue
            a, b = (
                seen(open_photo(faces / "celebahq_pairs" / row[key]).pixels) for key in ("protect", "probe")
            )
            if all(cosine(name, a, b) > card(name).thresholds["far1"] for name in STRONG):
                found.append(row["identity"])
            if len(found) == wanted:
                break
    return found


def judge(faces: Path, run: Path, identity: str, left_out: str, chosen: Settings) -> dict[str, Any]:
    """Protect one photo against all surrogates but those that share a trunk with the left-out recogniser."""
    folder = faces / "celebahq_pairs"
    photo = open_photo(folder / "a" / f"{int(identity):03d}.png")
    face = largest_face(photo.pixels)
    probe = seen(open_photo(folder / "b" / f"{int(identity):03d}.png").pixels)
    surrogates = tuple(name for name in SURROGATES if independent(name, left_out))
    since = time.perf_counter()
    result = finish(protect(photo, [face], chosen.model_copy(update={"surrogates": surrogates})))
    seconds = time.perf_counter() - since
    file = run / f"{identity}-{left_out}.png"
    Image.fromarray(result.photo.pixels).save(file)
    after = open_photo(file).pixels
    used = prior(chosen.prior)
    crop = cut(photo.pixels, face, used.template, used.size)
    plain = finish(find_start(used, crop.pixels, chosen)).reconstruction - crop.pixels
    rebuilt = paste(photo.pixels, plain, crop.to_photo)
    left, top, right, bottom = window(crop.to_photo, used.size, *photo.size)
    outside = np.ones(photo.pixels.shape[:2], bool)
    outside[top:bottom, left:right] = False
    found = find_faces(after)
    return {
        "identity": identity,
        "left_out": left_out,
        "threshold": card(left_out).thresholds["far1"],
        "clean": cosine(left_out, (photo.pixels, face), probe),
        "rebuilt": cosine(left_out, seen(rebuilt), probe),
        "protected": cosine(left_out, (after, found[0]), probe) if found else -1.0,
        "psnr": float(-10 * np.log10(((after / 255.0 - photo.pixels / 255.0) ** 2).mean())),
        "outside_identical": bool(np.array_equal(after[outside], photo.pixels[outside])),
        "seconds": round(seconds, 1),
    }


def one_thread() -> None:
    """Each worker keeps to one core."""
    torch.set_num_threads(1)


def finished(rows: Path) -> dict[tuple[str, str], dict[str, str]]:
    """The rows that an earlier run has written, by identity and left-out recogniser."""
    if not rows.exists():
        return {}
    with rows.open() as file:
        return {(row["identity"], row["left_out"]): row for row in csv.DictReader(file)}


def interval(values: np.ndarray, people: list[str]) -> str:
    """Mean and 95 % bootstrap interval, drawing people."""
    found = mean(values, people)
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def table(rows: list[dict[str, str]]) -> str:
    """Rates of rejection in percent, by left-out recogniser and over all, as Markdown."""
    lines = [
        "| left out | n | clean | rebuilt | protected % [95 %] | PSNR dB [95 %] | seconds a face, median |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in (*STRONG, "all"):
        part = [row for row in rows if name in ("all", row["left_out"])]
        if not part:
            continue
        people = [row["identity"] for row in part]
        rejected = {
            key: np.array([100.0 * (float(row[key]) <= float(row["threshold"])) for row in part])
            for key in ("clean", "rebuilt", "protected")
        }
        psnr, seconds = (np.array([float(row[key]) for row in part]) for key in ("psnr", "seconds"))
        lines.append(
            f"| {name} | {len(part)} | {rejected['clean'].mean():.0f} | {rejected['rebuilt'].mean():.0f} "
            f"| {interval(rejected['protected'], people)} | {interval(psnr, people)} "
            f"| {np.median(seconds):.0f} |"
        )
    return "\n".join(lines)


def main(
    faces: Path,
    run: Path,
    pairs: int = 40,
    strength: str = "balanced",
    workers: int = 2,
    change: Annotated[list[str], typer.Option("--set", help="NAME=VALUE of a setting.")] = [],  # noqa: B006
) -> None:
    """Run what is missing, then print the table."""
    run.mkdir(parents=True, exist_ok=True)
    chosen = settings(strength, **dict(pair.split("=") for pair in change))
    (run / "settings.json").write_text(chosen.model_dump_json(indent=2))
    done, file = finished(run / "rows.csv"), run / "rows.csv"
    wanted = [(one, name) for one in usable(faces, pairs) for name in STRONG]
    missing = [job for job in wanted if job not in done]
    with ProcessPoolExecutor(workers, get_context("spawn"), one_thread) as pool, Progress() as progress:
        task = progress.add_task("protecting", total=len(missing))
        for future in as_completed([pool.submit(judge, faces, run, *job, chosen) for job in missing]):
            row = future.result()
            with file.open("a", newline="") as stream:
                writer = csv.DictWriter(stream, row)
                if stream.tell() == 0:
                    writer.writeheader()
                writer.writerow(row)
                stream.flush()
                os.fsync(stream.fileno())
            progress.advance(task)
    rows = [row for job, row in finished(file).items() if job in wanted]
    print(table(rows))
    print(f"outside of the blend mask identical: {all(row['outside_identical'] == 'True' for row in rows)}")


if __name__ == "__main__":
    typer.run(main)
