"""A method of one's own: a mosaic over the face. It hides the person from people, too, as the report says.

In the repository a method is one file in `privacy/` and one line in `privacy.METHODS`; then `veil benchmark`
compares it with all others, at equal likeness if you like.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from skimage.data import astronaut

import veil
from veil.attacks.faces.boxes import clipped
from veil.core.progress import finish
from veil.core.types import Sighting, Stage, Step, Steps, Track, tracks_of
from veil.privacy import Protected
from veil.privacy.settings import Settings, settings

CELLS = 12  # a side of the face's box


def mosaic(tracks: Sequence[Track], settings: Settings, target: Sighting | None = None) -> Steps[Protected]:
    """Protect people: see `veil.privacy.Method`. In a photo a track is one face, seen once."""
    sightings = [sighting for track in tracks for sighting in track.sightings]
    frames = {sighting.frame: sighting.frame.pixels.copy() for sighting in sightings}
    for number, sighting in enumerate(sightings, 1):
        pixels = frames[sighting.frame]
        left, top, right, bottom = clipped(sighting.face.box, sighting.frame.size)
        part = Image.fromarray(pixels[top:bottom, left:right])
        cells = part.resize((CELLS, CELLS), Image.Resampling.BOX)
        pixels[top:bottom, left:right] = np.asarray(cells.resize(part.size, Image.Resampling.NEAREST))
        yield Step(Stage.PROTECTING, number, len(sightings))
    changed = tuple(frame.with_pixels(pixels) for frame, pixels in frames.items())
    return Protected(changed, tuple(tracks), ({},) * len(tracks), settings)


photo = veil.open_photo(astronaut())
result = finish(mosaic(tracks_of(photo, veil.find_faces(photo)), settings()))
(face,) = veil.assess(photo, result.photo, surrogates=()).faces
print(f"likeness {face.likeness:.2f} (1: nothing changed), naturalness {face.naturalness:.2f}")
for match in face.matches:
    print(f"{match.recognizer}: {match.after:.2f}, threshold {match.threshold:.2f}")
