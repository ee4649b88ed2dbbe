"""The words and tables that the command line and the page share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from .unreached import limits_met

if TYPE_CHECKING:
    from ..core.types import Step
    from ..eval.report import FaceReport, Report
    from ..eval.verification import UsedByAttack
    from ..privacy.settings import Settings

Row = tuple[str, ...]
Asked: TypeAlias = "tuple[str, UsedByAttack, bool, bool]"  # a recogniser, whether it was used, before, after

# What viewers may see, where it is the same person, a relative, or somebody else: of one face, or of several.
_YOU = "looks like you", "may look like a relative of yours", "may look like somebody else"
_SOMEBODY = (
    "everybody looks as before",
    "somebody may look like a relative",
    "somebody may look like another person",
)

AGAIN = (
    "{} is protected already, and is protected once more: that changes the faces further. Better protect the "
    "file as it was before."
)
NOT_FOLLOWED = "{} is a link to a folder, and not followed."
# How notes end that are told even when quiet: a face is changed too far, or may stay as it is.
EVEN_QUIET = tuple(text.removeprefix("{}") for text in (AGAIN, NOT_FOLLOWED))
ON_LIMITS = 'What this does not promise stands in the report beside each result, under "limits".'
GOES_ON = "What was done is kept; the same command goes on from there."
MATCH_COLUMNS = ("Face", "Recogniser", "Used", "Before", "After", "Threshold", "Knows you")
STAGES = {  # by the values of `core.types.Stage`, which would load numpy
    "following": "Following faces",
    "getting_ready": "Getting ready",
    "learning_embeddings": "Getting to know the face",
    "protecting": "Changing what machines look at",
    "rendering": "Drawing the change into the pictures",
    "reconstructing": "Rebuilding faces",
    "judging": "Asking the recognisers",
    "disturbing": "Trying what survives JPEG and shrinking",
    "choosing_people": "Choosing people",
    "benchmarking": "Photos",
    "embedding": "Looking at faces",
    "measuring": "Measuring recognisers",
}


def stage(step: Step) -> str:
    """What is being done, and to which faces of a photo, where they are not all of them."""
    words = STAGES[step.stage]
    if step.item is None:
        return words
    first, last, total = step.item
    faces = f"Face {first}" if first == last else f"Faces {first} to {last}"
    return f"{faces} of {total}: {words[0].lower()}{words[1:]}"


def verdict(before: bool, after: bool) -> str:
    """Whether a recogniser knows the person after the protection, and where not, whether it did before."""
    if after:
        return "yes"
    return "no longer" if before else "not before"


def how_many(count: int, of: int) -> str:
    """So many of several, such as "all 7", "none of 7" or "3 of 7"."""
    return f"all {of}" if count == of > 1 else f"{count or 'none'} of {of}"


def beside(cosines: Iterable[float], threshold: float, digits: int = 3) -> list[str]:
    """Cosines and the threshold beside which they are shown, to as many digits as tell them apart, at least
    so many and at most 4."""
    values = [*cosines, threshold]

    def close(digits: int) -> bool:
        return any(one != threshold and f"{one:.{digits}f}" == f"{threshold:.{digits}f}" for one in values)

    digits = next((count for count in range(digits, 4) if not close(count)), 4)
    return [f"{value:.{digits}f}" for value in values]


def match_rows(report: Report) -> list[Row]:
    """One row for each face and recogniser, as `MATCH_COLUMNS` names them."""
    return [
        (
            str(face.number),
            match.recognizer,
            match.used_by_attack,
            *beside((match.before, match.after), match.threshold),
            verdict(match.recognised, match.still_recognised),
        )
        for face in report.faces
        for match in face.matches
    ]


def headline(report: Report, figures: bool = True) -> str:
    """Both halves of the promise in one line: what people see, and what machines say.

    Args:
        figures: whether what people see is told with its figures, which otherwise `likeness` tells.
    """
    return f"People: {people(report, figures)} Machines: {machines(report)}"


def people(report: Report, figures: bool = True) -> str:
    """What viewers may see in the face that looks the least like the person."""
    return look([face.likeness for face in report.faces], figures=figures)


def look(likenesses: Sequence[float | None], kind: str = "photos", of: str = "", figures: bool = True) -> str:
    """What viewers may see where the likeness is the least.

    Args:
        likenesses: of each face.
        kind: what is compared; of: what the likeness is of, such as " in the mean of some pictures".
        figures: whether the words are told with the figures that they stand for.
    """
    from ..eval.metrics.likeness import RELATIVE, SAME

    known = [likeness for likeness in likenesses if likeness is not None]
    if not known:
        return f"not measured; compare both {kind} yourself."
    alike, related, other = _SOMEBODY if len(likenesses) > 1 else _YOU
    words = other if min(known) < RELATIVE else related if min(known) < SAME else alike
    return f"{words} ({_figures(min(known), of)})." if figures else f"{words}."


def likeness(report: Report) -> str:
    """The figures that stand behind what viewers may see; nothing where none was measured."""
    known = [(face.likeness, face.number) for face in report.faces if face.likeness is not None]
    if not known:
        return ""
    least, number = min(known)
    said = _figures(least, f" of face {number} (the least alike)" * (len(known) > 1))
    return f"{said[0].upper()}{said[1:]}."


def _figures(least: float, of: str) -> str:
    from ..eval.metrics.likeness import RELATIVE, SAME

    return (
        f"likeness {least:.3f}{of}; a vision-language model took half of the pictures at {SAME} for the same "
        f"person, at {RELATIVE} for a sibling"
    )


def machines(report: Report) -> str:
    """What recognisers say; apart, those that were not used, since the others flatter the result."""
    said: list[Asked] = [
        (match.recognizer, match.used_by_attack, match.recognised, match.still_recognised)
        for face in report.faces
        for match in face.matches
    ]
    return count(said, len(report.faces) > 1)


def count(asked: Iterable[Asked], several: bool = False, where: str = "") -> str:
    """How many recognisers still know the person, or one of several; apart, where others are asked, too,
    those that the protection has never met.

    Args:
        asked: for each face, the name of each recogniser, whether it was used, and whether it knew the person
            before and after; several: whether there are several faces; where: in what nobody is known.
    """
    every_one = [*asked]
    used = {name: how for name, how, _, _ in every_one}
    knew = dict[str, bool]()  # whether those who knew somebody still know one of them
    for name, _, before, after in every_one:
        if before:
            knew[name] = knew.get(name, False) or after
    if not knew:
        return f"none of them recognised {'anybody' if several else 'you'} even before."
    still, every = sum(knew.values()), _still_recognise([*knew.values()], several, where)
    if "no" not in used.values():
        return f"{every}. No honest judge is left: every recogniser, or a relative of it, was used."
    honest = [knows for name, knows in knew.items() if used[name] == "no"]
    if not honest:
        face = "a face" if several else "the face"
        return f"{every}. No recogniser that the protection has never met knew {face} even before."
    if len(honest) == len(knew) or still in (0, len(knew)):
        return f"{every}."
    return f"{every}; {_still_recognise(honest, several, who=' that the protection has never met')}."


def _still_recognise(knows: Sequence[bool], several: bool = False, where: str = "", who: str = "") -> str:
    """How many of those who knew the person, or one of `several`, before do so still.

    Args:
        where: said where none does; who: which they are, where that has to be said.
    """
    total, still = len(knows), sum(knows)
    of = f"the {total}{who}" if who else f"{total}"
    whom, nobody = ("somebody", "anybody") if several else ("you", "you")
    if total == 1:
        return f"the one{who or ' asked'} " + (
            f"still recognises {whom}" if still else f"no longer recognises {nobody}{where}"
        )
    if still == total:
        return f"all {total}{who} still recognise {whom}"
    if not still:
        return f"none of {of} recognises {nobody} any longer{where}"
    return f"{still} of {of} still recognise{'s' * (still == 1)} {whom}"


USED = "Used: whether the protection was made against it, or against a relative of it."


def legend(report: Report) -> list[str]:
    """How to read the rows."""
    return [f"{similarities(report)} {USED}"]


def similarities(report: Report) -> str:
    """How to read the similarities of a report."""
    other = "another photo of the person" if report.other_photo else "the photo before"
    return (
        f"Before and after are similarities (cosines) to {other}: 1 is the same picture. Above its "
        "threshold, which 1 % of the pairs of strangers exceed, a recogniser takes two pictures for one "
        "person."
    )


def remarks(report: Report, used: Settings | None = None) -> list[str]:
    """Which faces were not found again or not changed enough, by which settings, and how much has changed."""
    return [
        *(
            f"The detector no longer finds face {face.number}; recognisers were shown where it had been."
            for face in report.faces
            if not face.found
        ),
        *report.beside_references(),
        *limits_met(report, used),
        *report.expressed(),
        change(report),
    ]


def change(report: Report) -> str:
    """How much has changed, first on the face, or the most changed of several, and that eyes must judge."""
    worst, whole = most_changed(report), report.quality
    which = f", the most changed face, {worst.number}" if len(report.faces) > 1 else ""
    return (
        f"On the face{which}: PSNR {worst.quality['psnr']:.1f} dB, SSIM {worst.quality['ssim']:.3f}. "
        f"On the whole photo: {whole['psnr']:.1f} dB, {whole['ssim']:.3f}; {report.changed:.1%} of the "
        "pixels changed. These two figures do not tell whether people still see the same person: look at "
        "both photos side by side."
    )


def most_changed(report: Report) -> FaceReport:
    """The face that has changed the most."""
    return min(report.faces, key=lambda face: face.quality["psnr"])


def made(strength: str | None, effort: str | None) -> str:
    """By which settings, as people name them; nothing where a record of before does not say it."""
    return f"Strength {strength}, effort {effort}." if strength else ""
