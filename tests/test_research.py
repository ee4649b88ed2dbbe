"""The tab Research: what it makes of a real benchmark, of parts of it, and of files that are none."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from gradio_client import Client
from PIL import Image

from veil.core.errors import BadSettings
from veil.eval import summary
from veil.ui.web import research
from veil.ui.web.research import Query

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of websockets, used by gradio
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture
def whole(done: Path) -> Query:
    """Everything that the finished benchmark holds."""
    found = research.everything(done / "rows.parquet")
    return Query(found.outcomes[0], found.methods, found.recognizers, found.disturbances, found.first)


def test_what_there_is_to_choose(done: Path) -> None:
    found = research.everything(done / "rows.parquet")
    assert found.outcomes == ["dodged", "dodged_same"]
    assert found.methods == ["identity", "pgd", "random-noise"]
    assert found.recognizers == ["mobilefacenet", "mobileface"]
    assert found.disturbances[:2] == ["none", "jpeg-75"]
    assert found.first == "pgd"


@pytest.mark.slow
def test_csv_and_parquet_hold_the_same(done: Path, whole: Query) -> None:
    one, other = (summary.table(done / f"rows.{kind}") for kind in ("csv", "parquet"))
    shared = [name for name in other if other[name].notna().any()]
    pd.testing.assert_frame_equal(one[shared], other[shared], check_dtype=False)
    tables = [research.find(done / f"rows.{kind}", whole).tables for kind in ("csv", "parquet")]
    assert tables[0] == tables[1]


@pytest.mark.slow
def test_the_figures_are_those_of_the_report(done: Path, whole: Query) -> None:
    findings = research.find(done / "rows.parquet", whole)
    for name in ("headline", "rates", "same_photo", "compared"):
        written = pd.read_csv(done / f"{name}.csv")
        pd.testing.assert_frame_equal(
            findings.frames[name].round(4).reset_index(drop=True), written, check_dtype=False
        )
    assert [heading for heading, _ in findings.plots] == [
        *("Protection and likeness", "Protected, by recogniser", "Cosines", "Robustness: protected, %")
    ]
    assert findings.tables[0][0] == "At a glance"
    for _, data in findings.plots:
        Image.open(BytesIO(data)).verify()


@pytest.mark.slow
def test_a_part_is_only_that_part(done: Path, whole: Query) -> None:
    part = replace(whole, methods=["pgd"], recognizers=["mobileface"], disturbances=[], other="identity")
    findings = research.find(done / "rows.parquet", part)
    (row,) = findings.frames["rates"].to_dict("records")
    everything = research.find(done / "rows.parquet", whole).frames["rates"]
    same = everything[
        (everything["method"] == "pgd")
        & (everything["recognizer"] == "mobileface")
        & (everything["disturbance"] == "none")
    ]
    assert (row["rate"], row["n"]) == (same["rate"].item(), same["n"].item())
    assert len(findings.plots) == 3  # nothing is disturbed
    clean = replace(whole, methods=["identity"])
    assert "compared" not in research.find(done / "rows.parquet", clean).frames


@pytest.mark.parametrize("changes", [{"methods": []}, {"recognizers": []}, {"methods": ["other"]}])
def test_an_empty_choice_is_told(done: Path, whole: Query, changes: dict[str, Any]) -> None:
    with pytest.raises(BadSettings, match="Nothing is left"):
        research.find(done / "rows.parquet", replace(whole, **changes))


@pytest.mark.slow
def test_the_archive_holds_plots_and_tables(done: Path, whole: Query, tmp_path: Path) -> None:
    findings = research.find(done / "rows.csv", whole)
    path = research.archive(findings, tmp_path / "benchmark.zip")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert {"report.md", "headline.csv", "rates.csv", "quality.csv", "cosines.png"} <= {*names}
        assert sum(name.endswith(".png") for name in names) == 4
        text = archive.read("report.md").decode()
        rates = pd.read_csv(archive.open("rates.csv"))
    assert len(rates) == len(findings.frames["rates"])
    assert "| pgd | mobilefacenet | none |" in text
    assert "![Cosines](cosines.png)" in text
    assert "To make it again" not in text


def column_gone(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop(columns="probe")


def words_for_numbers(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(same="high")


def never_clean(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["disturbance"] != "none"]


def all_failed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(error="No face was found.")


def many_methods(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([rows.assign(method=f"m{number}") for number in range(61)])


BAD = {
    column_gone: "has no column 'probe'",
    words_for_numbers: "cannot be read|does not hold the rows",
    never_clean: "no scored photo without disturbance",
    all_failed: "no scored photo",
    many_methods: "more than 60 different entries as method",
}


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_files_that_are_no_benchmark_are_told(
    done: Path, tmp_path: Path, kind: str, spoil: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    rows = spoil(pd.read_parquet(done / "rows.parquet"))
    path = tmp_path / f"rows.{kind}"
    rows.to_csv(path, index=False) if kind == "csv" else rows.to_parquet(path)
    with pytest.raises(BadSettings, match=BAD[spoil]):
        research.everything(path)


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet", "rows.txt"])
@pytest.mark.parametrize("content", [b"", b"hello", b"PAR1" + bytes(100), bytes(range(256)) * 9])
def test_files_that_are_no_tables_are_told(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadSettings, match=r"rows\.\w+ (cannot be read|has no column)"):
        research.everything(path)


def test_a_file_that_unpacks_to_much_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"identity": ["a"] * (research.MAX_ROWS + 1)}).to_parquet(path)
    monkeypatch.setattr(pd, "read_parquet", None)
    with pytest.raises(BadSettings, match="more than a page can show"):
        research.everything(path)


def test_a_folder_of_a_run_is_opened(done: Path, tmp_path: Path) -> None:
    assert research.rows_file(f" {done} ") == done / "rows.parquet"
    shutil.copy(done / "rows.csv", tmp_path)
    assert research.everything(research.rows_file(str(tmp_path))).first == "pgd"


def test_which_tables_can_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("strength,judge\nbalanced,dlib\n")
    with pytest.raises(BadSettings, match=r"rows\.csv does not hold the rows of a benchmark") as other:
        research.read(research.rows_file(str(tmp_path)))
    assert "for spreadsheets" in other.value.hint
    (tmp_path / "rows.csv").unlink()
    with pytest.raises(BadSettings, match=r"holds neither rows\.parquet nor rows\.csv"):
        research.rows_file(str(tmp_path))
    with pytest.raises(BadSettings, match="There is no .*nowhere"):
        research.rows_file(str(tmp_path / "nowhere"))


def event(page: Client, label: str) -> Any:
    """The functions that a component of this label or id takes part in."""
    wanted = {each["id"] for each in page.config["components"] if each["props"].get("elem_id") == label}
    return [each["id"] for each in page.config["dependencies"] if wanted & {i for i, _ in each["targets"]}]


def call(page: Client, number: int, *values: Any) -> dict[str, Any]:
    """Call one of the page's own functions, as the page in the browser does."""
    body = {"fn_index": number, "data": list(values), "session_hash": page.session_hash}
    address = page.src + "gradio_api/queue/"
    httpx.post(f"{address}join", json=body, timeout=30).raise_for_status()
    with httpx.stream("GET", f"{address}data?session_hash={page.session_hash}", timeout=60) as lines:
        for line in lines.iter_lines():
            if "process_completed" in line:
                return json.loads(line.removeprefix("data: "))
    raise AssertionError("no answer")


@pytest.mark.slow
def test_strangers_can_name_no_path(hosted: Any, done: Path, tmp_path: Path) -> None:
    page = Client(hosted.address, download_files=tmp_path, verbose=False)
    assert event(page, "veil-run") == []
    (number,) = event(page, "veil-rows")
    stolen = {"path": str(done / "rows.parquet"), "meta": {"_type": "gradio.FileData"}}
    answer = call(page, number, stolen)
    assert not answer["success"]
    assert "pgd" not in str(answer)
    page.close()
