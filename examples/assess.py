"""Judge any two photos, whoever changed the second one: here, what a JPEG of low quality hides (nothing).

python examples/assess.py [BEFORE AFTER [ANOTHER_PHOTO_OF_THE_PERSON]]
"""

import sys
from io import BytesIO

from PIL import Image
from skimage.data import astronaut

import veil

if len(sys.argv) > 2:
    before, after, *probe = sys.argv[1:]
else:
    Image.fromarray(astronaut()).save(file := BytesIO(), "JPEG", quality=20)
    before, after, probe = astronaut(), Image.open(file), []
report = veil.assess(before, after, *probe)
for face in report.faces:
    known = sum(match.still_recognised for match in face.matches)
    print(
        f"Face {face.number} at {face.box}: likeness {face.likeness:.3f}, naturalness {face.naturalness:.3f}"
    )
    print(f"  {known} of {len(face.matches)} recognisers still know it")
