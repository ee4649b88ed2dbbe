"""The reports of a finished benchmark, their tables and plots."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from veil.core.images import open_photo, to_tensor
from veil.eval import html_report, plots, summary
from veil.eval.metrics import fid
from veil.eval.set_metrics import measure_sets
from veil.eval.table_text import WORDS, tables


def test_reports_are_self_contained_and_complete(done: Path) -> None:
    page = (done / "report.html").read_text()
    assert 'src="http' not in page
    assert page.count("data:image/png;base64,") == 5
    text = (done / "report.md").read_text()
    for words in ("Four people", "mobilefacenet", "jpeg-75", "rank-1", "FNIR", "pgd", "1 %"):
        assert words in text
        assert words in page
    manifest = json.loads((done / "manifest.json").read_text())
    assert set(manifest["matched"]) == {"pgd", "random-noise"}
    assert len(manifest["photos"]["person-0"]) == 64
    assert manifest["versions"]["veil"]


def test_the_headline_is_the_first_table_and_agrees_with_the_others(done: Path, rows: pd.DataFrame) -> None:
    table = pd.read_csv(done / "headline.csv").set_index("method")
    assert list(table.index) == ["identity", "pgd", "random-noise"]
    for photo, file in (("other", "rates"), ("same", "same_photo")):
        rates = pd.read_csv(done / f"{file}.csv")
        rates = rates[rates["disturbance"] == "none"].set_index("method")
        whole = rates[rates["recognizer"] == "all"]
        worst = rates[rates["recognizer"] != "all"].groupby("method")["rate"].min()
        for column, other in ("", "rate"), (" low", "low"), (" high", "high"), (" clean", "clean"):
            assert table[f"{photo}_far1{column}"].to_dict() == whole[other].to_dict()
        assert table[f"{photo}_far1 least"].to_dict() == worst.to_dict()
        assert (table[f"{photo}_far01"] >= table[f"{photo}_far1"]).all()
    text, page = ((done / f"report.{kind}").read_text() for kind in ("md", "html"))
    for heading, _ in WORDS.values():
        assert heading == "At a glance" or f"## {heading}\n" not in text.split("## At a glance")[0]
        assert (
            heading == "At a glance" or f"<h2>{heading}</h2><p>" not in page.split("<h2>At a glance</h2>")[0]
        )
    assert "| other photo, FAR 1 % | worst | other photo, FAR 0.1 % | worst |" in text
    assert "![Protection and likeness](protection-and-likeness.png)" in text
    Image.open(done / "protection-and-likeness.png").verify()


class Shrunk(torch.nn.Module):
    """A stand-in for Inception: a picture in 4 x 4 pixels."""

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [torch.nn.functional.adaptive_avg_pool2d(image, 4)]


def test_sets_are_measured_against_the_photos_before(
    done: Path, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fid, "_network", Shrunk)
    found = measure_sets(done, rows, ["fid"]).set_index("method")
    assert found["n"].to_dict() == {"identity": 4, "pgd": 8, "random-noise": 4}
    assert found["fid"]["identity"] == pytest.approx(0, abs=1e-9)
    assert found["fid"]["random-noise"] > 1e-6
    files = [sorted((done.parent / "people").glob("*/a.png")) * 2, (done / "photos" / "pgd").glob("*.png")]
    features = [
        torch.cat([Shrunk()(to_tensor(open_photo(file).pixels))[0].flatten(1) for file in part])
        for part in files
    ]
    assert found["fid"]["pgd"] == pytest.approx(fid.distance(*features), rel=1e-4)
    spec = json.loads((done / "manifest.json").read_text())["spec"] | {"measures": ["chroma", "fid"]}
    frames = html_report.frames(done, rows, "dodged", spec)
    assert "fid" not in frames["quality"]
    (table,) = [lines for heading, _, lines in tables(frames) if heading == "Over all photos"]
    assert table[0] == ["method", "fid", "n"]
    assert [line[0] for line in table[1:]] == ["identity", "pgd", "random-noise"]


def test_protection_is_drawn_over_likeness_a_curve_for_each_family() -> None:
    rates = pd.DataFrame(
        [
            (method, name, disturbance, rate + more)
            for method, rate in (("identity", 0.0), ("weak", 0.2), ("strong", 0.6), ("other", 0.4))
            for name, more in (("dlib", 0.1), ("sface", 0.0), ("all", 0.05))
            for disturbance in ("none", "jpeg-75")
        ],
        columns=["method", "recognizer", "disturbance", "rate"],
    )
    qualities = pd.DataFrame(
        {
            "method": ["identity", "strong", "weak", "other"],
            "psnr": [80.0, 32, 38, 35],
            "likeness": [1.0, 0.6, 0.9, 0.7],
        }
    )
    families = {"weak": "veil", "strong": "veil", "other": "other", "identity": "identity"}
    points = plots.protection(rates, qualities, families)
    assert points["method"].tolist() == ["strong", "other", "weak"]
    assert points["likeness"].tolist() == [0.6, 0.7, 0.9]
    assert points["family"].tolist() == ["veil", "other", "veil"]
    assert points["rate"].tolist() == pytest.approx([0.65, 0.45, 0.25])
    assert points["worst"].tolist() == pytest.approx([0.6, 0.4, 0.2])
    for without in (qualities.drop(columns="likeness"), qualities.assign(likeness=np.nan)):
        assert plots.axis(without) == "psnr"
        assert plots.protection(rates, without, families)["psnr"].tolist() == [32, 35, 38]


@pytest.mark.parametrize("likeness", [True, False])
def test_reports_say_whether_likeness_was_measured(verdicts: pd.DataFrame, likeness: bool) -> None:
    rows = verdicts if likeness else verdicts.drop(columns="likeness")
    rows = rows.assign(**{outcome: 0.0 for outcome in summary.OUTCOMES}, ssim=1.0)
    metrics = ["psnr", "ssim", *(["likeness"] if likeness else [])]
    found = html_report.from_rows(rows, "dodged", "a", metrics)
    assert next(iter(found)) == "headline"
    before = dict(mpl.rcParams)
    (heading, picture), *_ = html_report.drawn(rows, found, "dodged")
    assert dict(mpl.rcParams) == before
    assert heading == ("Protection and likeness" if likeness else "Protection and PSNR")
    assert Image.open(BytesIO(picture)).width > 500  # two panels
    assert ("nobody was asked" in html_report.about(rows, "dodged")) == likeness
    assert ("equal PSNR is not equal likeness" in html_report.about(rows, "dodged")) != likeness
    (_, _, lines), *_ = tables(found)
    if likeness:
        assert dict(zip(lines[0], lines[1], strict=True))["likeness"].startswith("0.450 [0.")
    assert ("likeness" in lines[0]) == likeness
    assert dict(zip(lines[0], lines[2], strict=True))["other photo, FAR 1 %"].endswith(" (0.0)")
    assert "headline" not in html_report.from_rows(rows.assign(aim=0.1), "impersonated", "a", metrics)
