"""The tables of a benchmark in words: headings, what each says, and cells as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from . import SEEN_BY_PEOPLE, summary
from .bootstrap import HEADLINE_RATES
from .pairings import SHARES, SIDES
from .summary import Frame

# Its heading, what it says, and its rows of cells, of which the first names the columns.
Table: TypeAlias = tuple[str, str, list[list[str]]]

WORDS = {
    "headline": (
        "At a glance",
        "In percent: how often recognisers that were left out do not take the photo for the person, beside "
        "another photo of the person and beside the same photo before; in round brackets without protection. "
        "Worst: the recogniser that is escaped the least often, so the lowest of several draws.",
    ),
    "rates": ("Protected", "In percent."),
    "same_photo": ("Protected, against the same photo", "In percent."),
    "pairings": (
        "Pairings",
        "Two photos of one person: the first is looked for, the second one is known; cloaked on its own, "
        "with the same recogniser left out, or as it was. In percent: how often recognisers that were left "
        "out do not take the two for one person (higher is better), and how often the person is the first, "
        "or among the first five, that they find among all people of this benchmark who have another photo "
        "(lower is better). Worst: the recogniser that is escaped the least often. Likeness: of what is "
        "cloaked. Where photos are disturbed, those that are cloaked are.",
    ),
    "galleries": (
        "Galleries",
        "In percent: how often the person is the first, or among the first five, that are found, where so "
        "many distractors, who are as they were, fill the gallery beside the person's second photo (lower is "
        "better). A rate is the mean over all galleries of this size that the distractors give. Where fitted "
        "is not 0 it is extrapolated, from a generalised Pareto tail of the scores of so many distractors, "
        "and its interval is from drawing people and distractors. Worst: the recogniser that finds people "
        "the most often.",
    ),
    "extrapolation": (
        "Extrapolation, where it can be checked",
        "How often the person is the first that is found, as shares: predicted from a tail fitted to so many "
        "distractors that were drawn, and measured with all the others (size); error: how far the one is off "
        "the other, in the mean over ten draws.",
    ),
    "compared": (
        "Compared on the same photos",
        "Percentage points more than the other method. Cosine: how much higher the cosine is that decides, "
        "in standard deviations of strangers' cosines; lower is better, unless a target is impersonated.",
    ),
    "quality": (
        "Quality",
        "Over the whole photo, unless face; chroma, brightness, colourfulness and the change inside and "
        "outside of the face in 1/255; expression: how often the same one is read; landmarks: the shift of "
        "468 points in distances of the eyes; points: that of the five points that the detector of faces "
        "finds. None of them but likeness, where it was measured, tells whether people still see the "
        "same person.",
    ),
    "sets": (
        "Over all photos",
        "Of all protected photos together, against the same photos before. FID falls as photos are added: "
        "compare it only at equal n, and never with a figure from elsewhere.",
    ),
    "identification": ("Identification", "In percent; the gallery holds the people of this benchmark."),
    "groups": ("Groups", "In percent, and dB."),
}


def tables(found: Mapping[str, Frame]) -> list[Table]:
    """The tables of a benchmark, by their names in `WORDS`, as text with intervals in brackets."""
    texts = {"headline": _headline, "pairings": _pairings, "galleries": _pairings}
    return [(*WORDS[name], texts.get(name, _text)(frame)) for name, frame in found.items()]


def _headline(frame: Frame) -> list[list[str]]:
    cases = {
        f"{photo}_{rate}": f"{photo} photo, {words}"
        for photo in summary.PHOTOS
        for rate, words in HEADLINE_RATES.items()
        if f"{photo}_{rate}" in frame
    }
    means = [name for name in ("psnr", *SEEN_BY_PEOPLE) if name in frame]
    lines = [["method", *(cell for words in cases.values() for cell in (words, "worst")), "n", *means]]
    for row in frame.to_dict("records"):
        cells = [row["method"]]
        for case in cases:
            clean = row[f"{case} clean"]
            beside = "" if pd.isna(clean) else f" ({100 * clean:.1f})"
            cells.append(summary.as_percent(_interval(row, case)) + beside)
            cells.append(f"{row[f'{case} worst']} {summary.as_percent(_interval(row, f'{case} least'))}")
        lines.append(
            [
                *cells,
                str(row["n"]),
                *(_mean(_interval(row, name), 2 if name == "psnr" else 3) for name in means),
            ]
        )
    return lines


def _pairings(frame: Frame) -> list[list[str]]:
    """A line for each pairing, as all columns say but the recogniser: over all of them, and the worst."""
    shares = [name for name in SHARES if name in frame]
    likenesses = [name for name in SIDES if name in frame]
    words = [f"rejected, {HEADLINE_RATES[name]}" if name in HEADLINE_RATES else name for name in shares]
    about = [name for name in ("method", "disturbance", "pairing", "size", "fitted") if name in frame]
    lines = [[*about, *(cell for name in words for cell in (name, "worst")), "n", *likenesses]]
    for _, part in frame.groupby(about, sort=False):
        each = {row["recognizer"]: row for row in part.to_dict("records")}
        whole = each.pop("all") if "all" in each else next(iter(each.values()))
        cells = [str(whole[name]) for name in about]
        for name in shares:
            known = [row for row in each.values() if not pd.isna(row[name])]
            worst = (min if name in HEADLINE_RATES else max)(known, key=lambda row: row[name], default=None)
            cells.append(summary.as_percent(_interval(whole, name)))
            cells.append(
                f"{worst['recognizer']} {summary.as_percent(_interval(worst, name))}" if worst else "-"
            )
        lines.append([*cells, str(whole["n"]), *(_mean(_interval(whole, name), 3) for name in likenesses)])
    return lines


def _interval(row: dict[str, Any], name: str) -> tuple[float, ...]:
    return row[name], row[f"{name} low"], row[f"{name} high"]


def _mean(interval: tuple[float, ...], digits: int = 2) -> str:
    value, low, high = (f"{end:.{digits}f}" for end in interval)
    return "-" if value == "nan" else f"{value} [{low}, {high}]"


def _text(frame: Frame) -> list[list[str]]:
    share = next((name for name in ("rate", "difference") if name in frame), "")
    hidden = {end for name in ("", "psnr ", "cosine ") for end in (f"{name}low", f"{name}high")}
    names = [str(name) for name in frame.columns if name not in hidden]
    lines = [names]
    for row in frame.to_dict("records"):
        cells: list[str] = []
        for name in names:
            value: Any = row[name]
            if name == share:
                cells.append(summary.as_percent((value, row["low"], row["high"])))
            elif name in ("psnr", "cosine"):
                low, high = (row.get(f"{name} {end}", row.get(end)) for end in ("low", "high"))
                cells.append(_mean((value, low, high)))
            elif name in ("clean", "rebuilt", "found"):
                cells.append("-" if pd.isna(value) else f"{100 * value:.1f}")
            else:
                cells.append(_plain(value))
        lines.append(cells)
    return lines


def _plain(value: object) -> str:
    if isinstance(value, float):
        return "-" if np.isnan(value) else f"{value:.3f}"
    return str(value)
