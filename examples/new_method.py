"""A method of one's own: a mosaic over the face. It hides the person from people, too, as the report says.

In the repository a method is one file in `privacy/` and one line in `privacy.METHODS`; then `veil benchmark`
compares it with all others, at equal likeness if you like.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from skimage.data import astronaut

import veil
from veil.core.progress import finish
from veil.core.types import Face, Photo, Step, Steps
from veil.privacy import Protected
from veil.privacy.settings import Settings, settings

CELLS = 12  # a side of the face's box


def mosaic(
    photo: Photo, faces: Sequence[Face], settings: Settings, target: tuple[Photo, Face] | None = None
) -> Steps[Protected]:
    """Protect faces: see `veil.privacy.Method`."""
    pixels = photo.pixels.copy()
    for number, face in enumerate(faces, 1):
        left, top, right, bottom = face.clipped_box(photo.size)
        part = Image.fromarray(pixels[top:bottom, left:right])
        cells = part.resize((CELLS, CELLS), Image.Resampling.BOX)
        pixels[top:bottom, left:right] = np.asarray(cells.resize(part.size, Image.Resampling.NEAREST))
        yield Step("protecting", number, len(faces))
    return Protected(photo.with_pixels(pixels), tuple(faces), ({},) * len(faces), settings)


photo = veil.open_photo(astronaut())
result = finish(mosaic(photo, veil.find_faces(photo), settings()))
(face,) = veil.assess(photo, result.photo, surrogates=()).faces
print(f"likeness {face.likeness:.2f} (1: nothing changed), naturalness {face.naturalness:.2f}")
for match in face.matches:
    print(f"{match.recognizer}: {match.after:.2f}, threshold {match.threshold:.2f}")
