"""What is written beside a protected clip, and what is read from it again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from ..attacks.faces.found import Reason
from ..attacks.faces.tracks import MeshTrack
from ..core.types import Face
from ..eval.behaviour import Behaviour
from ..eval.datasets import checksum
from ..eval.references import References
from ..eval.tracks import Flicker, TrackMatch
from ..privacy.settings import Settings
from .limits import CLIP_LIMITS
from .records import SCHEMA, Files, Shortfall, check_made_so, left_behind, that_count

Span: TypeAlias = tuple[float, float]  # from when to when, in seconds from the first picture


class ClipOrigin(BaseModel):
    """What decides a result beside its settings: the clip, how it is written, and whose faces are meant.

    clip, people, probe: checksums of files.
    album: whether it is kept apart from what was protected of its album before it.
    """

    model_config = ConfigDict(frozen=True)

    clip: str
    crf: int | None = None
    codec: str | None = None
    numbers: tuple[int, ...] = ()
    people: Files = ()
    spare: bool = False
    probe: str = ""
    album: bool = False
    references: Files = ()


class Best(BaseModel):
    """A picture of a clip, by number, and where it shows a face, in pixels: as `core.types.Face`."""

    model_config = ConfigDict(frozen=True)

    picture: int
    box: tuple[float, float, float, float]
    points: tuple[tuple[float, float], ...]
    turn: int = 0

    @classmethod
    def of(cls, track: MeshTrack) -> Best:
        """The picture that shows the face of a track best."""
        face = track.face(track.key)
        assert face
        points = tuple((round(x, 1), round(y, 1)) for x, y in face.points.tolist())
        left, top, right, bottom = face.box.round(1).tolist()
        return cls(picture=track.key, box=(left, top, right, bottom), points=points, turn=face.turn)

    @property
    def face(self) -> Face:
        """The face."""
        return Face(np.array(self.box), np.array(self.points), turn=self.turn)


class ClipFace(BaseModel):
    """A person of a clip, by number (1 is shown most).

    shown: when; carried: when the face was lost, and the change carried on by what lies around.
    margin: by how many standard deviations of strangers' cosines the worst surrogate, in the worst picture
        that was checked, lies beyond its threshold at FAR 0.1 %; None for who is not protected.
    matches: what each recogniser makes of the person in some pictures of the written clip.
    likeness, naturalness: how far people still see the person, and untouched pictures, in the mean of these,
        as in `eval.report.FaceReport`; None where it could not be told, and in records of before.
    flicker, behaviour: what flickers and what is expressed there, in pictures that follow one another; None
        in records of before.
    best: the picture that shows the face best; None in records of before.
    references: what is made of this picture and other photos of the person, by which they were protected;
        None where none counted.
    left: why the face stays as it was; None for who is protected.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    shown: tuple[Span, ...]
    carried: tuple[Span, ...] = ()
    pixels: int
    best: Best | None = None
    margin: float | None = None
    matches: tuple[TrackMatch, ...] = ()
    likeness: float | None = None
    naturalness: float | None = None
    flicker: Flicker | None = None
    behaviour: Behaviour | None = None
    references: References | None = None
    left: Reason | None = None


class ClipReport(BaseModel):
    """The verdict on a protected clip: what is known of each person in it.

    size: of its pictures, (width, height) in pixels; pictures: how many they are.
    other_photo: whether the faces were compared with another photo of the person.
    """

    model_config = ConfigDict(frozen=True)

    size: tuple[int, int]
    seconds: float
    pictures: int
    other_photo: bool = False
    faces: tuple[ClipFace, ...]

    def shortfalls(self, strict: bool = False, by_choice: bool = False) -> tuple[Shortfall, ...]:
        """Why not all is protected: a face was too small, or a recogniser that judges still knows one, in any
        picture.

        strict: any recogniser counts. by_choice: what was left was left on purpose.
        """
        left = () if by_choice else left_behind(face.left for face in self.faces)
        matches = (match for face in self.faces for match in face.matches)
        known = any(map(knows, that_count(matches, strict)))
        return (*left, *(("still recognised",) if known else ()))


class ClipRecord(ClipReport):
    """What is written beside a protected clip: enough to make it again.

    strength, effort: as `records.Record` has them.
    picture_sha256: of the file of the protected clip, by which it is known again.
    doubtful: the faces, by number, of which it could not be told whether they are the person asked for.
    ignored: which other photos of people show nobody who is protected, a sentence each.
    """

    schema_number: int = SCHEMA
    veil: str
    clip: str
    settings: Settings
    strength: str | None = None
    effort: str | None = None
    codec: str
    picture_sha256: str
    origin: ClipOrigin
    doubtful: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    limits: str = CLIP_LIMITS


@dataclass(frozen=True)
class ClipPassedOver:
    """A clip for which nothing is written, why (a verb and what follows), and the faces found in it.

    shortfalls: why it is not all protected, where that was wanted.
    """

    source: Path
    why: str
    faces: tuple[ClipFace, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()


def knows(match: TrackMatch) -> bool:
    """Whether a recogniser knows the person in the picture that is most like them, or in all together."""
    return match.best_matched or match.mean_matched


def done_before(result: Path, settings: Settings, origin: ClipOrigin) -> ClipRecord | None:
    """The record beside a clip, where it says that just this was done, and the clip is as it was then.

    Raises:
        MadeOtherwise: it says that something else was done.
    """
    try:
        record = ClipRecord.model_validate_json(result.with_suffix(".json").read_bytes())
        if record.picture_sha256 != checksum(result):
            return None
    except (OSError, ValidationError):
        return None
    check_made_so(result, record, record.origin, settings, origin)
    return record


def is_result(clip: Path, digest: str) -> bool:
    """Whether a record in its folder says that veil has made a clip, by its checksum."""
    records = [clip.with_suffix(".json"), *sorted(clip.parent.glob("*.veiled.json"))]
    there = [record for record in records if os.path.isfile(record)]
    wanted = f'"picture_sha256": "{digest}'.encode()
    return any(wanted in record.read_bytes() for record in there)
