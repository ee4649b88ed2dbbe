"""Download models that are not packaged, on request only and after their licence was accepted.

Each is fetched by its own library and kept as one file in the cache folder, whose checksum is noted there;
Stable Diffusion goes to the hub's own cache, which others share.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import redirect_stdout
from hashlib import sha256
from io import StringIO
from pathlib import Path
from socket import gaierror
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError, URLError

from ..core.errors import BadSettings, LicenceNotAccepted, VeilError, WeightsMissing
from ..core.extras import needs
from ..core.files import atomic_write
from .cards import Card
from .store import WeightsStore, default_store

SNAPSHOT_FILES = (  # of a Stable Diffusion: what the prior reads, in the format that cannot hold code
    *("model_index.json", "scheduler/*.json", "tokenizer/*.json", "tokenizer/*.txt"),
    *("text_encoder/config.json", "text_encoder/model.safetensors"),
    *(
        f"{part}/{file}"
        for part in ("unet", "vae")
        for file in ("config.json", "diffusion_pytorch_model.safetensors")
    ),
)
PACK_FILES = {  # an InsightFace pack -> the file in it that is its recogniser
    "buffalo_l": "w600k_r50.onnx",
    "buffalo_s": "w600k_mbf.onnx",
    "antelopev2": "glintr100.onnx",
}


def fetch(name: str, accept_licence: bool = False, store: WeightsStore | None = None) -> Path:
    """Download a model and return where it lies.

    Args:
        accept_licence: whether the user has accepted the licence of its card.
        store: where its file is kept; the default store where none is given.

    Raises:
        UnknownName: no model has this name.
        BadSettings: it is packaged, is a folder, or needs an extra that is not installed.
        LicenceNotAccepted: the message states the licence.
        WeightsMissing: it could not be downloaded.
    """
    store = store or default_store()
    model = store.card(name)
    if model.packaged:
        raise BadSettings(f"{model.name} comes with veil: there is nothing to fetch.")
    if not accept_licence:
        raise LicenceNotAccepted(
            f"{model.name} has this licence: {model.licence}.",
            f"If you accept it: `veil fetch {model.name} --accept-licence`.",
        )
    try:
        if not model.file:
            _download_snapshot(model.model)
        else:
            _download_file(model, store)
        return store.path(model.name)
    except VeilError:
        raise
    except Exception as error:  # each library has its own errors for what a network can do
        raise WeightsMissing(
            f"{model.name} could not be downloaded: {_because(error)}.",
            "Check its name and the network, and try again.",
        ) from error


def _because(error: BaseException) -> str:
    """Why a download failed, in plain words where they are known."""
    one: BaseException | None = error
    while one:  # libraries wrap what the network did
        if isinstance(one, HTTPError):
            return f"its server answers {one.code} ({one.reason})"
        if isinstance(one, URLError | gaierror | ConnectionError | TimeoutError):
            return "its server cannot be reached"
        one = one.__cause__ or one.__context__
    return str(error).rstrip(".") or type(error).__name__


def _download_file(model: Card, store: WeightsStore) -> None:
    """Save a model as the file of its card in the cache folder, and remember its checksum."""
    file = store.cache_dir / model.file
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file, replace=True) as (part,):
        FETCHERS[model.name.partition(":")[0]](model.model, part)
        data = part.read_bytes()
    checksum = sha256(data).hexdigest()
    known = model.thresholds if checksum == model.sha256 else {}  # other weights, other thresholds
    store.remember(model.name, file=model.file, sha256=checksum, bytes=len(data), thresholds=dict(known))


def _download_snapshot(hub_id: str) -> None:
    """Download the parts of a Stable Diffusion that the prior reads into the hub's own cache."""
    from huggingface_hub import snapshot_download

    if Path(hub_id).expanduser().is_dir():
        raise BadSettings(f"{hub_id} is a folder: there is nothing to fetch.")
    snapshot_download(hub_id, allow_patterns=list(SNAPSHOT_FILES))


def _facenet(model: str, file: Path) -> None:
    from facenet_pytorch import InceptionResnetV1
    from safetensors.torch import save_file

    tensors = InceptionResnetV1(pretrained=model).state_dict()
    save_file({key: tensor for key, tensor in tensors.items() if not key.startswith("logits")}, file)


def _frbench(model: str, file: Path) -> None:
    with needs("recognizers"):
        import yaml
        from frbench import configure_scoped, get_asset
    import torch
    from safetensors.torch import save_file

    logging.getLogger("frbench").setLevel(logging.WARNING)  # its bar shows how far it is
    with TemporaryDirectory() as folder, configure_scoped(cache=folder, update_check=False):
        asset: dict[str, Any] = get_asset(model)
        config, weights = (Path(asset["path"]) / asset["contents"][part] for part in ("config", "weight"))
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
        tensors = torch.load(weights, map_location="cpu", weights_only=True)
    save_file(
        {key: tensor.clone().contiguous() for key, tensor in tensors.items()},
        file,
        {"config": json.dumps(settings)},
    )


def _insightface(model: str, file: Path) -> None:
    with needs("recognizers"):
        from insightface.utils import storage

    with TemporaryDirectory() as folder, redirect_stdout(StringIO()):  # it prints where it stores what
        pack = Path(storage.download("models", model, root=folder))
        (found,) = pack.rglob(PACK_FILES[model])  # one pack holds a folder of its own name
        file.write_bytes(found.read_bytes())


FETCHERS: dict[str, Callable[[str, Path], None]] = {
    "facenet": _facenet,
    "frbench": _frbench,
    "insightface": _insightface,
}
