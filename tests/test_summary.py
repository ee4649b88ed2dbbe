"""From rows to tables: the headline, comparisons, identification, and rows of older files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from veil.eval import summary
from veil.eval.identification import missed, ranks
from veil.weights.registry import card


def test_the_headline_states_mean_and_worst_at_both_rates_for_both_photos(verdicts: pd.DataFrame) -> None:
    rows = verdicts
    table = summary.headline(rows, ["ssim"]).set_index("method")
    assert table["n"].to_dict() == {"identity": 20, "a": 20}
    expected = {  # of ten people: how many does dlib reject, how many sface
        "other_far1": (5, 3),
        "other_far01": (7, 5),
        "same_far1": (3, 1),
        "same_far01": (5, 3),
    }
    for case, (dlib, sface) in expected.items():
        one = table.loc["a"]
        assert one[case] == pytest.approx((dlib + sface) / 20)
        assert one[f"{case} worst"] == "sface"
        assert one[f"{case} least"] == pytest.approx(sface / 10)
        for name in (case, f"{case} least"):
            assert 0 <= one[f"{name} low"] < one[name] < one[f"{name} high"] < 1
        assert one[f"{case} clean"] == table.loc["identity", case] == 0
    assert (table["psnr"] == 34.5).all()
    assert "likeness" not in table
    seen = summary.headline(rows, ["likeness"]).set_index("method").loc["a"]
    assert seen["likeness"] == pytest.approx(0.45)
    assert seen["likeness low"] < 0.4 < 0.5 < seen["likeness high"]
    nobody = summary.headline(rows.assign(probe=np.nan))
    assert "other_far1" not in nobody
    assert "same_far1" in nobody


def test_rows_of_older_files_are_completed(done: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    new = ["threshold_far1", "threshold_far01", "curve"]
    for kind in ("parquet", "csv"):
        old = pd.read_parquet(done / "rows.parquet")
        some = old.assign(**{name: None for name in new})  # as a run that goes on has them
        for number, table in enumerate((old.drop(columns=new), some)):
            path = tmp_path / f"{number}.{kind}"
            table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
            pd.testing.assert_frame_equal(summary.read(path)[new], rows[new], check_dtype=False)
    old.drop(columns=new).assign(recognizer="elsewhere").to_parquet(tmp_path / "rows.parquet")
    unknown = summary.read(tmp_path / "rows.parquet")
    assert unknown["threshold_far1"].isna().all()
    assert not len(summary.headline(unknown))
    assert len(summary.rates(unknown, "dodged"))


def test_ranks_and_misses_agree_with_counting() -> None:
    rng = np.random.default_rng(0)
    gallery, probes, strangers = (rng.normal(size=(30, 4)) for _ in range(3))
    expected = [1 + sum(p @ g > p @ gallery[i] for g in gallery) for i, p in enumerate(probes)]
    assert ranks(gallery, probes).tolist() == expected
    assert ranks(gallery, gallery / 2 + gallery).tolist() == ranks(gallery, gallery).tolist()
    best = [max(s @ g for j, g in enumerate(gallery) if j != i) for i, s in enumerate(strangers)]
    threshold = np.quantile(best, 0.99)
    assert missed(gallery, probes, strangers).tolist() == [
        float(p @ g <= threshold) for p, g in zip(probes, gallery, strict=True)
    ]


def test_methods_are_compared_on_the_same_photos() -> None:
    table = pd.DataFrame(
        [
            (method, str(number), "dlib", "none", 0, float(number < limit), 0.8 - limit / 100 * number)
            for method, limit in (("a", 8), ("b", 4))
            for number in range(10)
        ],
        columns=["method", "identity", "recognizer", "disturbance", "seed", "dodged", "probe"],
    )
    (found,) = summary.compared(table, "dodged", "b").to_dict("records")
    assert found["method"] == "a"
    assert found["difference"] == pytest.approx(0.4)
    assert 0 < found["low"] < 0.4 < found["high"]
    expected = -0.04 * 4.5 / card("dlib").strangers[1]
    assert found["cosine"] == pytest.approx(expected)
    assert found["cosine low"] < expected < found["cosine high"] < 0
    table["recognizer"] = "elsewhere"  # of rows that another machine wrote
    (found,) = summary.compared(table, "dodged", "b").to_dict("records")
    assert found["difference"] == pytest.approx(0.4)
    assert np.isnan(found["cosine"])
