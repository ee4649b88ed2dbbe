"""The plots of a benchmark, as PNG; their tables are those of `summary`."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from . import CLEAN
from .summary import Frame

SIDE = 128  # pixels of a picture on the contact sheet
AXES = {"likeness": "likeness", "psnr": "PSNR, dB"}
DRAWING = Lock()  # matplotlib's settings are of the whole process, and the page draws in threads


@contextmanager
def _styled() -> Generator[None]:
    with DRAWING, mpl.rc_context({"font.size": 9}):
        yield


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    figure.savefig(file, dpi=110, bbox_inches="tight")
    return file.getvalue()


@_styled()
def bars(rates: Frame) -> bytes:
    """The rate of each method and recogniser without disturbance, with its interval; clean rates as lines."""
    part = rates[rates["disturbance"] == "none"]
    names, methods = list(part["recognizer"].unique()), list(part["method"].unique())
    figure = Figure(figsize=(1.5 + 0.35 * len(names) * len(methods), 3))
    axes = figure.subplots()
    width = 0.8 / len(methods)
    for index, method in enumerate(methods):
        rows = part[part["method"] == method].set_index("recognizer").reindex(names)
        places = np.arange(len(names)) + (index - (len(methods) - 1) / 2) * width
        error = np.abs([rows["rate"] - rows["low"], rows["high"] - rows["rate"]])
        axes.bar(places, 100 * rows["rate"], width, yerr=100 * error, label=method, capsize=2)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("protected, % (95 %)")
    axes.set_ylim(0, 105)
    axes.legend(bbox_to_anchor=(1, 1), loc="upper left", frameon=False)
    return _png(figure)


@_styled()
def curves(panels: Mapping[str, Frame], qualities: Frame, families: Mapping[str, str]) -> bytes:
    """The rate of each method over its likeness, or over PSNR where that was not measured: of all recognisers
    with its interval and, thin, of the worst. Methods of one family are joined; each table has a panel."""
    over = axis(qualities)
    figure = Figure(figsize=(0.5 + 4 * len(panels), 3.4))
    for axes, (heading, rates) in zip(
        figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels.items(), strict=True
    ):
        for family, points in protection(rates, qualities, families).groupby("family", sort=False):
            error = 100 * np.abs([points["rate"] - points["low"], points["high"] - points["rate"]])
            drawn = axes.errorbar(
                points[over], 100 * points["rate"], error, fmt="o-", capsize=2, label=str(family)
            )
            colour = drawn.lines[0].get_color()
            axes.plot(points[over], 100 * points["worst"], ".-", linewidth=0.6, markersize=3, color=colour)
            for row in points.to_dict("records") if len(points) > 1 else ():
                axes.annotate(
                    row["method"], (row[over], 100 * row["rate"]), (4, 3), textcoords="offset points"
                )
        axes.set_title(heading)
        axes.set_xlabel(AXES[over])
        axes.set_ylim(-5, 105)
    figure.axes[0].set_ylabel("protected, % (95 %); thin: worst recogniser")
    if families.keys() - {CLEAN}:
        figure.axes[-1].legend(bbox_to_anchor=(1, 1), loc="upper left", frameon=False)
    return _png(figure)


def axis(qualities: Frame) -> str:
    """Over what protection is drawn."""
    return "likeness" if "likeness" in qualities and qualities["likeness"].notna().any() else "psnr"


def protection(rates: Frame, qualities: Frame, families: Mapping[str, str]) -> Frame:
    """What `curves` draws: for each method without disturbance its family, its rate over all recognisers and
    that of the `worst`, and what it is drawn over, in the order of that.

    Args:
        families: the curve of each method, by its name.
    """
    over = axis(qualities)
    rates = rates[rates["disturbance"] == "none"]
    worst = rates[rates["recognizer"] != "all"].groupby("method")["rate"].min()
    points = overall(rates).merge(qualities[["method", over]], on="method")
    points = points[points["method"] != CLEAN].copy()
    points["worst"] = points["method"].map(worst)
    points["family"] = points["method"].map(dict(families))
    return points.dropna(subset=[over]).sort_values(over)


@_styled()
def histograms(rows: Frame, cosine: str) -> bytes:
    """How the cosines of each recogniser lie, by method, and its threshold."""
    rows = rows[(rows["disturbance"] == "none") & rows[cosine].notna()]
    names = list(rows["recognizer"].unique())
    figure = Figure(figsize=(3.4 * len(names), 2.6))
    for axes, name in zip(np.atleast_1d(np.asarray(figure.subplots(1, len(names)))), names, strict=True):
        seen: Any = rows[rows["recognizer"] == name]
        low, high = seen[cosine].min() - 0.02, seen[cosine].max() + 0.02
        for method in seen["method"].unique():
            values = seen.loc[seen["method"] == method, cosine]
            axes.hist(values, 24, range=(low, high), histtype="step", density=True, label=method)
        axes.axvline(seen["threshold"].iloc[0], color="black", linestyle=":")
        axes.set_title(name)
        axes.set_xlabel("cosine (dotted: threshold)")
        axes.set_yticks([])
    figure.axes[-1].legend(bbox_to_anchor=(1, 1), loc="upper left", frameon=False)
    return _png(figure)


@_styled()
def heat(rates: Frame) -> bytes:
    """What is left of the rate of each method under each disturbance, over all recognisers."""
    part = overall(rates)
    grid = part.pivot_table(index="method", columns="disturbance", values="rate", sort=False)
    figure = Figure(figsize=(1.5 + 0.5 * grid.shape[1], 1 + 0.35 * grid.shape[0]))
    axes = figure.subplots()
    axes.imshow(grid, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for row, values in enumerate(np.asarray(grid)):
        for column, value in enumerate(values):
            colour = "black" if value > 0.6 else "white"
            axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", color=colour)
    axes.set_xticks(range(grid.shape[1]), list(grid.columns), rotation=60, ha="right")
    axes.set_yticks(range(grid.shape[0]), list(grid.index))
    return _png(figure)


def overall(rates: Frame) -> Frame:
    """The rates over all recognisers, or of the only one."""
    names = set(rates["recognizer"])
    return rates[rates["recognizer"] == ("all" if "all" in names else names.pop())]


def contacts(pictures: list[list[Path]]) -> bytes:
    """Photos in rows and columns; a missing one is left grey."""
    sheet = Image.new("RGB", (SIDE * max(map(len, pictures)), SIDE * len(pictures)), (128, 128, 128))
    for row, paths in enumerate(pictures):
        for column, path in enumerate(paths):
            if path.exists():
                with Image.open(path) as image:
                    sheet.paste(image.convert("RGB").resize((SIDE, SIDE)), (SIDE * column, SIDE * row))
    file = BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()
