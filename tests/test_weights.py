"""The cards say what is true of the files, and a file that is not what its card says is refused."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from veil.attacks import RECOGNIZERS, packaged
from veil.core.errors import UnknownName, WeightsCorrupt, WeightsMissing
from veil.weights import store
from veil.weights.cards import CARDS, Card
from veil.weights.registry import card, cards
from veil.weights.store import WeightsStore, default_store

PACKAGED = [model for model in cards().values() if model.packaged]
MEGABYTE = 2**20


@pytest.fixture
def elsewhere(tmp_path: Path) -> WeightsStore:
    """A store of two empty folders, beside the default one."""
    return WeightsStore(tmp_path, packaged_dir=tmp_path / "packaged")


@pytest.mark.parametrize("model", PACKAGED, ids=lambda model: model.name)
def test_packaged_file_is_what_its_card_says(model: Card) -> None:
    data = (store.PACKAGED / model.file).read_bytes()
    assert len(data) == model.bytes
    assert sha256(data).hexdigest() == model.sha256


def test_packaged_recognisers_stay_small() -> None:
    assert sum(card(name).bytes for name in packaged()) < 50 * MEGABYTE


def test_every_packaged_file_has_a_card_and_a_notice() -> None:
    notice = (store.PACKAGED / "NOTICE").read_text(encoding="utf-8")
    for file in store.PACKAGED.glob("*.safetensors"):
        assert file.name in {model.file for model in PACKAGED}
        assert file.name in notice


def test_every_recogniser_has_a_card() -> None:
    assert {model.name for model in cards().values() if model.kind == "recogniser"} == set(RECOGNIZERS)


def test_every_card_is_complete() -> None:
    for model in cards().values():
        assert model.kind
        assert model.licence
        assert model.training
        assert model.source.package
        assert model.shares in {"", *cards()}
        assert all(len(checksum) == 64 for checksum in model.source.files.values())
        assert len(model.sha256) == 64 * model.packaged
        assert bool(model.models) != model.packaged


def test_cards_know_no_other_fields() -> None:
    """A misspelt field stops the reading instead of being ignored."""
    fields = set(Card.__dataclass_fields__)
    assert all(set(entry) < fields for entry in tomllib.loads(CARDS.read_text(encoding="utf-8")).values())


def test_unknown_model_names_a_close_one() -> None:
    with pytest.raises(UnknownName) as caught:
        card("facers")
    assert caught.value.hint == "Did you mean faceres?"


def test_unknown_model_unlike_any_names_all() -> None:
    with pytest.raises(UnknownName) as caught:
        card("xyz")
    assert all(name in caught.value.hint for name in RECOGNIZERS)


def test_tensors_are_read_in_full_precision() -> None:
    tensors = store.load("mobileface")
    assert tensors
    assert all(tensor.dtype is torch.float32 for tensor in tensors.values())


def test_missing_file_is_told_apart(elsewhere: WeightsStore) -> None:
    with pytest.raises(WeightsMissing) as caught:
        elsewhere.path("mobileface")
    assert caught.value.hint


def test_flipped_byte_is_refused_and_a_file_that_is_mended_is_read(elsewhere: WeightsStore) -> None:
    file = elsewhere.cache_dir / "mobileface.safetensors"
    data = (store.PACKAGED / file.name).read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    file.write_bytes(flipped)
    with pytest.raises(WeightsCorrupt) as caught:
        elsewhere.load("mobileface")
    assert str(file) in caught.value.hint
    file.write_bytes(data)
    assert elsewhere.path("mobileface") == file
    assert default_store().path("mobileface").parent == store.PACKAGED


def test_two_stores_remember_for_themselves(tmp_path: Path) -> None:
    one, other = WeightsStore(tmp_path / "one"), WeightsStore(tmp_path / "other")
    one.remember("facenet", thresholds={"far1": 0.5})
    one.remember("facenet:casia-webface", bytes=7)
    one.remember("facenet:casia-webface", sha256="a" * 64)
    assert one.card("facenet").thresholds == {"far1": 0.5}
    assert list(one.cards()) == [*other.cards(), "facenet:casia-webface"]
    assert (one.card("facenet:casia-webface").bytes, one.card("facenet:casia-webface").sha256) == (
        7,
        "a" * 64,
    )
    assert not other.card("facenet").thresholds
    assert not other.cache_dir.exists()


def test_what_is_remembered_and_damaged_is_told(tmp_path: Path) -> None:
    (tmp_path / store.REMEMBERED).write_text("{", encoding="utf-8")
    with pytest.raises(WeightsCorrupt, match="cards.json is damaged"):
        WeightsStore(tmp_path).cards()


def test_the_environment_chooses_the_default_store_of_workers_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(store.ENVIRONMENT, str(tmp_path))
    assert default_store() == WeightsStore(tmp_path)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(default_store).result() == WeightsStore(tmp_path)
    monkeypatch.delenv(store.ENVIRONMENT)
    assert default_store() == WeightsStore(Path.home() / ".cache" / "veil")


def test_listing_models_imports_no_torch() -> None:
    code = (
        "import sys, veil.weights.registry as r, veil.weights.store; print(*r.cards());"
        "sys.exit('torch' in sys.modules or 'pydantic' in sys.modules)"
    )
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == list(cards())
