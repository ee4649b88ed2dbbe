"""Which measure tells what viewers see? Correlations of candidates with blind ratings.

    python scripts/validate_likeness.py PICTURES... --run RUN
        [--originals ../shared/faces/celebahq_pairs/a] [--ratings benchmarks/ratings]

PICTURES hold VERSION/PHOTO.png, ORIGINALS PHOTO.png; for the ratings see benchmarks/ratings/README.md. JPEG
90 is made from the original.

Every candidate of `likeness_candidates.py` is measured and correlated (Spearman) with both scales among the
attacked pictures, with 95 % intervals from drawing people. So is what `LEARNERS` learn, on pictures of people
and of versions (engines) that were seen neither in learning nor in choosing. Viewers differ in how strict
they are, and those of one round never saw another's versions: what correlates is how far ratings, and values,
lie from the mean of what the viewer saw. Beside it stand each round by itself, as it was rated, and all
together ("as rated"). Several viewers of one picture are averaged; how far they agree is printed.

Measured values are kept in RUN by the digest of the picture, so that only what is new is measured; where
the code of a candidate has changed, begin a new RUN. What to report is picked by rule: the highest lower
bound of what the engine does not pay for and the judge may ask.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from likeness_candidates import COSINES, Look, Pair, askable, candidates, combined, priced, standard
from PIL import Image
from rich.progress import track
from scipy.optimize import nnls
from scipy.stats import rankdata
from sklearn.linear_model import RidgeCV

from veil.attacks.faces.detection import largest_face
from veil.core.images import to_tensor
from veil.eval.bootstrap import draws_of, grouped
from veil.eval.metrics.likeness import PARTS

SCALES = ("likeness", "naturalness")
UNTOUCHED = "jpeg-90"
FOLDS = 7  # of people
SHAPES = tuple(f"structure 1.5 {part}" for part in PARTS)

Rule = Callable[[pd.DataFrame], np.ndarray]  # what foretells ratings from values
Learner = Callable[[pd.DataFrame, np.ndarray], Rule]  # from values and ratings


def answers(folder: Path) -> pd.DataFrame:
    """Every rating: round, photo, version, likeness, naturalness, viewer, what."""
    tables = [
        pd.read_csv(path, dtype={"photo": str, "viewer": str}) for path in sorted(folder.glob("round-*.csv"))
    ]
    found = pd.concat(tables)
    found["viewer"] = found["round"].astype(str) + "/" + found["viewer"]
    return found


def attacked(folder: Path) -> dict[str, frozenset[str]]:
    """The recognisers that each version was made against."""
    table = pd.read_csv(folder / "versions.csv").fillna("")
    return {row.version: frozenset(row.attacked.split()) for row in table.itertuples()}


def pixels_of(picture: Path | None, original: Path) -> np.ndarray:
    """A rated picture (H, W, 3): JPEG 90 of the original where there is no file."""
    if picture is not None:
        return np.asarray(Image.open(picture).convert("RGB"))
    buffer = io.BytesIO()
    Image.open(original).convert("RGB").save(buffer, "JPEG", quality=90)
    return np.asarray(Image.open(buffer).convert("RGB"))


def measured(
    ratings: pd.DataFrame, pictures: Sequence[Path], originals: Path, run: Path, anew: bool = True
) -> pd.DataFrame:
    """Every candidate's value (pictures, candidates) on the rated pictures that are here; or, unless `anew`,
    on those that were measured before."""
    run.mkdir(parents=True, exist_ok=True)
    measures = candidates()
    rows: dict[tuple[str, str], dict[str, float]] = {}
    wanted = ratings[["photo", "version"]].drop_duplicates().sort_values(["photo", "version"])
    for photo, group in track(list(wanted.groupby("photo")), "measuring"):
        original, before = originals / f"{photo}.png", None
        for version in group["version"]:
            files = [folder / version / f"{photo}.png" for folder in pictures]
            file = next((one for one in files if one.exists()), None)
            if file is None and version != UNTOUCHED:
                continue
            after = pixels_of(file, original)
            kept = run / f"{hashlib.sha256(original.read_bytes() + after.tobytes()).hexdigest()[:24]}.json"
            values = json.loads(kept.read_text()) if kept.exists() else {}
            missing = [name for name in measures if name not in values]
            if missing and not anew:
                continue
            if missing:
                if before is None:
                    pixels = pixels_of(original, original)
                    before = Look(to_tensor(pixels), largest_face(pixels))
                pair = Pair(before, Look(to_tensor(after), before.face))
                with torch.no_grad():
                    values |= {name: measures[name](pair) for name in missing}
                kept.write_text(json.dumps(values))
            rows[photo, version] = {name: values[name] for name in measures}
    return pd.DataFrame.from_dict(rows, "index").rename_axis(["photo", "version"])


def correlations(
    values: np.ndarray, truth: np.ndarray, people: Sequence[str], draws: int = 1000
) -> np.ndarray:
    """Spearman's correlation of values (pictures, candidates), with its interval (candidates, 3)."""
    codes, count = grouped(people)
    rows: list[np.ndarray] = []
    for weights in np.vstack([np.ones((1, count)), draws_of(count, draws)]):
        some = np.repeat(np.arange(len(truth)), weights[codes].astype(int))
        a, b = rankdata(values[some], axis=0), rankdata(truth[some])
        a, b = a - a.mean(0), b - b.mean()
        with np.errstate(invalid="ignore", divide="ignore"):
            rows.append((a * b[:, None]).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum()))
    drawn = np.array(rows[1:] or rows)
    return np.vstack([rows[:1], np.nanquantile(drawn, (0.025, 0.975), axis=0)]).T


