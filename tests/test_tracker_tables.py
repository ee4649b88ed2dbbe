"""What the script on trackers asks, keeps and writes."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from veil.core.registry import Registry
from veil.eval.trackers import TRACKERS, Album, Outcome, tracker

FOLDER = Path(__file__).parents[1] / "scripts"
EMPTY = sha256(b"").hexdigest()[:8]


@pytest.fixture(scope="module")
def script() -> Iterator[dict[str, Any]]:
    """What the script defines."""
    sys.path.insert(0, str(FOLDER))
    yield runpy.run_path(str(FOLDER / "trackers.py"))
    sys.path.remove(str(FOLDER))


def asked(tracker: str, judge: str, query: str, rejected: list[float]) -> list[dict[str, Any]]:
    about: dict[str, Any] = {
        "of": "strengths",
        "strength": "",
        "album": 1,
        "cloaked": 0,
        "passing": 0,
        "cloaks": 1,
    }
    about |= {"tracker": tracker, "judge": judge, "query": query}
    cost = {"photos": 1, "others": 40, "seconds": 0.5}
    return [{**about, **cost, "identity": f"{judge}-{n}", "rejected": one} for n, one in enumerate(rejected)]


def test_recognisers_are_counted_alone_and_together(script: dict[str, Any]) -> None:
    rows = [
        *asked("purifier", "dlib", "strong", [1, 1, 0, 0]),
        *asked("purifier", "sface", "strong", [1, 1, 1, 0]),
    ]
    table = script["rates"](pd.DataFrame(rows)).set_index("judge")
    assert table["rate"].to_dict() == {"all": 5 / 8, "dlib": 0.5, "sface": 0.75}
    assert table["n"].to_dict() == {"all": 8, "dlib": 4, "sface": 4}
    assert (table["low"] < table["rate"]).all()
    assert (table["rate"] < table["high"]).all()
    assert table.loc["all", "others"] == 40
    alone = script["rates"](pd.DataFrame(asked("template", "sface", "strong", [1, 0])))
    assert alone["judge"].tolist() == ["sface"]


def test_a_detector_is_scored_by_strength(script: dict[str, Any]) -> None:
    scores = {"clean": [0, 1, 2], "subtle": [0, 1, 2], "balanced": [1, 2, 3], "strong": [3, 4, 5]}
    rows = [
        {"query": query, "score": float(score), "identity": str(n), "disturbance": "none"}
        for query, some in scores.items()
        for n, score in enumerate(some)
    ]
    table = script["areas"](pd.DataFrame(rows)).set_index("strength")
    assert table["rate"].to_dict() == {"strong": 1.0, "balanced": pytest.approx(7 / 9), "subtle": 0.5}


def test_what_was_measured_is_not_measured_again(
    script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was cut goes on, and its tables are those of one that was not."""
    done: list[str] = []
    detected = [
        {"of": "detector", "query": query, "score": score, "identity": "a", "disturbance": "none"}
        for query, score in (("clean", 0.0), ("subtle", 1.0), ("balanced", 1.0), ("strong", 1.0))
    ]
    results = {
        "one": asked("template", "sface", "strong", [1, 0]),
        "two": asked("purifier", "sface", "strong", [0, 0]),
        "three": detected,
    }

    def job(name: str) -> Any:
        def work() -> list[dict[str, Any]]:
            if done == ["one"] and name == "two":
                raise KeyboardInterrupt
            done.append(name)
            return results[name]

        return work

    names = script["measure"].__globals__
    monkeypatch.setitem(names, "jobs_of", lambda *_: {name: job(name) for name in results})
    monkeypatch.setitem(names, "made_of", lambda *_: {})
    (tmp_path / "log.jsonl").write_text('{"stage": "purifier", "step": 500, "left": 0.9}\n')
    output = tmp_path / "tables"
    with pytest.raises(KeyboardInterrupt):
        script["measure"](tmp_path, tmp_path, tmp_path, output=output)
    assert not output.exists()
    done[:] = []
    script["measure"](tmp_path, tmp_path, tmp_path, output=output)
    assert done == ["two", "three"]
    rates = pd.read_csv(output / "rates.csv")
    assert rates.groupby("tracker")["rate"].mean().to_dict() == {"purifier": 0.0, "template": 0.5}
    assert set(pd.read_csv(output / "detector.csv")["rate"]) == {1.0}
    assert json.loads((output / "manifest.json").read_text()) == {}


def test_a_new_tracker_is_asked_and_told_by_its_line_alone(
    script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Pairs, Roles = (script["jobs_of"].__globals__[name] for name in ("Pairs", "Roles"))
    toy = ModuleType("toy")
    vars(toy)["track"] = tracker("looks twice", albums=(Album(2, 1),))(lambda task: Outcome((), task.queries))
    monkeypatch.setitem(sys.modules, "toy", toy)
    more = TRACKERS | Registry("tracker", {"toy": "toy:track"})
    monkeypatch.setitem(script["jobs_of"].__globals__, "TRACKERS", more)
    monkeypatch.setattr(Roles, "people", [])
    for name in ("purifier", "detector", "photos/manifest.json", "lfw/strong/ann/one-2.png"):
        file = tmp_path / (name if "/" in name else f"{name}.safetensors")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    pairs = Pairs("strengths", tmp_path / "photos", ("strong",))
    jobs = script["jobs_of"](tmp_path, tmp_path, [pairs, replace(pairs, of="closest")])
    judges = script["JUDGES"]
    asked = {f"{of}-{EMPTY}/toy-{judge}" for of in ("strengths", "closest") for judge in judges}
    assert {key for key in jobs if "toy" in key} == asked | {"lfw/strong-0/toy-2-1-0"}
    known = {key.rpartition("/")[2].removesuffix(f"-{EMPTY}") for key in jobs if key.startswith("lfw")}
    assert {"template-2-0-0", "template-3-3-0", "dynamic-gallery-1-0-2", "linear-probe-3-3-0"} < known
    assert {"averaging-1", "averaging-3"} < known
    assert {f"strengths-{EMPTY}/detector-{EMPTY}-{name}" for name in script["DISTURBED"]} < {*jobs}
    assert f"closest-{EMPTY}/restoration-sface" not in jobs
    results = runpy.run_path(str(FOLDER / "results.py"))
    monkeypatch.setitem(results["trackers"].__globals__, "TRACKERS", more)
    table = pd.DataFrame([{**row, "rate": 1, "low": 1, "high": 1, "n": 2} for row in asked_of_all("toy")])
    monkeypatch.setitem(results["trackers"].__globals__, "read", lambda *_: table)
    assert "| looks twice |" in results["trackers"]("strengths")


def asked_of_all(name: str) -> list[dict[str, Any]]:
    return [row for query in ("clean", "strong") for row in asked(name, "all", query, [1])]
