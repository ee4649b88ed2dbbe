"""What there is to say of clips, in words and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..eval.behaviour.page import sentence
from .clip_records import ClipFace, ClipReport, Span, knows
from .wording import Row

TRACK_COLUMNS = ("Face", "Recogniser", "Used", "Before", "After", "Best", "Mean", "Threshold", "Verdict")
PEOPLE_COLUMNS = ("Face", "Shown", "Pixels", "Can be protected")
MANY = 4  # times that are named one by one


def times(spans: Sequence[Span]) -> str:
    """When something is, such as "0:00.0-0:02.4"; of many times the first ones."""
    named = [f"{_time(first)}-{_time(last)}" for first, last in spans[:MANY]]
    more = [f"and {len(spans) - MANY} times more"] if len(spans) > MANY else []
    return ", ".join((*named, *more))


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f}:{rest:04.1f}"


def people_rows(faces: Iterable[ClipFace]) -> list[Row]:
    """One row for each person of a clip, as `PEOPLE_COLUMNS` names them."""
    return [
        (
            str(face.number),
            times(face.shown),
            str(face.pixels),
            f"no, {face.left}" if face.left else "yes",
        )
        for face in faces
    ]


def match_rows(record: ClipReport) -> list[Row]:
    """One row for each protected person and recogniser, as `TRACK_COLUMNS` names them."""
    return [
        (
            str(face.number),
            match.recognizer,
            match.used_by_attack,
            f"{match.before:.0%}",
            f"{match.after:.0%}",
            f"{match.best:.3f}",
            f"{match.mean:.3f}",
            f"{match.threshold:.3f}",
            "still recognised" if knows(match) else "no longer recognised",
        )
        for face in record.faces
        for match in face.matches
    ]


def unprotected(faces: Iterable[ClipFace], clip: str = "") -> list[str]:
    """Who was left as they are in a clip, which may be named, and where a change was carried on unseen, a
    sentence each."""
    said, of = list[str](), f" of {clip}" * bool(clip)
    for face in faces:
        if face.left:
            said.append(
                f"Not protected: face {face.number}{of}, {face.left} ({face.pixels} pixels, "
                f"{times(face.shown)})."
            )
        elif face.carried:
            said.append(
                f"Face {face.number} was lost at {times(face.carried)}: there its change was carried on, "
                "look whether it fits."
            )
    return said


def expressed(faces: Iterable[ClipFace]) -> list[str]:
    """What each protected person still expresses, and how their face flickers, a sentence each."""
    known = [face for face in faces if face.behaviour]
    said = list[str]()
    for face in known:
        whose = f" of face {face.number}" * (len(known) > 1)
        if face.behaviour and face.behaviour.read:
            said.append(sentence(face.behaviour, whose))
        if face.flicker and face.flicker.ratio:
            said.append(f"Flicker{whose}: {face.flicker.ratio:.2f} times what the clip itself has there.")
    return said


def remarks(record: ClipReport) -> list[str]:
    """How to read the rows, and what the protection says of itself."""
    known = [face.number for face in record.faces if face.margin is not None and face.margin < 0]
    return [
        "Before and after: the share of the pictures that were looked at in which a recogniser knows the "
        "person of the others; best and mean: its cosine for the most like of them, and for all together. "
        "Above its threshold, which 1 % of the pairs of strangers exceed, it sees one person.",
        *(
            [
                f"Face{'s' * (len(known) > 1)} {', '.join(map(str, known))}: a recogniser that was used may "
                "still know the person in some pictures. A stronger or longer search may find more."
            ]
            if known
            else []
        ),
        *expressed(record.faces),
    ]


def headline(record: ClipReport) -> str:
    """What machines say, in one line."""
    matches = [match for face in record.faces for match in face.matches]
    knew = [match for match in matches if match.before > 0]
    honest = [match for match in knew if match.used_by_attack == "no"]
    gone = sum(not knows(match) for match in knew)
    words = f"Machines: {gone} of {len(knew)} no longer recognise you in any picture that was looked at"
    if honest:
        fooled = sum(not knows(match) for match in honest)
        words += f"; of those that the protection has never met, {fooled} of {len(honest)}"
    return f"{words}."
