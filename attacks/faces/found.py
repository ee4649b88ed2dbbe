"""What a search of a photo gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...core.types import Face

SMALLEST = 32.0  # pixels: the shorter side of a face that is worth protecting


# why something that was found is not protected; the last two where one person was asked for
Reason = Literal["too small", "taken for no face", "not chosen", "another person", "spared"]


@dataclass(frozen=True)
class Found:
    """What a search of a photo gave, each the largest first.

    faces: what two detectors take for a face.
    doubtful: what only one of them does: a pattern, most often.
    """

    faces: list[Face]
    doubtful: list[Face]

    @property
    def numbered(self) -> dict[int, Face]:
        """All of them by number, from 1, those that are doubtful last."""
        return dict(enumerate((*self.faces, *self.doubtful), 1))

    @property
    def protectable(self) -> list[int]:
        """The numbers of those that are protected where nobody chooses: faces that are large enough."""
        return [number for number, face in enumerate(self.faces, 1) if face.side >= SMALLEST]

    def reason(self, number: int) -> Reason:
        """Why a face that is not protected is not."""
        if number in self.protectable:
            return "not chosen"
        return "too small" if self.numbered[number].side < SMALLEST else "taken for no face"
