"""The engine on a real GPU; elsewhere these tests are skipped, and say so."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from veil.attacks import recognizer
from veil.attacks.faces.detection import find_faces
from veil.core.images import to_tensor
from veil.core.progress import finish
from veil.core.types import Photo, tracks_of
from veil.eval.metrics.psnr import psnr
from veil.privacy import protect
from veil.privacy.priors import prior
from veil.privacy.settings import settings

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here that torch can use"),
]
DEVICE = "cuda"
SCRIPTS = Path(__file__).parents[1] / "scripts"


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


def test_faces_together_are_protected_as_on_the_cpu() -> None:
    """Two people in photos of their own, who go through prior and recognisers together."""
    portraits = [np.ascontiguousarray(pixels) for pixels in (astronaut(), astronaut()[:300, 40:400, :])]
    photos = [Photo(pixels, "astronaut.png") for pixels in portraits]
    tracks = [track for photo in photos for track in tracks_of(photo, find_faces(photo.pixels)[:1])]
    few = {"surrogates": ("mobileface", "dlib"), "steps": 10}
    there = finish(protect(tracks, settings(device=DEVICE, **few)))
    for track, photo, cosines in zip(tracks, there.frames, there.similarity, strict=True):
        here = finish(protect([track], settings(**few)))
        assert float(psnr(to_tensor(here.photo.pixels), to_tensor(photo.pixels))) > 45
        assert cosines == pytest.approx(here.similarity[0], abs=0.03)


def test_a_search_crosses_over_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the counter of the visit, on the real device; `test_placement` has it on one that is made up."""
    monkeypatch.syspath_prepend(SCRIPTS)
    visit = importlib.import_module("gpu_sections")
    work = visit.optimisation(visit.Visit(DEVICE), prior("portrait", None, DEVICE), 2)
    with visit.Crossings() as crossings:
        for _ in range(5):
            work.advance()
    back = {place: count for place, count in crossings.places.items() if not place.startswith("cpu to")}
    assert sum(back.values()) <= 5
    assert all("Optimisation.advance" in place for place in back)
