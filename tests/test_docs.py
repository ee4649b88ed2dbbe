"""What the documents show runs, their links lead somewhere, and the site is built without a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from skimage.data import astronaut

from veil import attacks, eval, privacy
from veil.attacks.faces.detection import largest_face
from veil.core.images import to_tensor
from veil.core.progress import finish
from veil.core.registry import Registry
from veil.core.types import Photo, tracks_of
from veil.eval.behaviour import BEHAVIOURS, comparison, page
from veil.eval.behaviour.reading import read
from veil.eval.benchmark.spec import MethodSpec, QualityTarget, Spec, TunedSetting
from veil.eval.clip_benchmark.spec import ClipSpec
from veil.eval.report import assess
from veil.eval.trackers import TRACKERS, Shot, Task
from veil.privacy.settings import settings
from veil.weights import registry, store
from veil.weights.store import WeightsStore

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]
CODE = re.compile(r'```(?:python|toml) title="(.+?)"\n(.*?)```', re.DOTALL)
LOADED = re.compile(r'(?:src=|<link[^>]* href=|url\()["\']?(?:https?:)?//')  # from elsewhere, by a page
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The code of docs/extending.md by its title; files are modules from here on."""
    code = dict(CODE.findall((ROOT / "docs" / "extending.md").read_text(encoding="utf-8")))
    for title in code:
        if title.endswith(".py"):
            file = tmp_path / title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(code[title], encoding="utf-8")
            monkeypatch.setitem(sys.modules, name(title), module(name(title), file))
    return code


def name(file: str) -> str:
    return "veil." + file.removesuffix(".py").replace("/", ".")


def module(name: str, file: Path) -> ModuleType:
    spec = spec_from_file_location(name, file)
    assert spec
    assert spec.loader
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def with_line(entries: Registry[Any], line: str) -> Registry[Any]:
    """A registry with one more line, as it is shown."""
    ((key, value),) = re.findall(r'^"(.+)": "(.+)",$', line.strip())
    return entries | Registry(entries.kind, {key: value})


def test_the_metric_of_the_guide(shown: dict[str, str]) -> None:
    measure = with_line(eval.MEASURES, shown["MEASURES"])["sharpness"]
    image = to_tensor(astronaut())
    soft = torch.nn.functional.avg_pool2d(image, 5, 1, 2)
    assert measure(torch.cat([image, image]), torch.cat([image, soft])).tolist()[0] == 0
    assert measure(image, soft) > measure(image, 0.9 * image) > 0


def test_the_method_of_the_guide(shown: dict[str, str]) -> None:
    """It is found by its name, leaves what is not the face, and hides the face from a recogniser."""
    photo = Photo(astronaut(), "astronaut.png")
    face = largest_face(photo.pixels)
    method = with_line(privacy.METHODS, shown["METHODS"])["pixelate"]
    after = finish(method(tracks_of(photo, [face]), settings(surrogates=("mobileface",)), None)).photo
    left, top, right, bottom = face.box.round().astype(int)
    outside = np.ones(photo.pixels.shape[:2], bool)
    outside[top:bottom, left:right] = False
    assert (after.pixels[outside] == photo.pixels[outside]).all()
    model = attacks.recognizer("mobileface")
    one, other = (model.embed(model.align(to_tensor(p.pixels), face))[0] for p in (photo, after))
    assert float(one @ other) < registry.card("mobileface").thresholds["far1"]


