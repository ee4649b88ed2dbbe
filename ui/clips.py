"""From clip to clip: faces are followed, changes found and drawn, and a run that was stopped goes on.

What has been found lies in a folder beside the result until that is written: the tracks, the change of each,
and the pictures that are encoded, in segments.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..attacks import packaged
from ..attacks.faces.detection import search
from ..attacks.faces.tracking import follow
from ..attacks.faces.tracks import MeshTrack, Tracks
from ..core.errors import BadPhoto, BadSettings
from ..core.files import atomic_write, kept_workplace
from ..core.images import open_photo
from ..core.progress import WithResult
from ..core.types import Face, Item, Pixels, Sighting, Stage, Step, Steps
from ..core.video import Clip, open_clip
from ..core.video_joining import join
from ..core.video_writing import codec_for
from ..core.writing import save_photo
from ..eval.datasets import checksum
from ..eval.tracks import TrackMatch, Vectors, match, seen
from ..privacy.settings import Settings
from ..privacy.video import ClipChange, find_changes
from .clip_drawing import Machines, segments_of
from .clip_faces import ClipChoice, choose, described
from .clip_records import ClipFace, ClipOrigin, ClipRecord, done_before, is_result
from .outputs import Output, claimed, clip_of, real
from .selection import Whom
from .workflow import AGAIN, told

Faces: TypeAlias = Iterator[tuple[Pixels, Face]]

JUDGED = 12  # pictures of a person, spread over the clip, that recognisers are asked about


@dataclass(frozen=True)
class ClipJob:
    """A clip that is ready to be protected: what it is, the files to write, and what there is to say."""

    source: Path
    clip: Clip
    origin: ClipOrigin
    codec: str
    result: Path
    record: Path
    output: Output = Output()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClipDone:
    """A clip whose result is there already: made from the same, in the same way, and not changed since."""

    source: Path
    result: Path
    record: Path
    said: ClipRecord
    why: str = "was done before"


@dataclass(frozen=True)
class ClipPassedOver:
    """A clip for which nothing is written, why (a verb and what follows), and the faces found in it."""

    source: Path
    why: str
    faces: tuple[ClipFace, ...] = ()


def prepare(
    source: Path,
    output: Output,
    whom: Whom,
    taken: set[str],
    alone: bool,
    settings: Settings,
    references: Iterable[Path] = (),
    probe: Path | None = None,
) -> ClipJob | ClipPassedOver | ClipDone:
    """Check everything that could go wrong with a clip before its faces are looked for.

    Args:
        taken: the real paths that must not be written to; those of this job are added.
        alone: whether it is the one that was asked for; then a result of veil is protected again, with a
            word, and otherwise passed over.
        references: the photos of the person whom `whom` names.
        probe: of the photo that `run` is going to be given.

    Raises:
        BadClip: the clip cannot be used, or the result not be written.
        BadSettings: clips are not protected so.
    """
    if settings.goal != "dodge" or settings.method != "veil":
        raise BadSettings(
            "Clips are protected by the engine alone, and to look like nobody known.",
            "Leave --goal and --target away, or name photos only.",
        )
    clip = open_clip(source)
    digest = checksum(source)
    again = is_result(source, digest)
    if again and not alone:
        return ClipPassedOver(source, "is protected already")
    origin = ClipOrigin(
        clip=digest,
        crf=output.crf,
        codec=output.codec,
        numbers=tuple(sorted(whom.numbers)),
        people=tuple(map(checksum, references)),
        spare=whom.spare,
        probe=checksum(probe) if probe else "",
    )
    result = clip_of(source, output, taken)
    record = result.with_suffix(".json")
    if not output.force and not {real(result), real(record)} & taken:
        if said := done_before(result, settings, origin):
            taken |= {real(result), real(record)}
            return ClipDone(source, result, record, said)
    taken |= claimed((result, record), taken, output.force)
    notes = (*[AGAIN.format(clip.name)] * again, *clip.notes)
    codec = codec_for(clip, result, output.codec)
    return ClipJob(source, clip, origin, codec, result, record, output, notes)


def run(
    job: ClipJob,
    settings: Settings,
    whom: Whom,
    probe: Sighting | None = None,
    tracks: Tracks | None = None,
    machines: Machines | None = None,
) -> Steps[ClipRecord | ClipPassedOver]:
    """Protect a clip and write it and its record, which appear together or not at all.

    Closing the generator keeps what has been found; the next run for the same goes on there.

    Args:
        probe: another picture of the person, with which recognisers compare; by default the clip itself.
        tracks: its faces, where they have been followed.
        machines: others, which find the changes and draw them; the result is the same.

    Raises:
        NoFace, BadSettings: as `clip_faces.choose`.
        BadClip: a picture cannot be decoded, or the result not be written.
    """
    with told(job.result), kept_workplace(job.result) as work:
        clip = job.clip
        tracks = tracks or (yield from _tracks(clip, job.origin, work))
        choice = choose(clip, tracks, whom)
        if not choice.people:
            return ClipPassedOver(job.source, whom.missing, described(clip, tracks, choice))
        place = _place_for(work, settings, job)
        chosen = tracks.of(choice.people)
        changes = yield from _changes(clip, chosen, settings, place, machines)
        segments = yield from segments_of(clip, job.codec, job.output.crf, changes, place, machines)
        other = seen([(probe.frame.pixels, probe.face)], packaged()) if probe else None
        return (yield from _written(job, settings, tracks, choice, changes, segments, work, other))


def _tracks(clip: Clip, origin: ClipOrigin, work: Path) -> Steps[Tracks]:
    """The faces of a clip, as they were followed before, or now."""
    path = work / f"tracks-{origin.clip[:16]}-{version('veil')}.npz"
    with suppress(OSError, KeyError, ValueError):
        return Tracks.load(path)
    tracks = yield from follow(clip.frames(), clip.count)
    tracks.save(path)
    return tracks


def _place_for(work: Path, settings: Settings, job: ClipJob) -> Path:
    """The folder for what is found with these settings; what was found with others is deleted."""
    parts = [version("veil"), settings.model_dump(mode="json"), job.origin.model_dump(), job.codec]
    place = work / hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    for other in work.iterdir():
        if other.is_dir() and other != place:
            shutil.rmtree(other)
    place.mkdir(exist_ok=True)
    return place


def _changes(
    clip: Clip, tracks: Tracks, settings: Settings, place: Path, machines: Machines | None
) -> Steps[list[ClipChange]]:
    """The change of each track, as it was found before, or now."""
    changes, total = list[ClipChange](), len(tracks.tracks)
    paths = [place / f"change-{number}.npz" for number in range(total)]
    if machines and not all(path.exists() for path in paths):
        done = 0
        for found in machines.find(tracks, settings):
            for number, change in found:
                change.save(paths[number])
            done += len(found)
            yield Step(Stage.PROTECTING, done, total)
    for number in range(total):
        path, alone = paths[number], tracks.alone(number)
        with suppress(OSError, KeyError, ValueError):
            changes.append(ClipChange.load(path, alone))
            continue
        run = WithResult(find_changes(clip.chosen, alone, settings, tuple(changes)))
        for step in run:
            yield replace(step, item=Item(number + 1, number + 1, total)) if total > 1 else step
        run.result.save(path)
        changes.append(run.result)
    return changes


def _written(
    job: ClipJob,
    settings: Settings,
    tracks: Tracks,
    choice: ClipChoice,
    changes: Sequence[ClipChange],
    segments: Sequence[Path],
    work: Path,
    other: Vectors | None,
) -> Steps[ClipRecord]:
    """Write the clip, judge it as it was written, and write the record beside it."""
    clip, chosen = job.clip, tracks.of(choice.people)
    cover, notes = _cover(clip, work)
    with atomic_write(job.result, job.record, replace=job.output.force) as parts:
        lost = join(clip, segments, parts[0], cover)
        matches = yield from _judged(clip, open_clip(parts[0]), chosen, settings, other)
        margins = dict[int, float]()
        for track, change in zip(chosen.tracks, changes, strict=True):
            margins[track.person] = min(margins.get(track.person, np.inf), *change.margins)
        record = ClipRecord(
            veil=version("veil"),
            clip=clip.name,
            settings=settings,
            size=clip.size,
            seconds=round(clip.seconds, 3),
            pictures=clip.count,
            codec=job.codec,
            faces=described(clip, tracks, choice, margins, matches),
            picture_sha256=checksum(parts[0]),
            origin=job.origin,
            doubtful=choice.doubtful,
            notes=(*job.notes, *notes, *lost),
        )
        parts[1].write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return record


def _judged(
    before: Clip, after: Clip, tracks: Tracks, settings: Settings, other: Vectors | None
) -> Steps[dict[int, tuple[TrackMatch, ...]]]:
    """What recognisers make of each person in some pictures of a clip, before and after."""
    found = dict[int, tuple[TrackMatch, ...]]()
    people = tracks.people
    for done, person in enumerate(people):
        yield Step(Stage.JUDGING, done, len(people))
        places = {
            int(number): track for track in tracks.of([person]).tracks for number in track.indexes[track.seen]
        }
        shown = sorted(places)
        some = [shown[place] for place in np.linspace(0, len(shown) - 1, min(len(shown), JUDGED)).astype(int)]

        def faces(clip: Clip, some: list[int] = some, places: dict[int, MeshTrack] = places) -> Faces:
            for number, pixels in clip.chosen(some):
                face = places[number].face(number)
                assert face
                yield pixels, face

        own, left = (seen(faces(clip), packaged()) for clip in (before, after))
        found[person] = match(own, left, frozenset(settings.surrogates), other)
    return found


def _cover(clip: Clip, work: Path) -> tuple[bytes | None, tuple[str, ...]]:
    """The picture that stands for a clip, bare, unless it shows a face; and a word where it is not kept."""
    if clip.cover is None:
        return None, ()
    path = work / "cover"
    path.write_bytes(clip.cover)
    try:
        photo = open_photo(path)
    except BadPhoto:
        return None, (f"The cover picture of {clip.name} cannot be read, and is not kept.",)
    if search(photo.pixels).faces:
        return None, (f"The cover picture of {clip.name} shows a face, and is not kept.",)
    bare = work / ("cover.png" if photo.format == "PNG" else "cover.jpg")
    save_photo(photo, bare)
    return bare.read_bytes(), ()
