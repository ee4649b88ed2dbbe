"""What a benchmark file says, and what is refused before the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from veil.attacks import independent, packaged
from veil.core.errors import BadSettings, UnknownName, WeightsMissing
from veil.eval.benchmark import Spec, check, read
from veil.eval.clip_benchmark import is_of_clips
from veil.ui.engine_hooks import ENGINE_HOOKS

STRONG = ("dlib", "mobilefacenet", "faceres", "faceplugin", "sface")
ROOT = Path(__file__).parents[1]
FILES = sorted(path for path in (ROOT / "benchmarks").glob("*.toml") if not is_of_clips(path))


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "shared weights": (
        {"judges": ("faceres-deep",), "surrogates": ("faceres",)},
        BadSettings,
        "share their weights",
    ),
    "judge": ({"judges": ("arcnet",)}, UnknownName, "arcnet"),
    "uncalibrated": ({"judges": ("facenet:casia-webface",)}, BadSettings, "No threshold"),
    "disturbance": ({"disturbances": ("fax",)}, UnknownName, "fax"),
    "targets": ({"goal": "impersonate"}, BadSettings, "targets"),
    "method": ({"methods": ({"name": "a", "method": "b"},)}, UnknownName, "no method"),
    "preset": ({"methods": ({"name": "a", "preset": "b"},)}, BadSettings, "no strength"),
    "setting": ({"methods": ({"name": "a", "settings": {"b": 1}},)}, BadSettings, "'b'"),
    "epsilon": (
        {"methods": ({"name": "a", "method": "pgd", "settings": {"epsilon": 5}},)},
        BadSettings,
        "'epsilon' does not fit",
    ),
    "pool": ({"methods": ({"name": "a", "pool": ("arcnet",)},)}, UnknownName, "arcnet"),
    "twice": ({"methods": ({"name": "a"}, {"name": "a"})}, BadSettings, "one name"),
    "metric": ({"match": {"metric": "lpips"}}, BadSettings, "not measured"),
    "measure": ({"measures": ("expresion",)}, UnknownName, "expresion"),
    "weights": ({"measures": ("fid",)}, WeightsMissing, "pt_inception"),
    "like": ({"match": {"like": "b"}}, BadSettings, "to match"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_before_the_work(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, kind, words = REFUSED[case]
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    base: dict[str, Any] = {"title": "", "dataset": "", "judges": ("dlib",), "methods": ({"name": "veil"},)}
    with pytest.raises(kind, match=words):
        check(Spec.model_validate(base | changes), ENGINE_HOOKS)


def test_bad_files_are_told(faces: Path, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="no file"):
        read(tmp_path / "a.toml")
    sound = (faces / "six.toml").read_text()
    for text, words in (("a = ", "not TOML"), ('title = ""', "judges"), (sound + "extra = 1", "extra")):
        (tmp_path / "a.toml").write_text(text)
        with pytest.raises(BadSettings, match=words) as error:
            read(tmp_path / "a.toml")
        assert error.value.hint


@pytest.mark.parametrize(
    ("line", "name", "meant"),
    [
        ("photo = 3", "photo", "photos"),
        ('[[methods]]\nname = "a"\npreste = "b"', "methods.0.preste", "preset"),
        ('[[methods]]\nname = "a"\n[methods.knob]\nlo = 1', "methods.0.knob.lo", "low"),
        ('[match]\nmetrik = "ssim"', "match.metrik", "metric"),
    ],
)
def test_a_field_that_is_misspelt_is_told_with_the_one_that_is_meant(
    line: str, name: str, meant: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.toml"
    methods = "" if "methods" in line else 'methods = [{name = "a"}]\n'
    knob = "\nlow = 1\nhigh = 2\nsetting = 'steps'" * ("knob" in line)
    file.write_text(f'title = ""\ndataset = ""\njudges = ["dlib"]\n{methods}{line}{knob}')
    with pytest.raises(UnknownName) as error:
        read(file)
    assert error.value.message == f"{file}: There is no field called {name!r}."
    assert error.value.hint == f"Did you mean {meant}?"
    with pytest.raises(UnknownName, match="'ceilling'") as error:
        ENGINE_HOOKS.resolve("veil", "balanced", {"ceilling": 2})
    assert error.value.hint == "Did you mean ceiling?"


def test_a_method_may_have_surrogates_of_its_own() -> None:
    deep = ("dlib", "faceres", "faceres-deep")
    base = {"title": "", "dataset": "", "judges": ("dlib", "faceres"), "pool": ("dlib", "mobileface")}
    spec = Spec.model_validate(base | {"methods": ({"name": "a"}, {"name": "b", "pool": deep})})
    assert spec.surrogate_sets(spec.methods[0]) == {
        "dlib": ("mobileface",),
        "faceres": ("dlib", "mobileface"),
    }
    assert spec.surrogate_sets(spec.methods[1]) == {"dlib": ("faceres", "faceres-deep"), "faceres": ("dlib",)}


def test_who_is_left_out_takes_its_kin_along_and_all_others_attack() -> None:
    spec = Spec.model_validate({"title": "", "dataset": "", "judges": STRONG, "methods": ({"name": "a"},)})
    sets = spec.surrogate_sets(spec.methods[0])
    assert tuple(sets) == STRONG
    for out, used in sets.items():
        assert {*used} == {name for name in packaged() if independent(name, out)}
        assert out not in used
        assert spec.independent_judges(spec.methods[0], out) == (out,)


def test_turns_are_even_and_tied_neither_to_groups_nor_to_targets() -> None:
    spec = Spec.model_validate({"title": "", "dataset": "", "judges": STRONG, "methods": ({"name": "a"},)})
    turns = [spec.left_out_for(spec.methods[0], index) for index in range(600)]
    assert all({*turns[first : first + 5]} == {*STRONG} for first in range(0, 600, 5))
    for size, many in ((10, 60), (4, 150)):  # groups of gender and race; targets
        for place in range(size):
            met = [turns[place::size].count(judge) for judge in STRONG]
            assert sum(met) == many
            assert min(met) > many / 5 / 2


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_our_own_benchmarks_are_sound(file: Path) -> None:
    spec = read(file)
    check(spec, ENGINE_HOOKS)
    assert (spec.judges, spec.leave_out) == (STRONG, "turns")
    for method in spec.methods:
        for left_out in spec.surrogate_sets(method):
            assert spec.independent_judges(method, left_out)
