"""What does a tracker that learns do to veil?

    python weights/recipes/train_trackers.py --help   # first: two adversaries, in runs/trackers
    python scripts/trackers.py cloak FACES runs/trackers
    python scripts/trackers.py measure FACES runs/trackers --strengths runs/strengths

`cloak` cloaks all four photos of people of FACES/lfw by the tool's defaults, which do not attack `sface`.
`measure` asks the trackers of `eval/trackers/` about these, and about the pictures of a finished run of
benchmarks/strengths.toml, and writes benchmarks/trackers/. A tracker's threshold is its own, at FAR 1 % of
the scores that it gives others.

A run that was cut goes on. Seed 0. Cloaked photos stay in the run's folder: they are not ours to show.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

import json
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from itertools import islice, product
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from tracked import AGAIN, PHOTOS, Pairs, Roles, Row, people_of, seeds_of

from veil.core.images import open_photo
from veil.core.progress import finish
from veil.core.writing import png
from veil.eval import resumable
from veil.eval.bootstrap import Interval, rate
from veil.eval.datasets import checksum
from veil.eval.trackers.rates import area_under_curve
from veil.privacy.settings import EFFORTS
from veil.ui.engine_hooks import ENGINE_HOOKS

app = typer.Typer(add_completion=False, help=__doc__)
OUTPUT = Path(__file__).parents[1] / "benchmarks" / "trackers"
Run = Annotated[
    Path, typer.Argument(help="Folder of cloaked photos, trained adversaries and what was measured.")
]


@app.command()
def cloak(
    faces: Path,
    run: Run,
    people: int = 15,
    strength: Annotated[list[str], typer.Option()] = ["strong"],  # noqa: B006
    effort: str = "quick",
    seeds: Annotated[int, typer.Option(help="By how many seeds one photo of each person is cloaked.")] = 1,
) -> None:
    """Cloak the photos of people of lfw; what lies there is passed over."""
    for person in islice(people_of(faces), people):
        for name in strength:
            values = ENGINE_HOOKS.resolve("veil", name, EFFORTS[effort])
            for place in range(PHOTOS):
                for seed in range(seeds if place == AGAIN else 1):
                    file = person.cloaked(run, name, place, seed)
                    if not file.exists():
                        file.parent.mkdir(parents=True, exist_ok=True)
                        photo, face = open_photo(person.paths[place]), person.faces[place]
                        made = ENGINE_HOOKS.protect(photo, face, values | {"seed": seed}, None)
                        resumable.replace(file, png(made.pixels))


# --- tables -----------------------------------------------------------------------------------------------

STRENGTHS = ("strong", "balanced", "subtle")
CLOSEST = ("veil", "tip-im+views")  # at one likeness
RIVAL = ("tip-im+views",)  # about as much to be seen as `strong`
JUDGES = ("dlib", "mobilefacenet", "faceres", "faceplugin", "sface")
ROLES = (  # tracker, photos in the album, how many of them are cloaked, how many pass by
    *(("template", 2, cloaked, 0) for cloaked in range(3)),
    *(("dynamic-gallery", 1, 0, passing) for passing in range(3)),
    *((name, album, album, 0) for name in ("template", "linear-probe") for album in (1, 2, 3)),
)
DISTURBED = ("none", "jpeg-75")
TRAINED = ("purifier", "detector")
COUNTS = ("album", "cloaked", "passing", "cloaks", "photos", "others")
BY = ["of", "strength", "tracker", *COUNTS[:4], "query"]


def rival_jobs(pairs: Pairs, run: Path) -> dict[str, Callable[[], list[Row]]]:
    """What is measured of another method, of whose cloaks a purifier of its own has learnt."""
    purifier = run / "purifier.safetensors"
    asked = {"template": "template", f"purifier-{checksum(purifier)[:8]}": f"purifier:{purifier}"}
    return {
        f"{pairs.key}/{key}-{judge}": partial(pairs.ask, name, judge)
        for (key, name), judge in product(asked.items(), JUDGES)
    }


def jobs_of(faces: Path, run: Path, benchmarks: Sequence[Pairs]) -> dict[str, Callable[[], list[Row]]]:
    """Everything that has to be measured, by the key under which it is kept; adversaries that were trained
    anew are asked anew."""
    jobs: dict[str, Callable[[], list[Row]]] = {}
    files = {name: run / f"{name}.safetensors" for name in TRAINED}
    trained = {name: f"{name}-{checksum(file)[:8]}" for name, file in files.items()}
    for pairs, name, judge in product(benchmarks, ("template", "purifier", "restoration"), JUDGES):
        if name == "restoration" and pairs != benchmarks[0]:
            continue
        asked = f"{name}:{files[name]}" if name in files else name
        jobs[f"{pairs.key}/{trained.get(name, name)}-{judge}"] = partial(pairs.ask, asked, judge)
    for disturbance in DISTURBED:
        asked = partial(benchmarks[0].detect, f"detector:{files['detector']}", disturbance)
        jobs[f"{benchmarks[0].key}/{trained['detector']}-{disturbance}"] = asked
    for strength in sorted(path.name for path in (run / "lfw").iterdir()):
        roles = Roles(faces, run, strength)
        people = len(roles.people)
        for name, *counts in ROLES:
            key = f"lfw/{strength}-{people}/{name}-{'-'.join(map(str, counts))}"
            jobs[key] = partial(roles.ask, name, *counts)
        for seeds in {1, seeds_of(run, strength)}:
            jobs[f"lfw/{strength}-{people}/averaging-{seeds}"] = partial(roles.average, "averaging", seeds)
    return jobs


@app.command()
def measure(
    faces: Path,
    run: Run,
    strengths: Annotated[Path, typer.Option(help="A finished run of benchmarks/strengths.toml.")],
    closest: Annotated[Path | None, typer.Option(help="One of benchmarks/closest.toml.")] = None,
    rival: Annotated[Path | None, typer.Option(help="One of benchmarks/rival.toml.")] = None,
    rival_run: Annotated[
        Path | None, typer.Option(help="Where a purifier of its cloaks was trained.")
    ] = None,
    output: Path = OUTPUT,
) -> None:
    """Ask every tracker, and write the tables."""
    benchmarks = [Pairs("strengths", strengths, STRENGTHS)]
    benchmarks += [Pairs("closest", closest, CLOSEST)] if closest else []
    jobs = jobs_of(faces, run, benchmarks)
    if rival and rival_run:
        jobs |= rival_jobs(Pairs("rival", rival, RIVAL), rival_run)
    store = resumable.Store(run / "measured", ".json")

    def work(job: Callable[[], list[Row]]) -> dict[str, bytes]:
        return {".json": json.dumps(job()).encode()}

    finish(resumable.run(jobs.items(), work, store, 0), lambda step: print(step.done, "of", step.total))
    rows = pd.DataFrame([row for key in jobs for row in json.loads(store.path(key, ".json").read_bytes())])
    output.mkdir(parents=True, exist_ok=True)
    tables = {
        "rates": rates(rows[rows["of"] != "detector"]),
        "detector": areas(rows[rows["of"] == "detector"]),
        "learning": pd.read_json(run / "log.jsonl", lines=True),
    }
    for name, table in tables.items():
        resumable.replace(output / f"{name}.csv", table.to_csv(index=False, float_format="%.4f").encode())
    resumable.replace(
        output / "manifest.json", (json.dumps(made_of(run, strengths), indent=1) + "\n").encode()
    )


def rates(rows: pd.DataFrame) -> pd.DataFrame:
    """The share of queries that are rejected, with its interval over people: for each recogniser, and for all
    of them where there are several."""
    rows = rows.astype(dict.fromkeys(COUNTS, int))
    several = rows.assign(judge="all")[rows.groupby(BY)["judge"].transform("nunique") > 1]
    table: list[Row] = []
    for about, part in pd.concat([several, rows]).groupby([*BY, "judge"], sort=False):
        found = rate(part["rejected"], part["identity"].tolist())
        cost = {"photos": part["photos"].max(), "others": part["others"].max()}
        cost["seconds"] = part["seconds"].mean()
        table.append({**dict(zip([*BY, "judge"], about, strict=True)), **columns(found), **cost})
    return pd.DataFrame(table)


def areas(rows: pd.DataFrame) -> pd.DataFrame:
    """How well a detector tells cloaked photos from clean ones, by strength and disturbance."""
    table: list[Row] = []
    for disturbance, some in rows.groupby("disturbance", sort=False):
        for strength in STRENGTHS:
            both = some[some["query"].isin(["clean", strength])]
            area = area_under_curve(
                both["score"].to_numpy(), (both["query"] == strength).to_numpy(), both["identity"].tolist()
            )
            table.append({"strength": strength, "disturbance": disturbance, **columns(area)})
    return pd.DataFrame(table)


def columns(found: Interval) -> Row:
    """A value and its interval, as other tables have them."""
    return {"rate": found.value, "low": found.low, "high": found.high, "n": found.n}


def made_of(run: Path, strengths: Path) -> Row:
    """What the tables were made of."""
    cloaked = {path.name: len(list(path.glob("*.png"))) for path in sorted((run / "cloaked").iterdir())}
    return {
        "versions": {name: version(name) for name in ("veil", "torch", "diffusers", "numpy")},
        "trained": {name: checksum(run / f"{name}.safetensors") for name in TRAINED},
        "cloaked_to_learn_from": cloaked,
        "lfw": {path.name: len(list(path.iterdir())) for path in sorted((run / "lfw").iterdir())},
        "settings": {name: ENGINE_HOOKS.resolve("veil", name, EFFORTS["quick"]) for name in cloaked},
        "strengths": checksum(strengths / "manifest.json"),
    }


if __name__ == "__main__":
    app()
