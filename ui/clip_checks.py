"""What there is to judge of clips that are given: one before and after, and which picture an album sees."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..attacks import packaged, recognizer
from ..attacks.faces.boxes import clipped, padded
from ..attacks.faces.tracking import follow
from ..core.errors import BadClip
from ..core.images import open_photo
from ..core.types import Photo, Sighting, Steps
from ..core.video import Clip, open_clip
from ..core.video_writing import ENCODERS
from ..eval.clip_report import judge
from ..eval.disturbances.clip_codec import Encoding
from ..eval.tracks import seen
from ..weights.registry import card
from .albums import best_sightings
from .clip_faces import choose, described, too_small
from .clip_records import ClipReport
from .pipes import is_clip
from .selection import Whom

AROUND = 1.0  # of a face's side: what an album sees around it
ONE_PICTURE = "Of each clip the picture counts that shows best who is shown most."


def assess(
    before: Path,
    after: Path,
    surrogates: Collection[str] = (),
    recognizers: Sequence[str] = (),
    probe: Sighting | None = None,
) -> Steps[ClipReport]:
    """Judge a protected clip: what recognisers make of everybody in it whose face is large enough, and what
    each of them still expresses.

    Faces are followed in the clip before; the same places are looked at in the one after.

    Args:
        before, after: of as many pictures, of one size.
        surrogates: the recognisers that the protection used.
        recognizers: who judges; by default all that are packaged.
        probe: another picture of the person, with which recognisers compare; by default the clip before.

    Raises:
        BadClip: a clip cannot be used, or they are not of one length and size.
        NoFace: there is no face that is large enough.
        BadSettings: a recogniser has no thresholds.
        UnknownName, WeightsMissing, WeightsCorrupt: as `attacks.recognizer` does.
    """
    names = tuple(recognizers) or packaged()
    for name in names:  # before the work
        recognizer(name)
        _ = card(name).thresholds["far1"]
    clip, result = open_clip(before), open_clip(after)
    check_alike(clip, result)
    tracks = yield from follow(clip.frames(), clip.count)
    choice = choose(clip, tracks, Whom())
    other = seen([(probe.frame.pixels, probe.face)], names) if probe else None
    used, how = frozenset(surrogates), Encoding(codec=result.codec if result.codec in ENCODERS else "h264")
    reports = yield from judge(clip, result, tracks.of(choice.people), names, used, other, how)
    return ClipReport(
        size=clip.size,
        seconds=round(clip.seconds, 3),
        pictures=clip.count,
        other_photo=probe is not None,
        faces=described(clip, tracks, choice, None, reports),
    )


def check_alike(before: Clip, after: Clip) -> None:
    """Check that one clip may have been made of another.

    Raises:
        BadClip: they differ in how many pictures they have, or in their size.
    """
    hint = "Give the clip that was protected, and what became of it."
    if before.count != after.count:
        raise BadClip(f"The two clips differ in length: {before.count} and {after.count} pictures.", hint)
    if before.size != after.size:
        sizes = " and ".join(f"{wide}x{high}" for wide, high in (before.size, after.size))
        raise BadClip(f"The two clips differ in size: {sizes}.", hint)


@dataclass(frozen=True, eq=False)
class AlbumView:
    """What an album sees of a file; `others`: whether a clip shows other faces that are large enough."""

    photo: Photo
    others: bool = False


def album_view(source: Path | Photo) -> Steps[AlbumView]:
    """What an album sees: a photo, or the picture of a clip that shows best who is shown most.

    Yields a step for each picture of a clip.

    Raises:
        BadPhoto: the photo or clip cannot be used.
    """
    if isinstance(source, Photo):
        return AlbumView(source)
    if not is_clip(source):
        return AlbumView(open_photo(source))
    clip = open_clip(source)
    tracks = yield from follow(clip.frames(), clip.count)
    others = bool(set(tracks.people[1:]) - too_small(tracks))
    for _, sighting in best_sightings(clip, described(clip, tracks.of(tracks.people[:1]))):
        face = sighting.face
        left, top, right, bottom = clipped(padded(face.box, AROUND * face.side), clip.size)
        return AlbumView(Photo(sighting.frame.pixels[top:bottom, left:right].copy(), clip.name), others)
    return AlbumView(Photo(next(clip.frames())[1], clip.name))
