"""The engine on a real GPU; elsewhere these tests are skipped, and say so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from veil.attacks import recognizer
from veil.attacks.faces.detection import find_faces
from veil.core.images import to_tensor
from veil.core.progress import finish
from veil.core.types import Photo, tracks_of
from veil.privacy import protect
from veil.privacy.settings import settings

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here that torch can use"),
]
DEVICE = "cuda"


@pytest.mark.parametrize("method", ["veil", "pgd"])
def test_a_face_is_protected_on_a_gpu(method: str) -> None:
    photo = Photo(astronaut(), "astronaut.png")
    face = find_faces(photo.pixels)[0]
    chosen = settings("strong", method=method, surrogates=("mobileface",), steps=20, device=DEVICE)
    after = finish(protect(tracks_of(photo, [face]), chosen)).photo.pixels
    judge = recognizer("mobileface")
    one, other = (judge.embed(judge.align(to_tensor(pixels), face)) for pixels in (photo.pixels, after))
    assert float(one @ other.T) < 0.6  # 1 where nothing changed
    assert np.array_equal(after[-50:], photo.pixels[-50:])  # far below the face
