"""Whether a face is that of a person whom reference photos show: the five strongest recognisers vote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ..core.errors import BadPhoto, NoFace
from ..core.types import Face, Photo, Pixels
from ..weights.registry import card
from . import recognizer
from .ensemble import person_embedding
from .faces.detection import search
from .faces.found import SMALLEST
from .faces.sampling import cut_around

Verdict = Literal["same", "doubtful", "other"]
Vectors: TypeAlias = dict[str, Tensor]  # by recogniser

# Packaged, and no two of one trunk; the weaker mobileface and faceres-deep would add doubt.
VOTERS = ("dlib", "mobilefacenet", "faceres", "faceplugin", "sface")
# The bounds of `Person.similarity`, set on Labeled Faces in the Wild: 1 and 0.02 % of strangers lie above
# them, as scripts/measure_choice.py measures.
OTHER = 2.0  # below, it is surely another person
SAME = 3.0  # from here on, it is surely the person
# Mean cosines of the voters from which on a photo shows nearly the same picture again. Of 40 people of
# celebahq_pairs from the 200th on, the two photos reach .47 to .93 (one that is there twice .99); copies that
# are compressed, halved, cropped, mirrored, darker or warmer .94 to .997, and grey ones .92 to .98.
NEARLY = 0.94


class Person:
    """Somebody who is known by reference photos, each of which shows nobody else.

    Raises:
        NoFace, BadPhoto: a photo shows no face, or none that is large enough; or several.
        WeightsMissing, WeightsCorrupt: as `attacks.recognizer` does.
    """

    def __init__(self, references: Sequence[Photo]) -> None:
        seen = [vectors(photo.pixels, only_face(photo)) for photo in references]
        self.known = {name: torch.stack([one[name] for one in seen]) for name in seen[0]}

    def similarity(self, pixels: Pixels, face: Face) -> float:
        """How like the person a face of a photo (H, W, 3) is: what `vote` says of the reference photo that it
        is most like."""
        return float(vote(self.known, vectors(pixels, face)).max())

    def verdict(self, pixels: Pixels, face: Face) -> Verdict:
        """Whether a face is the person's; "doubtful" where the vote does not tell."""
        similarity = self.similarity(pixels, face)
        if similarity < OTHER:
            return "other"
        return "same" if similarity >= SAME else "doubtful"


def only_face(photo: Photo) -> Face:
    """The face of a photo that shows one person.

    Raises:
        NoFace: it shows none, or none that is large enough.
        BadPhoto: it shows several.
    """
    faces = search(photo.pixels).faces
    if not faces or faces[0].side < SMALLEST:
        raise NoFace(
            f"No face of {SMALLEST:.0f} pixels or more was found in the reference photo {photo.name}.",
            "Give one that shows the person larger, upright and in good light.",
        )
    if len(faces) > 1:
        raise BadPhoto(
            f"The reference photo {photo.name} shows {len(faces)} faces: whose is meant?",
            "Cut it so that nobody but the person is left, or give another one.",
        )
    return faces[0]


@torch.no_grad()
def vectors(pixels: Pixels, face: Face) -> Vectors:
    """The unit vectors (D,) that the recognisers give a face of a photo (H, W, 3)."""
    (image,), (there,) = cut_around((pixels,), (face,))
    return {name: person_embedding(recognizer(name), [(image, there)]) for name in VOTERS}


def nearly_same(known: Vectors, person: Vectors) -> bool:
    """Whether two faces are of nearly the same picture."""
    cosines = [float(vector @ person[name]) for name, vector in known.items()]
    return sum(cosines) / len(cosines) >= NEARLY


def vote(known: Vectors, shown: Vectors) -> Tensor:
    """How like known faces (N, D) a face (D,), or faces (D, M), are: (N,) or (N, M).

    The mean over recognisers of the cosine, in standard deviations of strangers' cosines above their mean.
    """
    lies = list[Tensor]()
    for name, vector in shown.items():
        mean, spread = card(name).strangers
        lies.append((known[name] @ vector - mean) / spread)
    return torch.stack(lies).mean(0)
