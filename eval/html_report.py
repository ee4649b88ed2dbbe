"""The reports of a finished benchmark: Markdown and CSV to commit, and one HTML file with plots and faces.

Their templates lie in `templates/`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from . import CLEAN, METRICS, SET_MEASURES, plots, summary
from .benchmark import PICTURE, result_file
from .bootstrap import HEADLINE_RATES
from .galleries import galleries
from .identification import identification
from .pairings import pairings, ranked, unpaired
from .resumable import replace
from .set_metrics import measure_sets
from .summary import Frame
from .table_text import WORDS, tables

FACES = 8  # people on the contact sheet
TEMPLATES = Path(__file__).with_name("templates")


def write(folder: Path) -> list[Path]:
    """Write report.md and its plot, report.html and the tables as CSV beside the rows of a benchmark.

    Args:
        folder: of a run that is finished.

    Returns:
        The two reports.

    Raises:
        BadSettings: as `summary.read` does.
    """
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    file = folder / "rows.parquet"
    rows = summary.read(file)
    outcome = summary.main_outcome(rows)
    found = frames(folder, rows, outcome, manifest["spec"])
    for name, frame in found.items():
        replace(folder / f"{name}.csv", frame.round(4).to_csv(index=False).encode())
    pictures = _plots(folder, rows, found, outcome)
    heading, plot = pictures[0]
    replace(folder / f"{file_name(heading)}.png", plot)
    content: dict[str, Any] = {
        "title": manifest["spec"]["title"],
        "figures": [(heading, f"{file_name(heading)}.png")],
        "about": about(rows, outcome, manifest["spec"]["rate"]),
        "warnings": [*manifest["warnings"], *failed(file), *unpaired(rows)],
        "tables": tables(found),
        "spec": json.dumps(manifest["spec"], indent=1),
        "manifest": json.dumps(manifest, indent=1),
    }
    encoded = [(heading, b64encode(data).decode()) for heading, data in pictures]
    written = [folder / "report.md", folder / "report.html"]
    replace(written[0], markdown(content).encode())
    page = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True).get_template("report.html")
    replace(written[1], page.render(content, pictures=encoded).encode())
    return written


def markdown(content: dict[str, Any]) -> str:
    """A report as Markdown.

    Args:
        content: title, about, warnings, figures (heading, file name) and tables (`table_text.Table`); and the
            spec of the benchmark, as JSON, where there is one.
    """
    page = Environment(loader=FileSystemLoader(TEMPLATES), trim_blocks=True).get_template("report.md")
    return page.render(content)


def frames(folder: Path, rows: Frame, outcome: str, spec: dict[str, Any]) -> dict[str, Frame]:
    """All tables of a benchmark by name; those that say nothing are left out."""
    first = next(one["name"] for one in spec["methods"] if one["name"] != CLEAN)
    sets = [name for name in spec["measures"] if name in SET_MEASURES]
    single = [name for name in spec["measures"] if name not in sets]
    metrics = [*METRICS, *single, "face_psnr", "face_ssim", "seconds"]
    found = from_rows(ranked(folder, rows), outcome, first, metrics) | {
        "identification": identification(folder, rows)
    }
    if spec.get("distractors"):
        found |= galleries(folder, rows, spec["dataset"])
    if sets:
        found["sets"] = measure_sets(folder, rows, sets)
    return {name: found[name] for name in WORDS if name in found and len(found[name])}


def from_rows(rows: Frame, outcome: str, other: str, metrics: list[str]) -> dict[str, Frame]:
    """The tables that the rows alone give, those that say something; methods are compared with `other`."""
    dodging = outcome != "impersonated"
    found = {
        "headline": summary.headline(rows, metrics) if dodging else summary.frame([], []),
        "rates": summary.rates(rows, outcome),
        "same_photo": summary.rates(rows, "dodged_same") if outcome == "dodged" else summary.frame([], []),
        "pairings": pairings(rows),
        "compared": summary.compared(rows, outcome, other),
        "quality": summary.qualities(rows, metrics),
        "groups": summary.groups(rows, outcome),
    }
    found["compared"].insert(1, "with", other)
    return {name: frame for name, frame in found.items() if len(frame)}


def about(rows: Frame, outcome: str, rate: str = "") -> str:
    """What the tables count, in words; `rate` is that of false accepts, where it is known."""
    limit = {"far10": "FAR 10 %", **HEADLINE_RATES}.get(rate, "the benchmark")
    likeness = "likeness" in rows and rows["likeness"].notna().any()
    return (
        f"{rows['identity'].nunique()} people. A photo is protected where it is {summary.OUTCOMES[outcome]}, "
        f"by a recogniser that the method did not use, at its threshold of {limit}. In square brackets: 95 % "
        "intervals from drawing people. Clean: the same rate without protection; rebuilt: through the prior, "
        f"without an attack. {MEASURED if likeness else UNKNOWN}"
    )


UNKNOWN = (
    "These rates say nothing of people: whether they still see the same person was not asked, and equal PSNR "
    "is not equal likeness."
)
MEASURED = (
    "These rates say nothing of people: likeness stands for whether they still see the same person; it was "
    "measured, nobody was asked."
)


def failed(file: Path) -> list[str]:
    """What was not scored, in words.

    Raises:
        BadSettings: as `summary.table` does.
    """
    return [
        f"{row['method']}: {row['photos']} photos are not scored: {row['error']}"
        for row in summary.failures(file).to_dict("records")
    ]


def drawn(rows: Frame, found: dict[str, Frame], outcome: str) -> list[tuple[str, bytes]]:
    """The plots that rows and their tables give, as PNG, each with its heading; the most telling first."""
    panels = {PANELS[outcome]: found["rates"]}
    if "same_photo" in found:
        panels[PANELS["dodged_same"]] = found["same_photo"]
    over = "likeness" if plots.axis(found["quality"]) == "likeness" else "PSNR"
    families = dict(zip(rows["method"], rows["curve"], strict=True))
    pictures = [
        (f"Protection and {over}", plots.curves(panels, found["quality"], families)),
        ("Protected, by recogniser", plots.bars(found["rates"])),
        ("Cosines", plots.histograms(rows, summary.COSINES[outcome])),
    ]
    if found["rates"]["disturbance"].nunique() > 1:
        pictures.append(("Robustness: protected, %", plots.heat(found["rates"])))
    return pictures


PANELS = {
    "dodged": "Against another photo",
    "dodged_same": "Against the same photo",
    "impersonated": "Taken for the target",
}


def file_name(heading: str) -> str:
    """A heading as the name of a file: its letters, words joined by hyphens."""
    words = "".join(letter if letter.isalnum() else " " for letter in heading.lower()).split()
    return "-".join(words)


def _plots(folder: Path, rows: Frame, found: dict[str, Frame], outcome: str) -> list[tuple[str, bytes]]:
    some = rows.drop_duplicates(["identity", "method"])
    grid = [
        [result_file(folder, row, PICTURE) for row in some[some["identity"] == person].to_dict("records")]
        for person in list(some["identity"].unique())[:FACES]
    ]
    names = ", ".join(some["method"].unique())
    return [*drawn(rows, found, outcome), (f"Before and after: {names}", plots.contacts(grid))]
