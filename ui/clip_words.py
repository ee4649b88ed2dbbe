"""What there is to say of clips, in words and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..eval.behaviour.page import sentence
from ..eval.references import in_words as references_in_words
from ..eval.tracks import TrackMatch
from .clip_records import ClipFace, ClipReport, Span, knows
from .wording import USED, Row, beside, count, how_many, look, verdict

TRACK_COLUMNS = ("Face", "Recogniser", "Used", "Before", "After", "Closest", "All", "Threshold", "Knows you")
PEOPLE_COLUMNS = ("Face", "Shown", "Pixels", "Can be protected")
BY_ALL = "by all"  # a verdict
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
            *beside((match.best, match.mean), match.threshold),
            _verdict(match),
        )
        for face in record.faces
        for match in face.matches
    ]


def _verdict(match: TrackMatch) -> str:
    """Whether a recogniser knows the person: in a picture, or only in all of them together."""
    by_all = match.mean_matched and not match.best_matched
    return BY_ALL if by_all else verdict(match.before > 0, match.best_matched)


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
            said.append(sentence(face.behaviour, whose, "encoding"))
        if face.flicker and face.flicker.ratio:
            said.append(f"Flicker{whose}: {face.flicker.ratio:.2f} times what the clip itself has there.")
    return said


def legend(record: ClipReport) -> list[str]:
    """How to read the rows."""
    other = "another photo of the person" if record.other_photo else "other pictures of the clip before"
    said = [
        "Before and after: in how many of the pictures that were looked at a recogniser knows the person. "
        f"Closest and all: similarities (cosines) to {other}, of the picture that is most like them, and of "
        "all pictures together. Above its threshold, which 1 % of the pairs of strangers exceed, a "
        "recogniser takes both for one person. "
        f"{USED}"
    ]
    if any(row[-1] == BY_ALL for row in match_rows(record)):
        said.append("By all: no picture alone gives the person away, but all together do.")
    return said


def remarks(record: ClipReport) -> list[str]:
    """What the protection did not reach, and what is still expressed."""
    return [
        *still_known(record.faces),
        *references_in_words((face.number, face.references) for face in record.faces),
        *expressed(record.faces),
    ]


def still_known(faces: Iterable[ClipFace]) -> list[str]:
    """Which people recognisers still know that were used, and where, a sentence each."""
    said = list[str]()
    for face in faces:
        used = [match for match in face.matches if match.before and match.used_by_attack != "no"]
        if known := [match for match in used if knows(match)]:
            most = max(match.after for match in known)
            where = {
                0.0: "only by all pictures together",
                1.0: "in every picture that was looked at",
            }
            some = f"in {most:.0%} of the pictures that were looked at"
            who = f"{how_many(len(known), len(used))} recognisers that were used"
            who = "the one recogniser that was used" if len(used) == 1 else who
            one = "at least one of them " * (len(known) > 1 and most > 0)
            said.append(
                f"Face {face.number}: {who} still know{'s' * (len(known) == 1)} the person, "
                f"{one}{where.get(most, some)}."
            )
        elif face.margin is not None and face.margin < 0:
            said.append(
                f"Face {face.number}: a recogniser that was used may still know the person in other pictures "
                "than those that were looked at."
            )
    return said


def headline(record: ClipReport) -> str:
    """Both halves of the promise: what people see, and what machines say."""
    faces = [face for face in record.faces if face.matches]
    seen = look([face.likeness for face in faces], "clips", " in the mean of some pictures")
    said = count(
        (
            (match.recognizer, match.used_by_attack, match.before > 0, knows(match))
            for face in faces
            for match in face.matches
        ),
        len(faces) > 1,
        ", neither by one picture nor by all together",
    )
    return f"People: {seen} Machines: {said}"
