"""What the page asks judges: what survives of a protection, and whether two photos show one person."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ...attacks import packaged
from ...attacks.faces.detection import find_faces
from ...core.errors import BadSettings
from ...core.images import to_tensor
from ...core.types import Face, Photo, Sighting, Stage, Step, Steps
from ...eval.disturbances import DISTURBANCES
from ...eval.report import Report, same_place
from ...eval.verification import UsedByAttack, embedding, used_by
from ...weights.registry import card
from ..beside import known_surrogates

ENDURED = {"saved as JPEG 75": "jpeg-75", "shrunk to half": "resize-50"}  # what the page tries on results


@dataclass(frozen=True)
class Comparison:
    """What a recogniser makes of two photos; above the threshold it takes them for one person.

    used: whether a protection was made against it, as in `eval.verification.Match`; None where that is not
        known.
    """

    recognizer: str
    similarity: float
    threshold: float
    used: UsedByAttack | None = None

    @property
    def same(self) -> bool:
        """Whether it takes them for one person."""
        return self.similarity > self.threshold


# What happened to the photo -> (face, recogniser) -> what the recogniser then says.
Survival: TypeAlias = dict[str, dict[tuple[int, str], Comparison]]


def endure(photo: Photo, after: Photo, faces: Mapping[int, Face], report: Report) -> Steps[Survival]:
    """Ask the report's recognisers again after what is likely to happen to a protected photo: `ENDURED`.

    Faces are found afresh in what became of it, but the photo before is looked at only once.
    """
    limits = {match.recognizer: match.threshold for match in report.faces[0].matches}
    image = to_tensor(photo.pixels)
    known = {
        (number, name): embedding(name, image, face) for number, face in faces.items() for name in limits
    }
    survival: Survival = {}
    for done, (title, name) in enumerate(ENDURED.items()):
        yield Step(Stage.DISTURBING, done, len(ENDURED))
        pixels = DISTURBANCES[name](after.pixels)
        image, found = to_tensor(pixels), find_faces(pixels)
        places = {number: same_place(face, found) or face for number, face in faces.items()}
        survival[title] = {
            (number, judge): Comparison(
                judge, round(float(before @ embedding(judge, image, places[number])), 4), limits[judge]
            )
            for (number, judge), before in known.items()
        }
    return survival


def same_person(
    one: Sighting, other: Sighting, surrogates: Collection[str] | None = None
) -> list[Comparison]:
    """What every packaged recogniser makes of the faces of any two photos.

    Args:
        surrogates: the recognisers that the protection of one of them used, if that is known.

    Raises:
        WeightsMissing, WeightsCorrupt: as `attacks.recognizer` does.
    """
    images = [(to_tensor(each.frame.pixels), each.face) for each in (one, other)]
    found: list[Comparison] = []
    for name in packaged():
        first, second = (embedding(name, image, face) for image, face in images)
        used = None if surrogates is None else used_by(name, surrogates)
        found.append(Comparison(name, round(float(first @ second), 4), card(name).thresholds["far1"], used))
    return found


def used_as_reported(report: Path, results: Sequence[Path]) -> frozenset[str]:
    """The recognisers that made one of some photos or clips, as a report says.

    Raises:
        BadSettings: it is the report of none of them, or does not say it.
    """
    errors = list[BadSettings]()
    for result in results:
        try:
            if (used := known_surrogates(result, report)) is not None:
                return used
        except BadSettings as error:
            errors.append(error)
    hint = "Drop the report that veil wrote for what is protected here, or none."
    said = errors[-1].message if errors else f"{report.name} is the report of none of these files."
    raise BadSettings(said, hint)
