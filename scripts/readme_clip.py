"""Make the README's strip: pictures of a clip of scikit-image's astronaut, who sways, before and protected.

python scripts/readme_clip.py [STRENGTH]
"""

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

import math
import sys
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from PIL import Image
from skimage.data import astronaut

import veil

LENGTH, RATE = 30, 30
SHOWN = (0, 8, 15, 22)  # of the pictures
SIDE = 320


def swaying(number: int) -> Image.Image:
    """A picture of the clip: the portrait turned, moved and scaled, as the number says."""
    phase = 2 * math.pi * number / LENGTH
    turn, scale = math.radians(9 * math.sin(phase)), 0.9 - 0.1 * math.cos(phase)
    a, b = scale * math.cos(turn), scale * math.sin(turn)
    x, y = 305 + 12 * math.sin(phase), 205.0  # the middle of the face, in the picture with its margin
    middle = SIDE / 2
    place = (a, -b, x - a * middle + b * middle, b, a, y - b * middle - a * middle)
    picture = Image.fromarray(np.pad(astronaut(), ((80, 80), (80, 80), (0, 0)), mode="edge"))
    return picture.transform((SIDE, SIDE), Image.Transform.AFFINE, place, Image.Resampling.BICUBIC)


def main(strength: str = "balanced") -> None:
    """Write the clip, protect it, and put pictures of both, one above the other, into docs/clip.jpg."""
    strip = Image.new("RGB", (len(SHOWN) * SIDE, 2 * SIDE))
    with TemporaryDirectory() as folder:
        path = Path(folder, "astronaut.mp4")
        with av.open(str(path), "w") as container:
            stream = container.add_stream("h264", rate=RATE, options={"crf": "12"})
            stream.width = stream.height = SIDE
            stream.pix_fmt = "yuv420p"
            for number in range(LENGTH):
                container.mux(stream.encode(av.VideoFrame.from_image(swaying(number))))
            container.mux(stream.encode())
        result = veil.protect(path, strength=strength)
        print(result)
        for row, clip in enumerate((result.before, result.clip)):
            for number, pixels in islice(clip.frames(), LENGTH):
                if number in SHOWN:
                    strip.paste(Image.fromarray(pixels), (SHOWN.index(number) * SIDE, row * SIDE))
    strip.save(file := Path(__file__).parents[1] / "docs" / "clip.jpg", quality=90)
    print(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
