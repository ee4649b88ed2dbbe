"""The plots of a benchmark, as PNG."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from .summary import CLEAN, Frame

SIDE = 128  # pixels of a picture on the contact sheet

mpl.rcParams["font.size"] = 9


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    figure.savefig(file, dpi=110, bbox_inches="tight")
    return file.getvalue()


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


def curve(rates: Frame, qualities: Frame) -> bytes:
    """The rate of each method over its PSNR."""
    part = rates[rates["disturbance"] == "none"]
    part = part[
        part["recognizer"] == ("all" if "all" in set(part["recognizer"]) else part["recognizer"].iloc[0])
    ]
    both = part.merge(qualities[["method", "psnr"]], on="method")
    both = both[both["method"] != CLEAN]
    figure = Figure(figsize=(4.5, 3))
    axes = figure.subplots()
    error = np.abs([both["rate"] - both["low"], both["high"] - both["rate"]])
    axes.errorbar(both["psnr"], 100 * both["rate"], 100 * error, fmt="o", capsize=2)
    for row in both.to_dict("records"):
        axes.annotate(row["method"], (row["psnr"], 100 * row["rate"]), (4, 3), textcoords="offset points")
    axes.set_xlabel("PSNR, dB")
    axes.set_ylabel("protected, % (95 %)")
    axes.set_ylim(-5, 105)
    return _png(figure)


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
