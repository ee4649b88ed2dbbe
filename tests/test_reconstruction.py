"""The method without an attack: every face is rebuilt, stays the person, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from veil.attacks import recognizer
from veil.attacks.faces.detection import find_faces
from veil.core.images import to_tensor
from veil.core.progress import WithResult
from veil.core.types import Photo, tracks_of
from veil.privacy import protect
from veil.privacy.settings import settings
from veil.weights.registry import card


@pytest.mark.slow
def test_faces_are_rebuilt_and_nothing_else() -> None:
    person = Image.fromarray(astronaut()[:300, 80:360])
    pair = np.hstack([np.asarray(person), np.asarray(person.transpose(Image.Transpose.FLIP_LEFT_RIGHT))])
    photo = Photo(pair, "pair.png")
    faces = find_faces(pair)
    assert len(faces) == 2
    run = WithResult(protect(tracks_of(photo, faces), settings(method="reconstruction", embedding_steps=1)))
    assert [(step.done, step.total) for step in run] == [(1, 2), (2, 2)]
    after = run.result.photo.pixels
    judge = recognizer("mobilefacenet")
    for face in faces:
        left, top, right, bottom = face.box.round().astype(int)
        assert not np.array_equal(after[top:bottom, left:right], pair[top:bottom, left:right])
        before, rebuilt = (judge.embed(judge.align(to_tensor(pixels), face)) for pixels in (pair, after))
        assert float(before @ rebuilt.T) > card(judge.name).thresholds["far1"]
    assert np.array_equal(after[-40:], pair[-40:])  # below both crops
