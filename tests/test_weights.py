"""The cards say what is true of the files, and a file that is not what its card says is refused."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from veil.attacks import RECOGNIZERS, packaged
from veil.core.errors import UnknownName, WeightsCorrupt, WeightsMissing
from veil.weights import registry, store
from veil.weights.registry import CARDS, card, cards

PACKAGED = [model for model in cards().values() if model.packaged]
MEGABYTE = 2**20


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which files are looked for."""
    monkeypatch.setattr(registry, "folders", [tmp_path / "packaged", tmp_path])
    return tmp_path


@pytest.mark.parametrize("model", PACKAGED, ids=lambda model: model.name)
def test_packaged_file_is_what_its_card_says(model: store.Card) -> None:
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
    fields = set(store.Card.__dataclass_fields__)
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


def test_missing_file_is_told_apart(elsewhere: Path) -> None:
    with pytest.raises(WeightsMissing) as caught:
        store.path("mobileface")
    assert caught.value.hint


def test_flipped_byte_is_refused(elsewhere: Path) -> None:
    data = bytearray((store.PACKAGED / "mobileface.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (elsewhere / "mobileface.safetensors").write_bytes(data)
    with pytest.raises(WeightsCorrupt) as caught:
        store.load("mobileface")
    assert str(elsewhere) in caught.value.hint


def test_cache_folder_is_used(elsewhere: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("cache")
    (folder / "mobileface.safetensors").symlink_to(store.PACKAGED / "mobileface.safetensors")
    store.use_cache(folder)
    assert store.path("mobileface").parent == folder


def test_listing_models_imports_no_torch() -> None:
    code = (
        "import sys, veil.weights.registry as r, veil.weights.store; print(*r.cards());"
        "sys.exit('torch' in sys.modules or 'pydantic' in sys.modules)"
    )
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == list(cards())
