"""Settings say what they are, and those of before are still read."""

from __future__ import annotations

import json

import pytest

from veil.core.errors import BadSettings
from veil.eval.verification import Match
from veil.privacy.pixel import PixelSettings
from veil.privacy.settings import FORMER_NAMES, PAPER, Settings, settings

GROUPS = ["run", "diffusion", "optimiser", "objective", "penalties"]


def test_every_field_is_described_and_stands_in_its_group() -> None:
    fields = Settings.model_json_schema()["properties"].values()
    assert all(field["description"] for field in fields)
    met = list(dict.fromkeys(field["group"] for field in fields))
    assert met == GROUPS


def test_names_of_before_mean_the_same() -> None:
    now = settings("strong", learning_rate=0.1, penalty_scale=1.5, add_change=False)
    assert settings("strong", rate=0.1, price=1.5, compose=False) == now
    before = {name: getattr(now, FORMER_NAMES.get(name, name)) for name in FORMER_NAMES}
    kept = {name: value for name, value in now if name not in FORMER_NAMES.values()}
    assert Settings(**before, **kept) == now
    assert Settings.model_validate_json(json.dumps({**before, **kept})) == now
    assert PixelSettings(rate=0.1, epsilon=0.5).learning_rate == 0.1  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("name", ["cost", "learning_rates", "Rate"])
def test_a_name_that_never_was_is_told(name: str) -> None:
    with pytest.raises(BadSettings, match=name):
        settings(**{name: 1})


def test_the_papers_setting_names_what_exists() -> None:
    assert {*PAPER} <= {*Settings.model_fields}


def test_a_report_of_before_says_seen() -> None:
    match = {"recognizer": "dlib", "before": 1.0, "after": 0.5, "threshold": 0.9}
    assert Match.model_validate({**match, "seen": "related"}).used_by_attack == "related"
    again = Match.model_validate({**match, "used_by_attack": "no"})
    assert Match.model_validate_json(again.model_dump_json()) == again
