"""The ladder of imports, files of a size that can be read, and that asking for help costs nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
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
ROOMS = {  # from the lowest: what each may import of its own folder lies before it
    "eval": (
        *("bootstrap", "disturbances", "detectors", "datasets", "verification", "metrics"),
        *("references", "behaviour", "report"),
        *("grouping", "linking", "tracks", "trackers"),
        *("calibration", "resumable", "benchmark", "summary", "identification", "pairings"),
        *("galleries", "table_text", "set_metrics", "plots", "html_report"),
        *("clip_report", "sound", "clip_benchmark"),
    ),
    "eval/behaviour": (
        *("reading", "figures", "curves"),
        *re.findall(
            r'"veil\.eval\.behaviour\.(\w+):', (ROOT / "eval/behaviour/figures.py").read_text("utf-8")
        ),
        *("comparison", "page"),
    ),
    "eval/benchmark": (
        *("spec", "hooks", "checks", "manifest", "results", "distractors", "plan"),
        *("judge", "matching", "runner"),
    ),
    "eval/clip_benchmark": ("spec", "part", "judge", "tables", "runner"),
}
MOST_LINES = 320
LONG = {  # files that may be longer, and why
    "weights/recipes/train_portrait.py": "a recipe: one training, from the data to the weights, in its order",
    "scripts/kill_runs.py": "all that can be killed, each case beside what it checks; nothing imports it",
    "scripts/results.py": "every block of the documents, one after the other; nothing imports it",
}
FILES = [
    path
    for folder in LADDER
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not {"recipes", "space"} & {*path.parts}  # scripts: they use the installed package
]


def imports(path: Path, top_only: bool = False) -> Iterator[str]:
    """What a file imports, those of this repository as veil.folder...; `top_only`: while it is imported."""
    package = ["veil", *path.relative_to(ROOT).parts[:-1]]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes: Iterable[ast.AST] = tree.body if top_only else ast.walk(tree)
    for node in nodes:
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


@pytest.mark.parametrize("folder", ROOMS)
def test_rooms_import_only_what_lies_below(folder: str) -> None:
    rooms = ROOMS[folder]
    found = {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__"}
    found |= {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}
    assert found == {*rooms}
    package = f"veil.{folder.replace('/', '.')}."
    for path in FILES:
        name = path.relative_to(ROOT / folder).parts[0] if path.is_relative_to(ROOT / folder) else ""
        if (room := name.removesuffix(".py")) in rooms:
            below = rooms[: rooms.index(room) + 1]
            for module in imports(path):
                other = module.removeprefix(package).split(".")[0] if module.startswith(package) else ""
                assert other not in rooms or other in below, f"{path.name} must not import {module}"


def test_no_imports_go_in_circles() -> None:
    modules = {
        ".".join(["veil", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__"): path
        for path in FILES
    }
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        named = imports(path, top_only=True)
        graph[module] = {one if one in modules else one.rpartition(".")[0] for one in named} & {*modules}
    assert sum(map(len, graph.values())) > len(modules)
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_files_can_be_read_at_a_sitting() -> None:
    sources = [path for folder in (*LADDER, "scripts") for path in (ROOT / folder).rglob("*.py")]
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources}
    long = {path.relative_to(ROOT).as_posix() for path in sources if lines[path] > MOST_LINES}
    assert long <= LONG.keys()


def test_every_package_is_listed() -> None:
    """A folder that pyproject.toml forgets is missing from the wheel only."""
    listed = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '"veil" = "veil"' in listed
    for folder in {path.parent.relative_to(ROOT) for path in FILES}:
        assert f'"veil.{".".join(folder.parts)}" = "{folder.as_posix()}"' in listed


MODULES = {
    "opencv-python-headless": "cv2",
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


def test_misspelt_names_are_refused_before_torch_is_loaded() -> None:
    program = (
        "import sys; from veil.ui.cli import main\n"
        "for option in ('--strength', '--effort', '--prior', '--surrogates', '--leave-out'):\n"
        "    sys.argv = ['veil', 'protect', 'me.jpg', option, 'strnog']\n"
        "    try: main()\n"
        "    except SystemExit as end: assert end.code == 2\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.count("called 'strnog'") == 5


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
