"""The ladder of imports, and that asking for help costs nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LADDER = {  # what each folder may import
    "core": set[str](),
    "weights": {"core"},
    "attacks": {"core", "weights"},
    "privacy": {"core", "weights", "attacks"},
    "eval": {"core", "weights", "attacks"},
    "ui": {"core", "weights", "attacks", "privacy", "eval"},
}
FILES = [
    path
    for folder in LADDER
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not {"recipes", "space"} & {*path.parts}  # scripts: they use the installed package
]


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, those of this repository as veil.folder..."""
    package = ["veil", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            module = [*parents, *(node.module or "").split(".")]
            yield from (".".join(filter(None, [*module, name.name])) for name in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_ladder(path: Path) -> None:
    here = path.relative_to(ROOT).parts[0]
    for module in imports(path):
        first, *rest = module.split(".")
        assert first not in LADDER, f"{module}: import relatively"
        if first == "veil":
            assert rest[0] in LADDER[here] | {here}, f"{here} must not import {module}"


def test_every_package_is_listed() -> None:
    """A folder that pyproject.toml forgets is missing from the wheel only."""
    listed = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '"veil" = "veil"' in listed
    for folder in {path.parent.relative_to(ROOT) for path in FILES}:
        assert f'"veil.{".".join(folder.parts)}" = "{folder.as_posix()}"' in listed


MODULES = {
    "facenet-pytorch": "facenet_pytorch",
    "huggingface-hub": "huggingface_hub",
    "pillow": "PIL",
    "pillow-heif": "pillow_heif",
    "pillow-jxl-plugin": "pillow_jxl",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
}
SILENT = {
    "torchvision",  # facenet-pytorch takes any; only one fits the torch that we ask for
}


def names(requirements: list[str]) -> set[str]:
    """The distributions that requirements name, without versions and extras."""
    return {re.split(r"[\[<>=~ ]", requirement)[0] for requirement in requirements}


def test_every_dependency_is_declared_and_used() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    main = names(project["dependencies"])
    extra = names([one for extra in project["optional-dependencies"].values() for one in extra]) - {"veil"}
    used = {module.split(".")[0] for path in FILES for module in imports(path)}
    assert {MODULES.get(name, name) for name in main - SILENT} <= used
    foreign = used - sys.stdlib_module_names - {"veil"}
    assert foreign <= {MODULES.get(name, name) for name in main | extra}


@pytest.mark.parametrize("argument", ["--help", "models"])
def test_help_and_models_import_nothing_heavy(argument: str) -> None:
    program = (
        "import sys; from veil.ui.cli import main; sys.argv = ['veil', sys.argv[1]]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, argument], capture_output=True, text=True, check=True
    )
    assert "mobilefacenet" in done.stdout or "protect" in done.stdout
    loaded = set(done.stderr.split())
    assert "typer" in loaded
    assert not loaded & {"torch", "gradio", "numpy", "PIL", "diffusers"}
