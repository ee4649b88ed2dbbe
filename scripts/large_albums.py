"""What does an album do with four photos of a person?

    python scripts/large_albums.py FACES RUN [--people 20]

The four photos of people of FACES/lfw are protected one after the other, each alone, and as an album: kept
apart from those before it (`veil protect --album`). Judged is by a recogniser that is left out in turn, with
its kin: each protected photo beside those before it, and beside the three other photos as they are. Writes
benchmarks/large-albums/. A run that was cut goes on. Seed 0. What other prices cost was measured on people
from the 41st on (docs/decisions/0026).
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

from collections.abc import Callable
from functools import partial
from itertools import islice, product
from pathlib import Path

import pandas as pd
import typer
from references import JUDGES, Row, finished, write
from tracked import Person, people_of, seen

from veil.attacks import attacked
from veil.core.images import open_photo, to_tensor
from veil.core.types import Array, Face, Photo, Sighting
from veil.eval.bootstrap import rate
from veil.eval.datasets import main_face
from veil.eval.metrics.likeness import likeness
from veil.eval.summary import interval
from veil.privacy.settings import EFFORTS
from veil.ui.engine_hooks import ENGINE_HOOKS
from veil.weights.registry import card

OUTPUT = Path(__file__).parents[1] / "benchmarks" / "large-albums"


def protected(person: Person, strength: str, effort: str, judge: str, album: bool) -> list[Row]:
    """What the judge says of each of a person's photos."""
    changes = {**EFFORTS[effort], "surrogates": list(attacked(judge)), "seed": 0}
    values = ENGINE_HOOKS.resolve("veil", strength, changes)
    photos = [Sighting(open_photo(path), face) for path, face in zip(person.paths, person.faces, strict=True)]
    clean, threshold = [seen(judge, one) for one in photos], card(judge).thresholds["far1"]
    before, vectors, rows = list[tuple[Photo, Face]](), list[Array](), list[Row]()
    for place, (photo, face) in enumerate((one.frame, one.face) for one in photos):
        after = ENGINE_HOOKS.protect(photo, face, values, None, list(before) if album else [])
        own = seen(judge, Sighting(after, main_face(after.pixels) or face))
        others = [float(own @ vector) for other, vector in enumerate(clean) if other != place]
        linked = [float(own @ vector) for vector in vectors]
        looks = float(likeness(to_tensor(photo.pixels), to_tensor(after.pixels), face)[0])
        rows.append(
            {
                "identity": person.name,
                "strength": strength,
                "judge": judge,
                "album": album,
                "place": place + 1,
                "matched": sum(cosine > threshold for cosine in others) / len(others),
                "pairs": len(linked),
                "linked": sum(cosine > threshold for cosine in linked),
                "cosine": sum(others) / len(others),
                "likeness": looks,
            }
        )
        before.append((after, face))
        vectors.append(own)
    return rows


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """How many pairs of protected photos are not linked, and how often a photo is not matched to a clean
    one: the first, and the later ones."""
    found: list[Row] = []
    everybody = rows.assign(of="all"), rows.assign(of=rows["judge"])
    for about, part in pd.concat(everybody).groupby(["strength", "album", "of"], sort=False):
        line: Row = dict(zip(("strength", "album", "recognizer"), about, strict=True))
        later, first = part[part["place"] > 1], part[part["place"] == 1]
        pairs = later.loc[later.index.repeat(later["pairs"])]
        unlinked = pairs.groupby(level=0).cumcount() >= pairs["linked"]
        line |= interval("unlinked", rate(unlinked, pairs["identity"].tolist()))
        for name, some in (("first", first), ("later", later)):
            line |= interval(name, rate(1 - some["matched"], some["identity"].tolist()))
        found.append(line | {"likeness": part["likeness"].mean(), "n": part["identity"].nunique()})
    return pd.DataFrame(found)


def main(
    faces: Path,
    run: Path,
    people: int = 20,
    first: int = 0,
    strength: str = "strong",
    effort: str = "normal",
    output: Path = OUTPUT,
) -> None:
    """Protect, judge, and write the tables."""
    everyone = list(islice(people_of(faces), first, first + people))
    jobs: dict[str, Callable[[], list[Row]]] = {}
    for (place, person), album in product(enumerate(everyone), (False, True)):
        judge = JUDGES[place % len(JUDGES)]
        key = f"{strength}-{effort}-{'album' if album else 'alone'}/{person.name}-{judge}"
        jobs[key] = partial(protected, person, strength, effort, judge, album)
    rows = [row for found in finished(jobs, run) for row in found]
    write(output, rows, table, (strength,), effort, people=people, first=first)


if __name__ == "__main__":
    typer.run(main)
