"""`assess`: what recognisers and eyes make of a photo before and after its protection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, computed_field
from torch import Tensor

from ..attacks import packaged
from ..attacks.faces.boxes import clipped
from ..attacks.faces.detection import find_faces, largest_face
from ..attacks.faces.found import Reason
from ..attacks.faces.sampling import cut_around
from ..core.errors import BadPhoto, NoFace
from ..core.images import to_tensor
from ..core.types import Face, Photo, Sighting
from . import FACE_MEASURES, METRICS, SEEN_BY_PEOPLE
from .behaviour import Behaviour, compare_photos
from .behaviour.page import sentence
from .detectors import same_place
from .references import References, compare, in_words
from .verification import Match, embedding, match


class Headline(BaseModel):
    """Of `judges` recognisers that the attack did not know and that knew a face, `fooled` no longer do."""

    model_config = ConfigDict(frozen=True)

    fooled: int
    judges: int


class FaceReport(BaseModel):
    """The verdict on one face: its number (1 is the largest) and box (x0, y0, x1, y1) in the photo before.

    found: whether a face was found there afterwards. Where none was, the recognisers judge the place where
    it had been, since an adversary may have a better detector.
    limited: whether, by its own account, the protection was not allowed to change it enough.
    unfinished: whether, by its own account, the protection ended before it had changed it enough.
    likeness, naturalness: how far people still see the person, and an untouched photo: 1 for no change
        (`eval.metrics`); None in reports of before.
    quality: each metric over the box.
    behaviour: what the person expresses, beside the photo before as JPEG; None in reports of before.
    references: what is made of it and other photos of the person; None where none counted for it.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    box: tuple[int, int, int, int]
    found: bool
    limited: bool = False
    unfinished: bool = False
    likeness: float | None = None
    naturalness: float | None = None
    quality: dict[str, float]
    behaviour: Behaviour | None = None
    matches: tuple[Match, ...]
    references: References | None = None


class Unprotected(BaseModel):
    """A face, by number and box as in `FaceReport`, that stayed as it was, and why.

    "taken for no face": only one of two detectors took it for one.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    box: tuple[int, int, int, int]
    reason: Reason


class Report(BaseModel):
    """The verdict on a protected photo.

    size: of the photo, (width, height) in pixels.
    unprotected: what was found and left as it was.
    other_photo: whether the faces were compared with another photo of the person.
    changed: the share of the pixels that changed.
    quality: each metric over the whole photo.
    """

    model_config = ConfigDict(frozen=True)

    size: tuple[int, int]
    unprotected: tuple[Unprotected, ...] = ()
    other_photo: bool
    changed: float
    quality: dict[str, float]
    faces: tuple[FaceReport, ...]

    @computed_field
    @property
    def headline(self) -> Headline | None:
        """The honest count over all faces; None where no recogniser is left to be counted."""
        matches = [match for face in self.faces for match in face.matches]
        fair = [match for match in matches if match.used_by_attack == "no" and match.recognised]
        if not fair:
            return None
        return Headline(fooled=sum(not match.still_recognised for match in fair), judges=len(fair))

    def expressed(self) -> list[str]:
        """A sentence on what each person still expresses, of those of whom that is known."""
        several = len(self.faces) > 1
        known = ((face.behaviour, f" of face {face.number}" * several) for face in self.faces)
        return [sentence(behaviour, whose) for behaviour, whose in known if behaviour and behaviour.read]

    def beside_references(self) -> list[str]:
        """A sentence on what is made of each face and other photos of the person, where such counted."""
        return in_words((face.number, face.references) for face in self.faces)


def assess(
    before: Photo,
    after: Photo,
    *,
    surrogates: frozenset[str] = frozenset(),
    recognizers: Iterable[str] | None = None,
    probe: Photo | None = None,
    faces: Mapping[int, Face] | None = None,
    limited: Collection[int] = (),
    unprotected: Sequence[Unprotected] = (),
    unfinished: Collection[int] = (),
    references: Mapping[int, Sequence[Sighting]] | None = None,
) -> Report:
    """Judge a protected photo; its faces are found afresh, and paired by position with those before.

    With `probe`, another photo of the person (its largest face), "before" and "after" are the cosines of the
    two photos to the probe. Without, they are compared with the photo before itself, so that "before" is 1.

    Args:
        surrogates: the recognisers that the attack used.
        recognizers: who judges; by default all that are packaged.
        faces: those of `before` that are judged, by number, 1 being the largest; by default all are found.
        limited, unfinished: which of them the protection says it was not allowed to change as much as it
            wanted, or had not the time to.
        unprotected: what was found beside them and left as it was.
        references: other photos of the person, by the number of the face, by which it was protected.

    Raises:
        NoFace: no face in `before` or `probe`.
        BadPhoto: the two photos differ in size.
        UnknownName, WeightsMissing, WeightsCorrupt: as `attacks.recognizer` does.
    """
    if before.size != after.size:
        sizes = " and ".join(f"{wide}x{high}" for wide, high in (before.size, after.size))
        raise BadPhoto(f"The two photos differ in size: {sizes}.", "Give the photo that was protected.")
    names = tuple(recognizers or packaged())
    person = _person(names, probe) if probe else {}
    faces = faces or dict(enumerate(find_faces(before.pixels), 1))
    if not faces:
        raise NoFace("No face was found in the photo before.", "Only photos that show a face can be judged.")
    found = find_faces(after.pixels)

    def judge(number: int, face: Face) -> FaceReport:
        again = same_place(face, found)
        images, places = cut_around((before.pixels, after.pixels), (face, again or face))
        left, top, right, bottom = clipped(places[0].box, (images[0].shape[-1], images[0].shape[-2]))
        old, new = (
            {name: embedding(name, image, place) for name in names}
            for image, place in zip(images, places, strict=True)
        )
        return FaceReport(
            number=number,
            box=clipped(face.box, before.size),
            found=again is not None,
            limited=number in limited,
            unfinished=number in unfinished,
            **{
                name: round(float(FACE_MEASURES[name](images[0], images[1], places[0])), 4)
                for name in SEEN_BY_PEOPLE
            },
            quality=_quality(*(image[..., top:bottom, left:right] for image in images)),
            behaviour=compare_photos(before.pixels, after.pixels, face),
            matches=tuple(
                match(name, old[name], new[name], person.get(name, old[name])[None], surrogates)
                for name in names
            ),
            references=compare((references or {}).get(number, ()), old, new, surrogates),
        )

    return Report(
        size=before.size,
        unprotected=tuple(unprotected),
        other_photo=probe is not None,
        changed=round(float(np.any(before.pixels != after.pixels, axis=-1).mean()), 4),
        quality=_quality(*(torch.tensor(photo.pixels).permute(2, 0, 1)[None] for photo in (before, after))),
        faces=tuple(judge(number, face) for number, face in faces.items()),
    )


def _person(names: Iterable[str], probe: Photo) -> dict[str, Tensor]:
    """How each recogniser sees the person of another photo."""
    face = largest_face(probe.pixels)
    return {name: embedding(name, to_tensor(probe.pixels), face) for name in names}


def _quality(before: Tensor, after: Tensor) -> dict[str, float]:
    return {name: round(float(METRICS[name](before, after)), 4) for name in METRICS}
