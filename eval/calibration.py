"""Thresholds of recognisers, from pairs of different people, through each recogniser's own alignment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from ..attacks import RECOGNIZERS, packaged
from ..core.errors import BadSettings, UnknownName
from ..core.images import open_photo, to_tensor
from ..core.types import Stage, Step, Steps
from ..weights.registry import card
from .bootstrap import Curve, Interval, percentiles
from .datasets import album, checksum, main_face
from .verification import embedding

RATES = {"far10": 0.1, "far1": 0.01, "far01": 0.001}
EACH = 10  # pairs of strangers that a threshold should let pass, to be more than a guess
CARDS_MADE_OF = Path(__file__).with_name("calibration_lfw.json")

# The thresholds that arXiv 2503.10350 and the works before it print, for recognisers that veil does not pack.
PAPER_THRESHOLDS: Mapping[str, Mapping[str, float]] = {
    "ir152": {"far10": 0.094632, "far1": 0.166788, "far01": 0.227922},
    "irse50": {"far10": 0.144840, "far1": 0.241045, "far01": 0.312703},
    "facenet": {"far10": 0.256587, "far1": 0.409131, "far01": 0.591191},
    "mobileface": {"far10": 0.183635, "far1": 0.301611, "far01": 0.380878},
}


class Measured(BaseModel):
    """What one recogniser does on a dataset: rates of error, with intervals over people.

    accepted: the share of the pairs of one person that pass, by rate of false accepts.
    thresholds: the cosine that this share of the pairs of two people exceeds.
    """

    model_config = ConfigDict(frozen=True)

    recognizer: str
    same: int
    different: int
    equal_error_rate: Interval
    accepted: dict[str, Interval]
    thresholds: dict[str, Interval]


class Calibration(BaseModel):
    """Recognisers measured on one dataset; people and photos (checksums) tell whether others overlap it."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    people: tuple[str, ...]
    photos: tuple[str, ...]
    without_face: int
    measured: tuple[Measured, ...] = ()


def calibrate(folder: Path, names: Sequence[str] | None = None, draws: int = 200) -> Steps[Calibration]:
    """Measure recognisers on a dataset; yields a step a photo.

    Args:
        folder: the dataset.
        names: the recognisers; by default all that are packaged.
        draws: of people, for the intervals.

    Raises:
        BadPhoto: there is no dataset, or one of its photos cannot be read.
        BadSettings: it has no two photos of one person, or no two people.
        UnknownName, WeightsMissing, WeightsCorrupt: as `attacks.recognizer` does.
    """
    names = packaged() if names is None else names
    photos = album(folder)
    vectors: dict[str, list[torch.Tensor]] = {RECOGNIZERS.check(name): [] for name in names}
    people: list[str] = []
    for done, (person, path) in enumerate(photos, 1):
        pixels = open_photo(path).pixels
        if face := main_face(pixels):
            people.append(person)
            for name in names:
                vectors[name].append(embedding(name, to_tensor(pixels), face))
        yield Step(Stage.EMBEDDING, done, len(photos))
    if not 1 < len(set(people)) < len(people):
        raise BadSettings(
            f"{folder} cannot calibrate.", "It takes several people, and two photos of some of them."
        )
    measured: list[Measured] = []
    for done, name in enumerate(names, 1):
        measured.append(measure(name, Curve(torch.stack(vectors[name]).double().numpy(), people), draws))
        yield Step(Stage.MEASURING, done, len(names))
    return Calibration(
        dataset=folder.name,
        people=tuple(sorted({person for person, _ in photos})),
        photos=tuple(sorted(checksum(path)[:16] for _, path in photos)),
        without_face=len(photos) - len(people),
        measured=tuple(measured),
    )


def measure(name: str, curve: Curve, draws: int = 200) -> Measured:
    """The rates and thresholds of a recogniser's curve."""
    drawn = curve.drawn(list(RATES.values()), draws)
    bounds = {key: curve.threshold(rate) for key, rate in RATES.items()}
    same, different = len(curve.same), len(curve.different)
    return Measured(
        recognizer=name,
        same=same,
        different=different,
        equal_error_rate=percentiles(curve.equal_error_rate(), drawn[:, 0], same),
        accepted={
            key: percentiles(curve.accepted(bound), drawn[:, 1 + index], same)
            for index, (key, bound) in enumerate(bounds.items())
        },
        thresholds={
            key: percentiles(bound, drawn[:, 1 + len(RATES) + index], different)
            for index, (key, bound) in enumerate(bounds.items())
        },
    )


def thresholds(name: str, mode: str = "calibrated") -> Mapping[str, float]:
    """The thresholds of a recogniser: those on its card, or the `paper`'s printed ones.

    Raises:
        UnknownName: there is no such recogniser, or the paper prints none for it.
        BadSettings: there is no such mode.
    """
    if mode == "calibrated":
        return card(name).thresholds
    if mode != "paper":
        raise BadSettings(f"There are no {mode!r} thresholds.", "There are: calibrated, paper.")
    if name not in PAPER_THRESHOLDS:
        raise UnknownName(
            f"The paper prints no thresholds for {name!r}.", f"It does for {', '.join(PAPER_THRESHOLDS)}."
        )
    return PAPER_THRESHOLDS[name]


def made_of() -> Calibration:
    """The dataset on which the thresholds of the cards were measured."""
    return Calibration.model_validate_json(CARDS_MADE_OF.read_bytes())


def overlap(calibration: Calibration, people: Iterable[str], photos: Iterable[str]) -> list[str]:
    """Warnings, one sentence each, where judged people or photos (checksums) helped to set the thresholds."""
    known = {_plain(person) for person in calibration.people}
    both = sorted({person for person in people if _plain(person) in known - {""}})
    again = len({photo[:16] for photo in photos} & set(calibration.photos))
    warnings: list[str] = []
    if both:
        some = ", ".join(both[:3]) + (", ..." if len(both) > 3 else "")
        warnings.append(f"{len(both)} of the people judged also set the thresholds: {some}.")
    if again:
        warnings.append(f"{again} of the photos judged also set the thresholds.")
    return warnings


def _plain(person: str) -> str:
    """A name without case, spaces and punctuation; a bare number is no name."""
    plain = re.sub(r"[\W_]", "", person).lower()
    return "" if plain.isdigit() else plain


def rows(calibration: Calibration) -> list[tuple[str, ...]]:
    """One row for each recogniser, as `COLUMNS` names them."""
    return [
        (
            one.recognizer,
            f"{one.same} / {one.different}",
            percent(one.equal_error_rate),
            *(percent(one.accepted[key]) for key in ("far1", "far01")),
            " / ".join(f"{one.thresholds[key].value:.4f}" for key in RATES),
        )
        for one in calibration.measured
    ]


def too_few(calibration: Calibration) -> str:
    """A warning, where fewer pairs of strangers stand behind a threshold than `EACH` that pass it."""
    pairs = min((one.different for one in calibration.measured), default=0)
    weak = [f"{100 * rate:g} % ({EACH / rate:,.0f})" for rate in RATES.values() if pairs * rate < EACH]
    if not weak:
        return ""
    return (
        f"Only {pairs:,} pairs of strangers: the threshold is a rough guess at FAR {', '.join(weak)}, in "
        "brackets how many pairs it takes. Take photos of more people."
    )


COLUMNS = ("Recogniser", "Same / different", "EER %", "TAR @ FAR 1 %", "@ 0.1 %", "FAR 10 / 1 / 0.1 % at")


def percent(interval: Interval) -> str:
    """A share and its interval in percent."""
    if np.isnan(interval.value):
        return "-"
    return f"{100 * interval.value:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
