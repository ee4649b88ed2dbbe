"""The figures of the documents are those of the tables."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer

from veil.privacy.settings import DESCRIPTIONS

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "results.py"


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def run(folder: Path, check: bool = False) -> int:
    """Run a copy of the script, in this process; returns its exit code."""
    with pytest.raises(typer.Exit) as ended:
        runpy.run_path(str(folder / "scripts" / "results.py"))["main"](check)
    return ended.value.exit_code


def test_no_document_has_drifted() -> None:
    command = [sys.executable, str(SCRIPT), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}: run scripts/results.py"


def test_the_sentences_on_strengths_hold_the_measured_figures(results: dict[str, Any]) -> None:
    for strength, share in (("subtle", "94 %"), ("balanced", "85 %")):
        assert results["said_yes"]("likeness", "strengths", strength).startswith(share)
        assert f"{share} of blind ratings" in DESCRIPTIONS[strength]
    assert results["said_yes"]("likeness", "strengths", "strong").startswith("0 %")
    assert "58 % [38, 75]" in (again := results["asked_again"]())
    assert "told to look closely" in again
    hidden = results["read"]("strengths", "headline").set_index("method")["other_far1"]
    assert hidden["balanced"] == pytest.approx(1 / 5, abs=0.025)  # "one in five"
    assert hidden["strong"] > 0.9  # "nine in ten"


def test_every_block_stands_somewhere(results: dict[str, Any]) -> None:
    used = {
        name
        for path in results["documents"]()
        for _, name, _, _ in results["MARKED"].findall(path.read_text(encoding="utf-8"))
    }
    assert set(results["BLOCKS"]) <= used


@pytest.mark.slow
def test_a_changed_table_changes_the_documents(tmp_path: Path, capsys: Any) -> None:
    """It is named by --check and rewritten without, and then all is well; what stands around it stays."""
    for name in ("scripts", "benchmarks", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("README.md", "SECURITY.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    table = tmp_path / "benchmarks" / "strengths" / "rates.csv"
    rates = pd.read_csv(table)
    one = (rates.method == "balanced") & (rates.recognizer == "all") & (rates.disturbance == "none")
    rates.loc[one, ["rate", "low", "high", "n"]] = [0.425, 0.4, 0.451, 77]
    rates.to_csv(table, index=False)
    before = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert run(tmp_path, check=True) == 1
    assert "README.md" in capsys.readouterr().out.split()
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == before
    assert run(tmp_path) == 0
    after = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "43 % [40, 45]" in after
    assert "Machines: 77 people" in after
    assert after.partition("<!-- ")[0] == before.partition("<!-- ")[0]
    assert after.rpartition("/results -->")[2] == before.rpartition("/results -->")[2]
    assert run(tmp_path, check=True) == 0


def test_cells_that_no_table_holds_are_left_out(results: dict[str, Any]) -> None:
    rows = [["a", "1", "-"], ["b", "-", "-"]]
    assert results["table"](["who", "much", "never"], rows).splitlines() == [
        "| who | much |", "| --- | --- |", "| a | 1 |", "| b | - |",
    ]  # fmt: skip


def test_ratings_are_counted_over_people(results: dict[str, Any]) -> None:
    """What is said in the table of strengths is what viewers wrote."""
    said = pd.read_csv(ROOT / "benchmarks" / "ratings" / f"round-{results['ROUND']['strengths']}.csv")
    for name in results["STRENGTHS"]:
        some = said[said.version == results["VERSION"]["strengths"].get(name, name)]
        share = 100 * (some.likeness >= 4).mean()
        cell = results["said_yes"]("likeness", "strengths", name)
        assert abs(float(cell.split()[0]) - share) <= 0.5


def test_no_round_about_a_strength_is_left_out(results: dict[str, Any]) -> None:
    """What is called after `subtle` or `balanced` stands in the table, but for other engines."""
    others = {"today-subtle", "today-balanced", "depth-0-balanced", "balanced-album"}
    others |= {f"subtle-steps-60{more}" for more in ("", "-nose-dear", "-parts-held")}
    for path in (ROOT / "benchmarks" / "ratings").glob("round-*.csv"):
        for version in {*pd.read_csv(path).version} - others:
            for name in {"subtle", "balanced"} & {*version.split("-")}:
                assert version in results["ASKED"][name], path.name
    rows = results["rated"]().splitlines()[2:]
    assert len(rows) == sum(len(results["rounds_of"](name)) for name in results["ASKED"])
    alone = [row for row in rows if "| 11 | 20 |" in row]
    assert len(alone) == 1
    assert alone[0].endswith("| 58 % [38, 75] | 50 % [30, 70] | 100 % and 100 % | nothing |")


def test_pairings_are_told_once_they_were_measured(tmp_path: Path) -> None:
    pairings = runpy.run_path(str(SCRIPT))["pairings"]
    pairings.__globals__["RUNS"] = tmp_path
    assert pairings() == "`benchmarks/album.toml` was not run yet."
    for name in ("strengths", "album"):
        shutil.copytree(ROOT / "benchmarks" / "strengths", tmp_path / name)
    shares = {"far1": 0.425, "far1 low": 0.4, "far1 high": 0.451, "likeness": None}
    about = {"method": "balanced", "disturbance": "none", "pairing": "cloaked-clean"}
    table = [{**about, "recognizer": name, **shares} for name in ("dlib", "all")]
    pd.DataFrame(table).to_csv(tmp_path / "album" / "pairings.csv", index=False)
    pairings.__globals__["read"].cache_clear()
    told = pairings().splitlines()
    assert "is left out of the attack in turn" in told[0]
    assert told[2:] == [
        "| method | pairing | not matched |", "| --- | --- | --- |",
        "| `balanced` | cloaked-clean | 43 % [40, 45] |",
    ]  # fmt: skip


def test_galleries_say_what_is_extrapolated_and_how_far_off_that_was(tmp_path: Path) -> None:
    galleries = runpy.run_path(str(SCRIPT))["galleries"]
    galleries.__globals__["RUNS"] = tmp_path
    assert "not run with distractors" in galleries()
    for name in ("strengths", "album"):
        shutil.copytree(ROOT / "benchmarks" / "strengths", tmp_path / name)
    manifest = json.loads((tmp_path / "album" / "manifest.json").read_text())
    manifest["distractors"] = {"lfw": {"used": 7, "NoFace": 1}}
    (tmp_path / "album" / "manifest.json").write_text(json.dumps(manifest))
    about = {"method": "strong", "pairing": "cloaked-clean", "recognizer": "all"}
    rates = {"rank-1": 0.425, "rank-1 low": 0.4, "rank-1 high": 0.451}
    rows = [{**about, **rates, "size": size, "fitted": fitted} for size, fitted in ((7, 0), (10**4, 7))]
    pd.DataFrame(rows).to_csv(tmp_path / "album" / "galleries.csv", index=False)
    checks = {"fitted": 300, "size": 1200, "predicted": 0.5, "measured": 0.52, "error": 0.03}
    pd.DataFrame([{**about, **checks}]).to_csv(tmp_path / "album" / "extrapolation.csv", index=False)
    galleries.__globals__["read"].cache_clear()
    told = galleries().splitlines()
    assert "7 of `lfw`." in told[0]
    assert "from 300 of them, to the other 1,200, rates were off by 3.0 points in the mean" in told[0]
    assert "-2.0 on the whole" in told[0]
    assert told[2:] == [
        "| method | pairing | 7 | 10,000 (extrapolated) |", "| --- | --- | --- | --- |",
        "| `strong` | cloaked-clean | 43 % [40, 45] | 43 % [40, 45] |",
    ]  # fmt: skip


@pytest.mark.parametrize(("share", "shown"), [(0.025, 3), (0.125, 13), (0.175, 18), (0.9949, 99), (0.0, 0)])
def test_halves_are_rounded_up(results: dict[str, Any], share: float, shown: int) -> None:
    assert results["whole"](share) == shown


def test_an_unknown_block_is_an_error(results: dict[str, Any]) -> None:
    with pytest.raises(KeyError):
        results["rewritten"]("<!-- results:no-such -->\n<!-- /results -->")
