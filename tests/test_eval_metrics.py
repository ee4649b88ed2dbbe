"""F-Sim agrees with a direct computation; LPIPS says what it lacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from veil.attacks import recognizer
from veil.attacks.faces import find_faces
from veil.core.errors import WeightsMissing
from veil.core.images import to_tensor
from veil.core.types import Face
from veil.eval.metrics.fsim import fsim, share
from veil.eval.metrics.lpips import _network, lpips

NAME = "mobileface"


def test_fsim_agrees_with_a_direct_computation() -> None:
    model = recognizer(NAME)
    pairs: list[tuple[torch.Tensor, torch.Tensor, Face]] = []
    expected: dict[int, list[float]] = {}
    for side in (512, 300, 420):
        original = to_tensor(astronaut()[:side, : max(side, 300)])
        changed = (
            original + 0.1 * torch.randn(original.shape, generator=torch.Generator().manual_seed(1))
        ).clamp(0, 1)
        (face, *_) = find_faces((255 * original[0]).byte().permute(1, 2, 0).numpy())
        pairs.append((original, changed, face))
        with torch.no_grad():
            one, other = (model.embed(model.align(image, face)) for image in (original, changed))
        place = int(share(original, face) >= 0.25) + int(share(original, face) >= 0.35)
        expected.setdefault(place, []).append(float((one * other).sum()))
    value, means = fsim(NAME, pairs, (0.0, 0.25, 0.35, 1.0))
    assert len(expected) > 1
    assert value == pytest.approx(np.mean([np.mean(part) for part in expected.values()]), abs=1e-5)
    for place, part in expected.items():
        assert means[place] == pytest.approx(np.mean(part), abs=1e-5)
    assert sum(np.isnan(means)) == 3 - len(expected)


def test_a_perfect_reconstruction_has_an_fsim_of_one() -> None:
    image = to_tensor(astronaut())
    assert fsim(NAME, [(image, image, find_faces(astronaut())[0])])[0] == pytest.approx(1, abs=1e-5)


def test_lpips_says_which_weights_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _network.cache_clear()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(WeightsMissing, match="vgg16"):
        lpips(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64))