def ranked(values: pd.DataFrame, truth: np.ndarray) -> pd.Series:
    """Spearman's correlation of each candidate."""
    some = values.fillna(values.median())
    return pd.Series(correlations(some.to_numpy(), truth, range(len(some)), 0)[:, 0], values.columns)


def never_less(*names: str, much: float = 5.0) -> Learner:
    """Weights that are not negative, shrunk: what is less alike in one respect is not more alike for it."""

    def learn(values: pd.DataFrame, truth: np.ndarray) -> Rule:
        scores, middle = standard(values[list(names)]), truth.mean()
        rows = np.vstack([scores(values), much**0.5 * np.eye(len(names))])
        weights, _ = nnls(rows, np.concatenate([truth - middle, np.zeros(len(names))]))
        return lambda new: middle + scores(new).to_numpy() @ weights

    return learn


def ridge(*names: str, most: int = 0) -> Learner:
    """A ridge regression over some candidates, or over the `most` that correlate best."""

    def learn(values: pd.DataFrame, truth: np.ndarray) -> Rule:
        some = list(ranked(values, truth).nlargest(most).index) if most else list(names)
        scores = standard(values[some])
        model = RidgeCV(np.logspace(0, 4, 9)).fit(scores(values).to_numpy(), truth)
        return lambda new: model.predict(scores(new).to_numpy())

    return learn


LEARNERS: dict[str, Learner] = {
    "best candidate": ridge(most=1),
    "20 best candidates, ridge": ridge(most=20),
    "structure by part, not negative": never_less(*SHAPES),
    "structure by part and recognisers, not negative": never_less(*SHAPES, *COSINES),
    "structure by part and recognisers, ridge": ridge(*SHAPES, *COSINES),
}


def by_chance(values: np.ndarray, truth: np.ndarray, draws: int = 500) -> float:
    """What the best of so many candidates reaches in one shuffle of the ratings in twenty."""
    rng = np.random.default_rng(0)
    a, b = rankdata(values, axis=0), rankdata(truth)
    a, b = (a - a.mean(0)) / np.maximum(a.std(0), 1e-9), (b - b.mean()) / b.std()
    return float(np.quantile([np.abs(a.T @ rng.permutation(b)).max() / len(b) for _ in range(draws)], 0.95))


def agreement(ratings: pd.DataFrame, scale: str) -> str:
    """How far viewers of one picture agree: Spearman over pairs of viewers, equal and near ratings."""
    first: list[float] = []
    second: list[float] = []
    for _, group in ratings[ratings.version != UNTOUCHED].groupby(["photo", "version"]):
        for a, b in combinations(group[scale], 2):
            first += [a, b]
            second += [b, a]
    if not first:
        return f"{scale}: one viewer a picture"
    rho = np.corrcoef(rankdata(first), rankdata(second))[0, 1]
    apart = np.abs(np.subtract(first, second))
    equal, near = (f"{np.mean(apart <= most):.0%}" for most in (0, 1))
    return f"{scale}: Spearman {rho:.2f}, equal {equal}, within one {near} ({len(first) // 2} pairs)"


def nested(learner: Learner, values: pd.DataFrame, truth: np.ndarray) -> np.ndarray:
    """What a learner foretells of each picture, having seen only other people and other versions."""
    codes, _ = grouped(list(values.index.get_level_values("photo")))
    versions = np.asarray(values.index.get_level_values("version"))
    folds, found = codes % FOLDS, np.full(len(values), np.nan)
    for fold in range(FOLDS):
        for version in np.unique(versions):
            tested, learnt = (folds == fold) & (versions == version), (folds != fold) & (versions != version)
            if tested.any():
                found[tested] = learner(values[learnt], truth[learnt])(values[tested])
    return found


