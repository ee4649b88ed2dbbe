"""The reports of a finished benchmark: Markdown and CSV to commit, and one HTML file with plots and faces."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment

from . import METRICS, SEEN_BY_PEOPLE, SET_MEASURES, plots, summary
from .benchmark import PICTURE
from .bootstrap import RATES
from .identification import identification, stored
from .resumable import replace
from .set_metrics import measure_sets
from .summary import CLEAN, Frame

FACES = 8  # people on the contact sheet

MARKDOWN = """\
# {{ title }}

{{ about }}

{% for warning in warnings %}**Warning:** {{ warning }}

{% endfor %}
{% for heading, name in figures %}![{{ heading }}]({{ name }})

{% endfor %}
{% for heading, words, rows in tables %}## {{ heading }}

{{ words }}

| {{ rows[0] | join(" | ") }} |
|{{ "---|" * rows[0] | length }}
{% for row in rows[1:] %}| {{ row | join(" | ") }} |
{% endfor %}

{% endfor %}
{% if spec %}## To make it again

`veil benchmark` with the file below; `manifest.json` holds all settings, versions and checksums.

```json
{{ spec }}
```
{% endif %}
"""
PAGE = """\
<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto; }
td, th { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: left; white-space: nowrap; }
img { max-width: 100%; } pre { overflow-x: auto; font-size: 12px; }
</style>
<h1>{{ title }}</h1>
<p>{{ about }}</p>
{% for warning in warnings %}<p><strong>Warning:</strong> {{ warning }}</p>{% endfor %}
{% for heading, data in pictures %}
<h2>{{ heading }}</h2><img alt="{{ heading }}" src="data:image/png;base64,{{ data }}">
{% endfor %}
{% for heading, words, rows in tables %}
<h2>{{ heading }}</h2><p>{{ words }}</p>
<table><tr>{% for cell in rows[0] %}<th>{{ cell }}</th>{% endfor %}</tr>
{% for row in rows[1:] %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>
{% endfor %}
<h2>To make it again</h2>
<details><summary>Settings, versions, checksums</summary><pre>{{ manifest }}</pre></details>
</html>
"""

Table = tuple[str, str, list[list[str]]]


def write(folder: Path) -> list[Path]:
    """Write report.md and its plot, report.html and the tables as CSV beside the rows of a benchmark."""
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
        "warnings": [*manifest["warnings"], *failed(file)],
        "tables": tables(found),
        "spec": json.dumps(manifest["spec"], indent=1),
        "manifest": json.dumps(manifest, indent=1),
    }
    encoded = [(heading, b64encode(data).decode()) for heading, data in pictures]
    written = [folder / "report.md", folder / "report.html"]
    replace(written[0], markdown(content).encode())
    escaping = Environment(autoescape=True)
    replace(written[1], escaping.from_string(PAGE).render(content, pictures=encoded).encode())
    return written


def markdown(content: dict[str, Any]) -> str:
    """A report: its title, about, warnings and tables; and the spec of the benchmark where there is one."""
    return Environment(trim_blocks=True).from_string(MARKDOWN).render(content)


def frames(folder: Path, rows: Frame, outcome: str, spec: dict[str, Any]) -> dict[str, Frame]:
    """All tables of a benchmark by name; those that say nothing are left out."""
    first = next(one["name"] for one in spec["methods"] if one["name"] != CLEAN)
    sets = [name for name in spec["measures"] if name in SET_MEASURES]
    single = [name for name in spec["measures"] if name not in sets]
    metrics = [*METRICS, *single, "face_psnr", "face_ssim", "seconds"]
    found = from_rows(rows, outcome, first, metrics) | {"identification": identification(folder, rows)}
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
        "compared": summary.compared(rows, outcome, other),
        "quality": summary.qualities(rows, metrics),
        "groups": summary.groups(rows, outcome),
    }
    found["compared"].insert(1, "with", other)
    return {name: frame for name, frame in found.items() if len(frame)}


WORDS = {
    "headline": (
        "At a glance",
        "In percent: how often recognisers that were left out do not take the photo for the person, beside "
        "another photo of the person and beside the same photo before; in round brackets without protection. "
        "Worst: the recogniser that is escaped the least often, so the lowest of several draws.",
    ),
    "rates": ("Protected", "In percent."),
    "same_photo": ("Protected, against the same photo", "In percent."),
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


def tables(found: dict[str, Frame]) -> list[Table]:
    """The tables as text, with intervals in brackets."""
    texts = {name: _headline if name == "headline" else _text for name in found}
    return [(*WORDS[name], texts[name](frame)) for name, frame in found.items()]


def _headline(frame: Frame) -> list[list[str]]:
    cases = {
        f"{photo}_{rate}": f"{photo} photo, {words}"
        for photo in summary.PHOTOS
        for rate, words in RATES.items()
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


def about(rows: Frame, outcome: str, rate: str = "") -> str:
    """What the tables count, in words; `rate` is that of false accepts, where it is known."""
    limit = {"far10": "FAR 10 %", **RATES}.get(rate, "the benchmark")
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
    """What was not scored, in words."""
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
        [stored(folder, row, PICTURE) for row in some[some["identity"] == person].to_dict("records")]
        for person in list(some["identity"].unique())[:FACES]
    ]
    names = ", ".join(some["method"].unique())
    return [*drawn(rows, found, outcome), (f"Before and after: {names}", plots.contacts(grid))]
