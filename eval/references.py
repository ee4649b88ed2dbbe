"""What recognisers make of a protected face and other photos of the person, by which it was protected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from ..attacks.faces.sampling import cut_around
from ..core.types import Sighting
from .verification import Match, embedding, match


class References(BaseModel):
    """What recognisers make of a face and other photos of the person.

    photos: their names. matches: before and after are the cosines to the photo that is most like the face.
    """

    model_config = ConfigDict(frozen=True)

    photos: tuple[str, ...]
    matches: tuple[Match, ...]

    @property
    def words(self) -> str:
        """How many recognisers that the protection has never met, and that matched the face with one of the
        photos before, still do."""
        several = len(self.photos) > 1
        photos = f"the {len(self.photos)} other photos of you" if several else "the other photo of you"
        what = "it with one of them" if several else "the two"
        judges = [found for found in self.matches if found.used_by_attack == "no" and found.recognised]
        if not judges:
            return f"{photos}: no recogniser that the protection has never met matched {what} even before."
        still, met = sum(found.still_recognised for found in judges), "that the protection has never met"
        if len(judges) == 1:
            return f"{photos}: the one recogniser {met} {'still' if still else 'no longer'} matches {what}."
        return (
            f"{photos}: {still} of {len(judges)} recognisers {met} still match{'es' * (still == 1)} {what}."
        )


def compare(
    references: Sequence[Sighting],
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    surrogates: frozenset[str],
) -> References | None:
    """Compare what recognisers see of a face before and after, vectors (D,), with other photos of the person;
    None where there are none."""
    if not references:
        return None
    pairs = [cut_around((one.frame.pixels,), (one.face,)) for one in references]
    return References(
        photos=tuple(one.frame.name for one in references),
        matches=tuple(
            match(
                name,
                before[name],
                after[name],
                torch.stack([embedding(name, image, face) for (image,), (face,) in pairs]),
                surrogates,
            )
            for name in before
        ),
    )


def in_words(faces: Iterable[tuple[int, References | None]]) -> list[str]:
    """What is made of faces, by number, and other photos, where such counted, a sentence each."""
    return [f"Face {number} against {found.words}" for number, found in faces if found]