def test_the_recogniser_of_the_guide(
    shown: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its card and its line it loads, keeps a recogniser's promises, attacks by default, and judges."""
    weights = tmp_path / "tiny.safetensors"
    torch.manual_seed(0)
    save_file(sys.modules["veil.attacks.recognizers.tiny"].Tiny().state_dict(), weights)
    data = weights.read_bytes()
    card = shown["weights/cards.toml"].replace("SHA256", sha256(data).hexdigest())
    cards = tmp_path / "cards.toml"
    cards.write_text(store.CARDS.read_text(encoding="utf-8") + "\n" + card, encoding="utf-8")
    monkeypatch.setattr(store, "default_store", lambda: WeightsStore(tmp_path, cards_file=cards))
    monkeypatch.setattr(attacks, "RECOGNIZERS", with_line(attacks.RECOGNIZERS, shown["RECOGNIZERS"]))
    model = attacks.recognizer("tiny")
    assert "tiny" in attacks.attacked()
    photo = Photo(astronaut(), "astronaut.png")
    assert "tiny" in {match.recognizer for match in assess(photo, photo).faces[0].matches}
    crops = torch.rand(3, 3, model.size, model.size, requires_grad=True)
    vectors = model.embed(crops)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(vectors[:1], model.embed(crops[:1]), rtol=1e-4, atol=1e-5)
    vectors[:, 0].sum().backward()
    assert crops.grad is not None
    assert crops.grad.abs().sum() > 0


def test_the_aspect_of_the_guide(shown: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """By its file and its line it is measured, beside a control, and has words in tables and sentences."""
    more = with_line(BEHAVIOURS, shown["BEHAVIOURS"])
    for where in (comparison, page):
        monkeypatch.setattr(where, "BEHAVIOURS", more)
    still = finish(read([astronaut()], np.zeros(1), [largest_face(astronaut())]))
    shapes = still.blendshapes.copy()
    shapes[:, sys.modules["veil.eval.behaviour.brows"].BROWS] += 0.2
    result = comparison.judged(still, replace(still, blendshapes=shapes), still)
    assert ["brows", "error", "0.2", "0", "of 1", "no", ""] in page.rows(result)
    alone = result.model_copy(update={"frames": 9, "aspects": result.aspects[-1:]})
    assert "kept least: how the brows move (off by 0.2 of 1" in page.sentence(alone)
    assert more.about("brows") == "The brows: how far they rise and fall."


def test_the_tracker_of_the_guide(shown: dict[str, str]) -> None:
    """It finds a person by one photo of two, and states what it needs."""
    nearest = with_line(TRACKERS, shown["TRACKERS"]).entry("nearest")
    album = [Shot("ann", np.array(vector)) for vector in ([1.0, 0, 0], [0, 1.0, 0])]
    task = Task([*album, Shot("bob", np.array([0, 0, 1.0]))], [Shot("ann", np.array([0, 0.8, 0.6]))])
    outcome = nearest(task)
    assert (outcome.people, outcome.photos) == (("ann", "bob"), 2)
    assert outcome.scores.tolist() == [[0.8, 0.6]]
    assert nearest.pairs == "all"


def test_every_field_of_a_benchmark_is_described() -> None:
    text = (ROOT / "docs" / "research.md").read_text(encoding="utf-8").partition("## A benchmark's file")[2]
    kinds = (Spec, ClipSpec, MethodSpec, TunedSetting, QualityTarget)
    fields = {name for kind in kinds for name in kind.model_fields}
    assert {name for name in fields if not re.search(rf"\b{name}\b", text.partition("\n## ")[0])} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link for link in LINK.findall(text) if "://" not in link]
    missing = [link for link in links if not (document.parent / link).exists()]
    assert not missing


def test_every_page_and_decision_is_listed() -> None:
    decisions = ROOT / "docs" / "decisions"
    index = (decisions / "index.md").read_text(encoding="utf-8")
    files = sorted(path.name for path in decisions.glob("0*.md"))
    assert [int(one[:4]) for one in files] == [*range(1, len(files) + 1)]
    assert all(f"({one})" in index for one in files)
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert all(path.name in site for path in (ROOT / "docs").glob("*.md"))


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    """No page loads a script, a style, a font or a picture from elsewhere."""
    pytest.importorskip("mkdocs", reason="the extra veil[docs] is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = sorted(tmp_path.rglob("*.html"))
    assert {"index.html", "results/index.html"} <= {path.relative_to(tmp_path).as_posix() for path in pages}
    assert LOADED.search('<link rel="stylesheet" href="https://fonts.example/css">')
    assert not [path for path in pages if LOADED.search(path.read_text(encoding="utf-8"))]
