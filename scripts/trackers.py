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
from typing import Annotated, TypeAlias

import pandas as pd
import typer
from tracked import AGAIN, PHOTOS, Pairs, Roles, Row, people_of, seeds_of

from veil.core.images import open_photo
from veil.core.progress import finish
from veil.core.writing import png
from veil.eval import resumable
from veil.eval.bootstrap import Interval, rate
from veil.eval.datasets import checksum
from veil.eval.trackers import TRACKERS, Tracker
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
DISTURBED = ("none", "jpeg-75")
TRAINED = tuple(name for name in TRACKERS if TRACKERS.is_family(name))
COUNTS = ("album", "cloaked", "passing", "cloaks", "photos", "others")
Jobs: TypeAlias = dict[str, Callable[[], list[Row]]]
BY = ["of", "strength", "tracker", *COUNTS[:4], "query"]


def rival_jobs(pairs: Pairs, run: Path) -> Jobs:
    """What is measured of another method, of whose cloaks a purifier of its own has learnt."""
    purifier = run / "purifier.safetensors"
    asked = {"template": "template", f"purifier-{checksum(purifier)[:8]}": f"purifier:{purifier}"}
    return {
        f"{pairs.key}/{key}-{judge}": partial(pairs.ask, name, judge)
        for (key, name), judge in product(asked.items(), JUDGES)
    }


def jobs_of(faces: Path, run: Path, benchmarks: Sequence[Pairs]) -> Jobs:
    """Everything that has to be measured, by the key under which it is kept: of each tracker what its file
    says. Adversaries that were trained anew are asked anew."""
    jobs: Jobs = {}
    everyone = [Roles(faces, run, path.name) for path in sorted((run / "lfw").iterdir())]
    for name in TRACKERS:
        asked, kept = name, name
        if name in TRAINED:
            file = run / f"{name}.safetensors"
            asked, kept = f"{name}:{file}", f"{name}-{checksum(file)[:8]}"
        jobs |= of_benchmarks(TRACKERS.entry(name), asked, kept, benchmarks)
        for roles in everyone:
            jobs |= of_albums(TRACKERS.entry(name), asked, kept, roles)
    return jobs


def of_benchmarks(about: Tracker, asked: str, kept: str, benchmarks: Sequence[Pairs]) -> Jobs:
    """What is measured of a tracker on the photos of benchmarks."""
    some = {"all": benchmarks, "first": benchmarks[:1], "none": []}[about.pairs]
    jobs: Jobs = {
        f"{pairs.key}/{kept}-{judge}": partial(pairs.ask, asked, judge)
        for pairs, judge in product(some, JUDGES)
    }
    for disturbance in DISTURBED if about.detects else ():
        first = benchmarks[0]
        jobs[f"{first.key}/{kept}-{disturbance}"] = partial(first.detect, asked, disturbance)
    return jobs


def of_albums(about: Tracker, asked: str, kept: str, roles: Roles) -> Jobs:
    """What is measured of a tracker on people with several photos."""
    if not about.albums and not about.averages:
        return {}
    key = f"lfw/{roles.strength}-{len(roles.people)}/{kept}"
    counts = [(album.photos, album.cloaked, album.passing) for album in about.albums]
    jobs: Jobs = {f"{key}-{'-'.join(map(str, some))}": partial(roles.ask, asked, *some) for some in counts}
    for seeds in {1, seeds_of(roles.run, roles.strength)} if about.averages else ():
        jobs[f"{key}-{seeds}"] = partial(roles.average, asked, seeds)
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
