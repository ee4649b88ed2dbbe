"""What the whole picture says beside the face: how bright and how colourful it is."""

from __future__ import annotations

from collections.abc import Sequence

from .curves import error
from .figures import Measured, measure
from .reading import Reading


@measure("scene", "light and colours")
def scene(before: Reading, after: Reading) -> Sequence[Measured]:
    """How far brightness and colourfulness have moved, over the frames."""
    return [
        Measured("brightness moved", error(before.brightness, after.brightness), "of 255", "lower"),
        Measured("colourfulness moved", error(before.colourfulness, after.colourfulness), "of 255", "lower"),
    ]
