"""Make the README's picture: scikit-image's astronaut before, protected with the defaults, and the change.

python scripts/readme_picture.py
"""

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

from pathlib import Path

import numpy as np
from PIL import Image
from skimage.data import astronaut

from veil.attacks.faces.detection import find_faces
from veil.core.progress import finish
from veil.core.types import Photo, tracks_of
from veil.privacy import protect
from veil.privacy.settings import settings

AMPLIFIED = 5
SIDE = 420  # pixels of each of the three pictures


def main() -> None:
    """Protect, crop around the face, and write the three pictures side by side."""
    photo = Photo(astronaut(), "astronaut.png")
    face = find_faces(photo.pixels)[0]
    after = finish(protect(tracks_of(photo, [face]), settings())).photo.pixels
    change = np.clip((after.astype(float) - photo.pixels) * AMPLIFIED + 128, 0, 255).astype(np.uint8)
    middle, reach = face.box.reshape(2, 2).mean(0), 1.05 * face.side
    box = tuple(np.concatenate([middle - reach, middle + reach]).round().astype(int).clip(0).tolist())
    parts = [Image.fromarray(p).crop(box).resize((SIDE, SIDE)) for p in (photo.pixels, after, change)]
    picture = Image.new("RGB", (3 * SIDE, SIDE))
    for place, part in enumerate(parts):
        picture.paste(part, (place * SIDE, 0))
    file = Path(__file__).parents[1] / "docs" / "astronaut.jpg"
    file.parent.mkdir(exist_ok=True)
    picture.save(file, quality=92)
    print(file)


if __name__ == "__main__":
    main()
