"""The script for one visit to a GPU: on a CPU and in small it walks the same way."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from veil.core.errors import VeilError

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture(scope="module")
def script() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPTS)
        parts = [importlib.import_module(f"gpu_{name}") for name in ("portrait", "sections", "visit")]
        return SimpleNamespace(**{name: value for part in parts for name, value in vars(part).items()})


@pytest.fixture(scope="module")
def visit(script: Any) -> Any:
    return script.Visit("cpu", tiny=True)


def test_rows_become_one_table_whatever_they_hold(script: Any) -> None:
    rows = [
        {"faces": 1, "step s": 0.012345, "still known": True},
        {"faces": 64, "failed": "Error: x"},
    ]
    assert script.table(rows).splitlines() == [
        "| faces | step s | still known | failed |",
        "| --- | --- | --- | --- |",
        "| 1 | 0.0123 | yes |  |",
        "| 64 |  |  | Error: x |",
    ]


def test_a_case_that_fails_says_why_and_ends_no_section(script: Any) -> None:
    def fails() -> dict[str, Any]:
        raise VeilError("The device is full.\nReally.")

    assert script.tried({"faces": 64}, fails) == {
        "faces": 64,
        "failed": "VeilError: The device is full.",
    }


def test_every_case_that_is_measured_has_its_estimate_in_the_document(script: Any) -> None:
    estimates = script.documented()
    for case in (
        ("256", "bfloat16", "yes", "yes"),
        ("512", "bfloat16", "yes", "no"),
    ):
        assert set(estimates[case]) == {*("docs: s", "docs: tensors at peak", "docs: so fits (estimate)")}
    assert estimates["256", "bfloat16", "yes", "no"]["docs: tensors at peak"] == "3.5 GB"


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_sections_measure_what_they_name(script: Any, visit: Any) -> None:
    agreement = {row["variant"]: row for row in script.agreement(visit)}
    assert agreement["as it is"]["dB to the CPU's picture"] == pytest.approx(80)  # it is the CPU's
    assert 40 < agreement["autocast"]["dB to the CPU's picture"] < 80
    assert {row["faces"] for row in script.portrait(visit)} == {1, 2}
    diffusion = list(script.stable_diffusion(visit))
    assert [(row["checkpointing"], row["offloading"]) for row in diffusion] == [
        *(("yes", "no"), ("yes", "yes"), ("no", "no"), ("yes", "no"))
    ]
    methods = list(script.methods(visit))
    assert [row["method"] for row in methods] == ["balanced", "paper", "pgd"]
    (waiting,) = script.waiting(visit)  # a CPU is not waited for
    assert waiting["what"] == "kernels"
    for row in (*agreement.values(), *diffusion, *methods):
        assert "failed" not in row
        assert all(row.get(name, 1) > 0 for name in ("seconds", "step s", "faces a second"))


@pytest.mark.slow
def test_a_visit_writes_what_it_has_and_ends_in_time(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPTS / "gpu_visit.py", "--tiny", "--device", "cpu", "-o", tmp_path]
    sections = ["--only", "waiting", "--only", "compiled"]
    done = subprocess.run([*command, *sections], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "visit.json").read_text())
    assert set(found) == {"machine", "waiting", "compiled"}
    assert found["compiled"][0]["faces a second"] > 0  # by torch's tracer, without a compiler
    assert (tmp_path / "visit.md").read_text() in done.stdout
    short = subprocess.run(
        [*command, *sections, "--minutes", "0.001"], capture_output=True, text=True, check=False, timeout=600
    )
    assert short.returncode == 0, short.stderr
    cut = json.loads((tmp_path / "visit.json").read_text())
    assert [rows[-1]["failed"][:5] for name, rows in cut.items() if name != "machine"] == ["ended", "no ti"]
