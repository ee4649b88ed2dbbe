"""What is written beside a protected clip, and what is read from it again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from ..attacks.faces.found import Reason
from ..eval.behaviour import Behaviour
from ..eval.datasets import checksum
from ..eval.tracks import Flicker, TrackMatch
from ..privacy.settings import Settings
from .records import Shortfall, left_behind, that_count
from .wording import CLIP_LIMITS

Span: TypeAlias = tuple[float, float]  # from when to when, in seconds from the first picture


class ClipOrigin(BaseModel):
    """What decides a result beside its settings: the clip, how it is written, and whose faces are meant.

    clip, people, probe: checksums of files.
    """

    model_config = ConfigDict(frozen=True)

    clip: str
    crf: int | None = None
    codec: str | None = None
    numbers: tuple[int, ...] = ()
    people: tuple[str, ...] = ()
    spare: bool = False
    probe: str = ""


class ClipFace(BaseModel):
    """A person of a clip, by number (1 is shown most).

    shown: when; carried: when the face was lost, and the change carried on by what lies around.
    margin: by how many standard deviations of strangers' cosines the worst surrogate, in the worst picture
        that was checked, lies beyond its threshold at FAR 0.1 %; None for who is not protected.
    matches: what each recogniser makes of the person in some pictures of the written clip.
    flicker, behaviour: what flickers and what is expressed there, in pictures that follow one another; None
        in records of before.
    left: why the face stays as it was; None for who is protected.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    shown: tuple[Span, ...]
    carried: tuple[Span, ...] = ()
    pixels: int
    margin: float | None = None
    matches: tuple[TrackMatch, ...] = ()
    flicker: Flicker | None = None
    behaviour: Behaviour | None = None
    left: Reason | None = None


class ClipRecord(BaseModel):
    """What is written beside a protected clip: enough to make it again.

    picture_sha256: of the file of the protected clip, by which it is known again.
    doubtful: the faces, by number, of which it could not be told whether they are the person asked for.
    """

    veil: str
    clip: str
    settings: Settings
    size: tuple[int, int]
    seconds: float
    pictures: int
    codec: str
    faces: tuple[ClipFace, ...]
    picture_sha256: str
    origin: ClipOrigin
    doubtful: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    limits: str = CLIP_LIMITS

    def shortfalls(self, strict: bool = False, by_choice: bool = False) -> tuple[Shortfall, ...]:
        """Why not all is protected: a face was too small, or a recogniser that judges still knows one, in any
        picture.

        strict: any recogniser counts. by_choice: what was left was left on purpose.
        """
        left = () if by_choice else left_behind(face.left for face in self.faces)
        matches = (match for face in self.faces for match in face.matches)
        known = any(map(knows, that_count(matches, strict)))
        return (*left, *(("still recognised",) if known else ()))


def knows(match: TrackMatch) -> bool:
    """Whether a recogniser knows the person in the picture that is most like them, or in all together."""
    return match.best_matched or match.mean_matched


def done_before(result: Path, settings: Settings, origin: ClipOrigin) -> ClipRecord | None:
    """The record beside a clip, where it says that just this was done, and the clip is as it was then."""
    try:
        record = ClipRecord.model_validate_json(result.with_suffix(".json").read_bytes())
        same = (record.settings, record.origin) == (settings, origin)
        return record if same and record.picture_sha256 == checksum(result) else None
    except (OSError, ValidationError):
        return None


def is_result(clip: Path, digest: str) -> bool:
    """Whether a record in its folder says that veil has made a clip, by its checksum."""
    records = [clip.with_suffix(".json"), *sorted(clip.parent.glob("*.veiled.json"))]
    there = [record for record in records if os.path.isfile(record)]
    wanted = f'"picture_sha256": "{digest}'.encode()
    return any(wanted in record.read_bytes() for record in there)