def centred(values: pd.DataFrame, ratings: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Values and ratings of each picture from the means of what its viewers saw, averaged over viewers."""
    rows = ratings.set_index(["photo", "version"])
    both = values.loc[rows.index], rows[list(SCALES)]
    from_mean = (one - one.groupby(rows["viewer"].to_numpy()).transform("mean") for one in both)
    old, new = (one.groupby(level=["photo", "version"]).mean() for one in from_mean)
    return old, new


def table(values: pd.DataFrame, ratings: pd.DataFrame) -> pd.DataFrame:
    """A row for each candidate: its correlation with both scales, with intervals; then, with likeness, of
    each round by itself, of all as rated, and among pictures of one version."""
    found = pd.DataFrame(index=values.columns)
    near, means = centred(values, ratings)
    people = list(near.index.get_level_values("photo"))
    for scale in SCALES:
        three = correlations(near.to_numpy(), means[scale].to_numpy(), people)
        found[[scale, f"{scale} low", f"{scale} high"]] = three
    groups = {f"round {number}": rows for number, rows in ratings.groupby("round")} | {"as rated": ratings}
    for label, rows in groups.items():
        rated = rows.groupby(["photo", "version"])[list(SCALES)].mean()
        found[label] = ranked(values.loc[rated.index], rated["likeness"].to_numpy())
    inside = [one - one.groupby("version").transform("mean") for one in (near, means)]
    found["in version"] = ranked(inside[0], inside[1]["likeness"].to_numpy())
    found["priced"] = [priced(name) for name in found.index]
    return found.sort_values("likeness low", ascending=False)


def shown(name: str, three: Sequence[np.ndarray], others: Sequence[float] = ()) -> None:
    """Print a name, its figures with their intervals, and others without."""
    cells = ["{:5.2f} [{:5.2f}, {:5.2f}]".format(*one) for one in three]
    print(f"{name:56} " + "   ".join(cells) + "  ", *(f"{one:8.2f}" for one in others))


def main(
    pictures: list[Path],
    run: Annotated[Path, typer.Option(help="Where measured values are kept.")],
    originals: Path = Path("../shared/faces/celebahq_pairs/a"),
    ratings: Path = Path("benchmarks/ratings"),
    anew: Annotated[bool, typer.Option(help="Whether to measure what is new.")] = True,
) -> None:
    """Print the figures."""
    torch.manual_seed(0)
    every = answers(ratings)
    values = combined(
        measured(every, pictures, originals, run, anew).drop(UNTOUCHED, level=1), attacked(ratings)
    )
    rated = every.set_index(["photo", "version"])
    every = rated[rated.index.isin(values.index)].reset_index()
    near, means = centred(values, every)
    people = list(near.index.get_level_values("photo"))
    print(f"{len(values)} attacked pictures of {len(set(people))} people, {values.shape[1]} candidates")
    for scale in SCALES:
        print("agreement of viewers,", agreement(every, scale))
        print(f"{scale}, by chance: {by_chance(near.fillna(0).to_numpy(), means[scale].to_numpy()):.2f}")
    found = table(values, every)
    found.to_csv(run / "correlations.csv")
    others = list(found.columns[6:-1])
    print(f"\n{'* the engine pays for it':57}likeness              naturalness          " + "  ".join(others))
    for name, row in found.iterrows():
        figures = row.iloc[:6].to_numpy(float).reshape(2, 3)
        shown(f"{name}{' *' if row.priced else ''}", figures, row[others])
    fair = near[[name for name in near if not priced(name)]]
    print("\nlearnt from other people and other versions")
    for name, learner in LEARNERS.items():
        truths = [means[scale].to_numpy() for scale in SCALES]
        told = [nested(learner, fair, truth)[:, None] for truth in truths]
        shown(name, [correlations(one, truth, people)[0] for one, truth in zip(told, truths, strict=True)])
    for scale in SCALES:
        picked = found.loc[[name for name in found.index if askable(name)], f"{scale} low"].idxmax()
        print(f"\n{scale}, picked by rule: {picked}\n{'version':30} rated, measured")
        both = every.groupby("version")[[scale]].mean().join(values[[picked]].groupby("version").mean())
        print(both.sort_values(scale).round(3).to_string(header=False))


if __name__ == "__main__":
    typer.run(main)
