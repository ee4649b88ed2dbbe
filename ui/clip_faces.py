"""The people of a clip: which of them are protected, when they are shown, and a sheet that shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from ..attacks.faces.boxes import padded
from ..attacks.faces.found import SMALLEST, Reason
from ..attacks.faces.tracks import MeshTrack, Tracks, runs
from ..attacks.person import Verdict
from ..core.errors import BadSettings, NoFace
from ..core.types import Pixels
from ..core.video import Clip
from ..eval.clip_report import PersonReport
from ..eval.references import References
from .clip_records import Best, ClipFace, Span
from .selection import Whom

TILE, LINE, ACROSS = 200, 28, 5  # pixels of a face on the sheet, of the line below it; faces in a row
NOWHERE = (
    "Nothing is written. If it does show one, it is too small, too dark or turned away too far for veil."
)
AROUND = 0.5  # of a face's side: what is shown around it
SHEET = "veil faces"  # the Software that is named in a sheet, by which it is known again


@dataclass(frozen=True)
class ClipChoice:
    """The people who are protected, by number; why others are left; and who may be the person or not."""

    people: tuple[int, ...]
    left: dict[int, Reason]
    doubtful: tuple[int, ...] = ()


def choose(clip: Clip, tracks: Tracks, whom: Whom) -> ClipChoice:
    """Choose the people of a clip; nobody may be left.

    Raises:
        NoFace: there is no face, or one that was asked for is too small.
        BadSettings: nobody has a number that was asked for.
    """
    people, small = tracks.people, too_small(tracks)
    asked = whom.numbers or set(people) - small or set(people[:1])
    if unknown := whom.numbers - set(people):
        raise BadSettings(
            f"{clip.name} has no face number {min(unknown)}.",
            f"Its faces, those first who are shown most, are: {', '.join(map(str, people)) or 'none'}.",
        )
    if not people:
        raise NoFace(f"No face was found in {clip.name}.", NOWHERE)
    if asked & small:
        number = min(asked & small)
        raise NoFace(
            f"Face {number} of {clip.name} measures only {side(tracks, number):.0f} pixels.",
            f"Only faces of {SMALLEST:.0f} pixels and more can be protected.",
        )
    verdicts = _verdicts(clip, tracks.of(asked), whom) if whom.person else {}
    unwanted, because = ("same", "spared") if whom.spare else ("other", "another person")
    chosen = tuple(number for number in people if number in asked and verdicts.get(number) != unwanted)
    left: dict[int, Reason] = {number: "too small" for number in small}
    left |= {number: "not chosen" for number in set(people) - small - asked}
    left |= {number: because for number in asked - set(chosen)}
    doubtful = tuple(number for number in chosen if verdicts.get(number) == "doubtful")
    return ClipChoice(chosen, dict(sorted(left.items())), doubtful)


def too_small(tracks: Tracks) -> set[int]:
    """The numbers of the people whose faces are too small to be protected."""
    return {number for number in tracks.people if side(tracks, number) < SMALLEST}


def unmet(tracks: Tracks) -> str:
    """What to say of a clip in which nobody can be protected; nothing where somebody can."""
    if set(tracks.people) - too_small(tracks):
        return ""
    return "shows no face that is large enough" if tracks.people else "shows no face"


def _verdicts(clip: Clip, tracks: Tracks, whom: Whom) -> dict[int, Verdict]:
    """Whether people are the person asked for: what is said of their best pictures, the surest first."""
    assert whom.person
    found = dict[int, set[Verdict]]()
    for track, pixels in best_pictures(clip, tracks.tracks):
        face = track.face(track.key)
        assert face
        found.setdefault(track.person, set()).add(whom.person.verdict(pixels, face))
    order: tuple[Verdict, ...] = ("same", "doubtful", "other")
    return {number: next(one for one in order if one in said) for number, said in found.items()}


def best_pictures(clip: Clip, tracks: Sequence[MeshTrack]) -> Iterator[tuple[MeshTrack, Pixels]]:
    """Each track, with the picture that shows its face best."""
    for number, pixels in clip.chosen(track.key for track in tracks):
        for track in tracks:
            if track.key == number:
                yield track, pixels


def side(tracks: Tracks, person: int) -> float:
    """The shorter side of a person's face, in pixels, where it is largest."""
    return max(track.side for track in tracks.tracks if track.person == person)


def described(
    clip: Clip,
    tracks: Tracks,
    choice: ClipChoice | None = None,
    margins: Mapping[int, float] | None = None,
    reports: Mapping[int, PersonReport] | None = None,
    references: Mapping[int, References] | None = None,
) -> tuple[ClipFace, ...]:
    """What there is to say of each person of a clip; margins, reports and what is made of references are of
    those who are protected."""
    margins, reports, small = margins or {}, reports or {}, too_small(tracks)
    faces = list[ClipFace]()
    for number in tracks.people:
        own = tracks.of([number])
        left: Reason | None = "too small" if number in small else None
        faces.append(
            ClipFace(
                number=number,
                shown=tuple(_span(clip, *run) for track in own.tracks for run in runs(track.indexes)),
                carried=tuple(_span(clip, first, last) for _, first, last in own.lost),
                pixels=int(side(tracks, number)),
                best=Best.of(max(own.tracks, key=lambda track: track.side)),
                margin=round(margins[number], 2) if number in margins else None,
                references=(references or {}).get(number),
                left=choice.left.get(number) if choice else left,
                **(dict(reports[number]) if number in reports else {}),
            )
        )
    return tuple(faces)


def _span(clip: Clip, first: int, last: int) -> Span:
    end = clip.time(last + 1) if last + 1 < clip.count else clip.seconds
    return round(clip.time(first), 3), round(end, 3)


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet, so that `is_sheet` knows it again."""
    named = PngImagePlugin.PngInfo()
    named.add_text("Software", SHEET)
    sheet.save(path, "PNG", pnginfo=named)


def is_sheet(path: Path) -> bool:
    """Whether a file is a sheet that veil has written."""
    with suppress(OSError, SyntaxError, ValueError), Image.open(path, formats=["PNG"]) as sheet:
        return sheet.info.get("Software") == SHEET
    return False


def sheet(clip: Clip, tracks: Tracks) -> Image.Image:
    """A picture of all people of a clip, each with the number by which `--faces` takes it."""
    best = dict[int, MeshTrack]()
    for track in tracks.tracks:
        if track.person not in best or track.side > best[track.person].side:
            best[track.person] = track
    tiles = dict[int, Image.Image]()
    for track, pixels in best_pictures(clip, list(best.values())):
        face = track.face(track.key)
        assert face
        box = padded(face.box, AROUND * face.side).round().astype(int)
        middle, half = (box[:2] + box[2:]) // 2, int(max(box[2:] - box[:2])) // 2
        square = Image.fromarray(pixels).crop((*(middle - half).tolist(), *(middle + half).tolist()))
        tiles[track.person] = square.resize((TILE, TILE), Image.Resampling.LANCZOS)
    across = min(ACROSS, max(len(tiles), 1))
    down = -(-len(tiles) // across)
    whole = Image.fromarray(np.full((max(down, 1) * (TILE + LINE), across * TILE, 3), 255, np.uint8))
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(16)
    for place, number in enumerate(best):
        x, y = place % across * TILE, place // across * (TILE + LINE)
        whole.paste(tiles[number], (x, y))
        draw.text((x + 6, y + TILE + 5), f"Face {number}", (0, 0, 0), font)
    return whole
