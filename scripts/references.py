"""Does veil protect better if it knows other photos of the person?

    python scripts/references.py FACES RUN [--people 30]

The first photo of people of FACES/lfw with four photos is protected (from the first person on; settings were
chosen on those from the 31st on), alone and with one or two of the other photos as references
(`veil protect --me`). Judged is by a recogniser that is left out in turn, with its kin, beside the fourth
photo, which nothing has seen; and beside the second one, which is the first reference. Writes
benchmarks/references/. A run that was cut goes on. Seed 0.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib.metadata import version
from itertools import islice, product
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from tracked import Person, people_of, seen

from veil.attacks import attacked
from veil.core.images import open_photo, to_tensor
from veil.core.progress import finish
from veil.core.types import Sighting
from veil.core.writing import png
from veil.eval import resumable
from veil.eval.bootstrap import mean, rate
from veil.eval.datasets import main_face
from veil.eval.metrics.likeness import likeness
from veil.eval.metrics.naturalness import naturalness
from veil.eval.summary import interval
from veil.privacy.settings import EFFORTS
from veil.ui.engine_hooks import ENGINE_HOOKS
from veil.weights.registry import card

OUTPUT = Path(__file__).parents[1] / "benchmarks" / "references"
JUDGES = ("dlib", "mobilefacenet", "faceres", "faceplugin", "sface")
REFERENCES = (0, 2, 1)
SECOND, UNSEEN = 1, 3  # photos beside which is judged
Row = dict[str, Any]


def protected(person: Person, run: Path, strength: str, judge: str, references: int) -> Row:
    """What the judge says of a person's first photo, protected with so many references."""
    photos = [Sighting(open_photo(path), face) for path, face in zip(person.paths, person.faces, strict=True)]
    first, face = photos[0].frame, photos[0].face
    known = [(one.frame, one.face) for one in photos[SECOND:][:references]]
    values = ENGINE_HOOKS.resolve("veil", strength, {"surrogates": list(attacked(judge)), "seed": 0})
    after = ENGINE_HOOKS.protect(first, face, values, None, [], known)
    file = run / "pictures" / f"{strength}-{references}" / f"{person.name}-{judge}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    resumable.replace(file, png(after.pixels))
    clean = [seen(judge, one) for one in photos]
    vector = seen(judge, Sighting(after, main_face(after.pixels) or face))
    images = [to_tensor(one.pixels) for one in (first, after)]
    threshold, spread = card(judge).thresholds["far1"], card(judge).strangers[1]
    rows: Row = {"identity": person.name, "strength": strength, "judge": judge, "references": references}
    for name, other in (("second", SECOND), ("unseen", UNSEEN)):
        for side, own in (("before", clean[0]), ("after", vector)):
            rows[f"{name}_{side}"] = (float(own @ clean[other]) - threshold) / spread
    rows["likeness"] = float(likeness(*images, face)[0])
    rows["naturalness"] = float(naturalness(*images, face)[0])
    return rows


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """What is rejected beside each photo, by how many standard deviations of strangers' cosines it is above
    the threshold, what references change of that, and what it looks like."""
    alone = rows[rows["references"] == 0].set_index(["identity", "strength", "judge"])
    found: list[Row] = []
    everybody = rows.assign(of=rows["judge"]), rows.assign(of="all")
    for about, part in pd.concat(everybody[::-1]).groupby(["strength", "references", "of"], sort=False):
        people = part["identity"].tolist()
        before = alone.loc[list(zip(people, part["strength"], part["judge"], strict=True))]
        line: Row = dict(zip(("strength", "references", "recognizer"), about, strict=True))
        for name in ("second", "unseen"):
            after = part[f"{name}_after"].to_numpy()
            less = after - before[f"{name}_after"].to_numpy()
            line |= interval(name, rate(after <= 0, people)) | {f"{name} above": after.mean()}
            line |= interval(f"{name} change", mean(less, people))
        looks = {name: part[name].mean() for name in ("likeness", "naturalness")}
        found.append(line | looks | {"n": len(part)})
    return pd.DataFrame(found)


def main(
    faces: Path,
    run: Path,
    people: int = 30,
    strength: Annotated[list[str], typer.Option()] = ["balanced", "strong"],  # noqa: B006
    output: Path = OUTPUT,
) -> None:
    """Protect, judge, and write the tables."""
    everyone = list(islice(people_of(faces), people))
    jobs: dict[str, Callable[[], Row]] = {}
    for name, references, (place, person) in product(strength, REFERENCES, enumerate(everyone)):
        judge = JUDGES[place % len(JUDGES)]
        key = f"{name}-{references}/{person.name}-{judge}"
        jobs[key] = partial(protected, person, run, name, judge, references)
    write(output, finished(jobs, run), table, strength, people=people)


def finished(jobs: Mapping[str, Callable[[], Any]], run: Path) -> list[Any]:
    """What jobs say, one after the other, each kept in the run's folder as JSON."""
    store = resumable.Store(run / "measured", ".json")

    def work(job: Callable[[], Any]) -> dict[str, bytes]:
        return {".json": json.dumps(job()).encode()}

    finish(
        resumable.run(jobs.items(), work, store, 0),
        lambda step: print(step.done, "of", step.total, flush=True),
    )
    return [json.loads(store.path(key, ".json").read_bytes()) for key in jobs]


def write(
    output: Path,
    rows: Iterable[Row],
    table: Callable[[pd.DataFrame], pd.DataFrame],
    strengths: Iterable[str],
    effort: str = "normal",
    **asked: int,
) -> None:
    """Write rows, without who it was, their table, and what they were made of and `asked` for."""
    every = pd.DataFrame(rows)
    output.mkdir(parents=True, exist_ok=True)
    for name, part in (("rows", every.drop(columns="identity")), ("rates", table(every))):
        resumable.replace(output / f"{name}.csv", part.to_csv(index=False, float_format="%.4f").encode())
    made_of = {
        "versions": {name: version(name) for name in ("veil", "torch", "diffusers", "numpy")},
        **asked,
        "effort": effort,
        "settings": {name: ENGINE_HOOKS.resolve("veil", name, EFFORTS[effort]) for name in strengths},
    }
    resumable.replace(output / "manifest.json", (json.dumps(made_of, indent=1) + "\n").encode())


if __name__ == "__main__":
    typer.run(main)
