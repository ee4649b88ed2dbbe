"""Combinations of candidates for `validate_likeness.py`.

`combined` needs no ratings; each of `LEARNERS` learns from values and ratings, and foretells ratings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pandas as pd
from likeness_candidates import JUDGES
from likeness_looks import FEATURES
from scipy.optimize import nnls
from scipy.stats import rankdata
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import RidgeCV

Rule = Callable[[pd.DataFrame], np.ndarray]
Learner = Callable[[pd.DataFrame, np.ndarray], Rule]

FAIR = "cosine, mean of those not attacked"
SHAPES = tuple(
    f"{name} {sigma}" for name in ("structure", "shading", "direction") for sigma in (1.5, 3.0, 6.0)
)
BANDS = tuple(f"{name} {band}" for name in ("correlation", "masked") for band in (1, 2))
PARTS = tuple(f"{name} mean" for name in (*SHAPES, *BANDS))
COSINES = (
    FAIR,
    *(f"cosine {name}{way}" for name in ("sface", "faceplugin") for way in ("", ", purified 50")),
)


def standard(values: pd.DataFrame, names: Sequence[str]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """What turns candidates into standard scores, as they are spread here."""
    some = values[list(names)]
    middle, spread = some.mean(), some.std().replace(0, 1)
    return lambda new: ((new[list(names)] - middle) / spread).fillna(0)


def combined(values: pd.DataFrame, attacked: dict[str, frozenset[str]]) -> pd.DataFrame:
    """Beside the candidates: the mean standard score of the recognisers that were not attacked in a picture's
    version, and sums of the standard scores of one measure of the parts and one of recognisers."""
    versions = values.index.get_level_values("version")
    scores = standard(values, [f"cosine {name}" for name in JUDGES])(values)
    for name in JUDGES:
        fair = [name not in attacked.get(version, frozenset()) for version in versions]
        scores[f"cosine {name}"] = scores[f"cosine {name}"].where(fair)
    found = values.assign(**{FAIR: scores.mean(axis=1)})
    scores = standard(found, [*PARTS, *COSINES])(found)
    sums = {f"{a} + {b}": scores[a] + scores[b] for a, b in product(PARTS, COSINES)}
    return pd.concat([found, pd.DataFrame(sums)], axis=1)


def ranked(values: pd.DataFrame, truth: np.ndarray) -> pd.Series:
    """Spearman's correlation of each candidate."""
    a, b = rankdata(values.fillna(values.median()), axis=0), rankdata(truth)
    a, b = a - a.mean(0), b - b.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.Series((a * b[:, None]).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum()), values.columns)


def best(kind: str = "") -> Learner:
    """The candidate, of those whose names match, that correlates best, bent to the ratings."""

    def learn(values: pd.DataFrame, truth: np.ndarray) -> Rule:
        found = ranked(values[[name for name in values if re.search(kind, name)]], truth)
        name = str(found.idxmax())
        scores = standard(values, [name])
        bend = IsotonicRegression(out_of_bounds="clip").fit(scores(values)[name], truth)
        return lambda new: bend.predict(scores(new)[name]) + 1e-2 * scores(new)[name].to_numpy()

    return learn


def never_less(*names: str, much: float = 5.0) -> Learner:
    """Weights that are not negative, shrunk: what is less alike in one respect is not more alike for it."""

    def learn(values: pd.DataFrame, truth: np.ndarray) -> Rule:
        scores, middle = standard(values, names), truth.mean()
        rows = np.vstack([scores(values), much**0.5 * np.eye(len(names))])
        weights, _ = nnls(rows, np.concatenate([truth - middle, np.zeros(len(names))]))
        return lambda new: middle + scores(new).to_numpy() @ weights

    return learn


def by_sklearn(make: Callable[[], object], names: Sequence[str] = (), most: int = 0) -> Learner:
    """A regression of scikit-learn's over some candidates, or over the `most` best."""

    def learn(values: pd.DataFrame, truth: np.ndarray) -> Rule:
        some = [str(name) for name in ranked(values, truth).nlargest(most).index] if most else list(names)
        scores = standard(values, some)
        model = make().fit(scores(values).to_numpy(), truth)  # type: ignore[attr-defined]
        return lambda new: model.predict(scores(new).to_numpy())

    return learn


def _ridge() -> object:
    return RidgeCV(np.logspace(0, 4, 9))


def _stumps() -> object:
    return GradientBoostingRegressor(n_estimators=60, max_depth=1, subsample=0.7, random_state=0)


def _each(name: str) -> list[str]:
    return [f"{name} {part}" for part in FEATURES]


LEARNERS: dict[str, Learner] = {
    "best candidate": best(),
    "best mean over the parts": best(" mean$"),
    "best sum of parts and recognisers": best(r" mean \+ "),
    **{f"{name} by part, not negative": never_less(*_each(name)) for name in (*SHAPES[:3], *BANDS)},
    "means over parts, not negative": never_less(*PARTS),
    "means and recognisers, not negative": never_less(*PARTS, *COSINES),
    "means and recognisers, ridge": by_sklearn(_ridge, (*PARTS, *COSINES)),
    "means and recognisers, stumps": by_sklearn(_stumps, (*PARTS, *COSINES)),
    "20 best candidates, ridge": by_sklearn(_ridge, most=20),
    "20 best candidates, stumps": by_sklearn(_stumps, most=20),
}
