"""From clip to clip: faces are followed, changes found and drawn, and a run that was stopped goes on.

What has been found lies in a folder beside the result until that is written: the tracks, the change of each,
and the pictures that are encoded, in segments.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ..attacks import packaged
from ..attacks.faces.tracking import follow
from ..attacks.faces.tracks import Tracks
from ..core.errors import BadClip, BadSettings
from ..core.files import atomic_write, discard_workplace, empty, kept_workplace
from ..core.memory import give_back
from ..core.progress import WithResult
from ..core.types import Item, Sighting, Stage, Step, Steps
from ..core.video import Clip, open_clip
from ..core.video_joining import check_sound, join
from ..core.video_writing import codec_for
from ..eval.clip_report import judge
from ..eval.datasets import checksum
from ..eval.disturbances.clip_codec import Encoding
from ..eval.tracks import Vectors, seen
from ..privacy.settings import Settings
from ..privacy.video import ClipChange, Elsewhere, find_changes
from .albums import Album
from .clip_drawing import Machines, cover_of, segments_of
from .clip_faces import ClipChoice, choose, described, unmet
from .clip_records import ClipFace, ClipOrigin, ClipPassedOver, ClipRecord, done_before, is_result
from .outputs import Output, claimed, clip_of, numbered, real, record_of
from .records import Shortfall, left_behind, named
from .references import compare_clip, known_of
from .selection import Whom
from .wording import AGAIN
from .workflow import telling_when_unwritable


@dataclass(frozen=True)
class ClipJob:
    """A clip that is ready to be protected: what it is, the files to write, and what there is to say.

    alone: whether it is the one that was asked for; if others are, one that shows no face is passed over.
    ignored: which other photos of people show nobody who is protected, once that is known.
    """

    source: Path
    clip: Clip
    origin: ClipOrigin
    codec: str
    result: Path
    record: Path
    output: Output = Output()
    notes: tuple[str, ...] = ()
    alone: bool = True
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClipDone:
    """A clip whose result is there already: made from the same, in the same way, and not changed since."""

    source: Path
    result: Path
    record: Path
    said: ClipRecord
    why: str = "was done before"


def prepare(
    source: Path,
    output: Output,
    whom: Whom,
    taken: set[str],
    alone: bool,
    settings: Settings,
    people: Iterable[Path] = (),
    probe: Path | None = None,
    album: bool = False,
    references: Iterable[Path] = (),
) -> ClipJob | ClipPassedOver | ClipDone:
    """Check everything that could go wrong with a clip before its faces are looked for.

    Args:
        taken: the real paths that must not be written to; those of this job are added.
        alone: whether it is the one that was asked for; then a result of veil is protected again, with a
            word, and one that shows no face is an error; otherwise they are passed over.
        people: the photos of the person whom `whom` names.
        probe, album, references: whether `run` is going to be given them, and of which photos.

    Raises:
        BadClip: the clip cannot be used, or the result not be written.
        MadeOtherwise: one is there that was made with other settings.
        BadSettings: clips are not protected so.
    """
    if settings.goal != "dodge":
        raise BadSettings(
            "In clips people can be made to look like nobody known, and not like somebody else.",
            "Leave --goal and --target away, or name photos only.",
        )
    if settings.method != "veil":
        raise BadSettings(
            f"Clips are protected by veil's own method, and not by {settings.method}.",
            "Leave the method away, or name photos only.",
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
        people=tuple(map(checksum, people)),
        spare=whom.spare,
        probe=checksum(probe) if probe else "",
        album=album,
        references=tuple(map(checksum, references)),
    )
    result = clip_of(source, output, taken)
    record = record_of(result)
    free = not output.force and not {real(result), real(record)} & taken
    if free and (said := done_before(result, settings, origin)):
        taken |= {real(result), real(record)}
        discard_workplace(result)  # of a run that was killed at its end
        return ClipDone(source, result, record, said)
    codec = codec_for(clip, result, output.codec)
    check_sound(clip, result)
    notes = (*[AGAIN.format(clip.name)] * again, *clip.notes, *numbered(source, result, output, taken))
    taken |= claimed((result, record), taken, output.force)
    return ClipJob(source, clip, origin, codec, result, record, output, notes, alone)


def run(
    job: ClipJob,
    settings: Settings,
    whom: Whom,
    probe: Sighting | None = None,
    tracks: Tracks | None = None,
    album: Album | None = None,
    machines: Machines | None = None,
) -> Steps[ClipRecord | ClipPassedOver]:
    """Protect a clip and write it and its record, which appear together or not at all.

    Closing the generator keeps what has been found; the next run for the same goes on there.

    Args:
        probe: another picture of the person, with which recognisers compare; by default the clip itself.
        tracks: its faces, where they have been followed.
        album: what is known of people beside this clip; where its photos and clips are kept apart, the result
            is added.
        machines: others, which find the changes and draw them; the result is the same. With an album they
            only draw.

    Raises:
        NoFace, BadSettings: as `clip_faces.choose`.
        BadClip: a picture cannot be decoded, the clip changes meanwhile, or the result cannot be written.
    """
    with telling_when_unwritable(job.result), kept_workplace(job.result) as work:
        clip = job.clip
        _check_unchanged(job, work)
        tracks = tracks or (yield from _tracks(clip, job.origin, work))
        if (whom.person or not job.alone) and (why := unmet(tracks)):
            none: tuple[Shortfall, ...] = () if tracks.people or whom.person else ("no face found",)
            return _passed_over(job.source, why, described(clip, tracks), none)
        choice = choose(clip, tracks, whom)
        if not choice.people:
            return _passed_over(job.source, whom.missing, described(clip, tracks, choice))
        chosen = tracks.of(choice.people)
        beside, said = known_of(album, clip, described(clip, chosen))
        job = replace(job, notes=(*job.notes, *said.notes), ignored=said.ignored)
        place = _place_for(work, settings, job, beside)
        changes = yield from _changes(clip, chosen, settings, place, beside, machines)
        give_back()  # what solving took
        segments = yield from segments_of(clip, job.codec, job.output.crf, changes, place, machines)
        give_back()  # what codecs took
        other = seen([(probe.frame.pixels, probe.face)], packaged()) if probe else None
        more = changes, segments, work, other, beside[1]
        record = yield from _written(job, settings, tracks, choice, *more)
    if album:
        album.reopen_clip(clip, open_clip(job.result), record.faces)
    return record


def _passed_over(
    source: Path, why: str, faces: tuple[ClipFace, ...], none: tuple[Shortfall, ...] = ()
) -> ClipPassedOver:
    return ClipPassedOver(source, why, faces, (*none, *left_behind(face.left for face in faces)))


def _check_unchanged(job: ClipJob, work: Path) -> None:
    """Check that a clip is what it was when it was opened; otherwise what was found in it is deleted.

    Raises:
        BadClip: it is not.
    """
    if job.source.is_file() and checksum(job.source) == job.origin.clip:
        return
    empty(work)
    raise BadClip(f"{job.clip.name} has changed since veil opened it.", "Protect it again.")


def _tracks(clip: Clip, origin: ClipOrigin, work: Path) -> Steps[Tracks]:
    """The faces of a clip, as they were followed before, or now."""
    path = work / f"tracks-{origin.clip[:16]}-{version('veil')}.npz"
    with suppress(OSError, KeyError, ValueError):
        return Tracks.load(path)
    tracks = yield from follow(clip.frames(), clip.count)
    tracks.save(path)
    return tracks


def _place_for(work: Path, settings: Settings, job: ClipJob, beside: tuple[Elsewhere, Elsewhere]) -> Path:
    """The folder for what is found with these settings; what was found with others is deleted."""
    album = [
        [hashlib.sha256(sighting.frame.pixels.tobytes()).hexdigest() for sighting in sightings]
        for elsewhere in beside
        for sightings in elsewhere.values()
    ]
    parts = [version("veil"), settings.model_dump(mode="json"), job.origin.model_dump(), job.codec, album]
    place = work / hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    for other in work.iterdir():
        if other.is_dir() and other != place:
            shutil.rmtree(other)
    place.mkdir(exist_ok=True)
    return place


def _changes(
    clip: Clip,
    tracks: Tracks,
    settings: Settings,
    place: Path,
    beside: tuple[Elsewhere, Elsewhere],
    machines: Machines | None,
) -> Steps[list[ClipChange]]:
    """The change of each track, as it was found before, or now."""
    changes, total = list[ClipChange](), len(tracks.tracks)
    paths = [place / f"change-{number}.npz" for number in range(total)]
    missing = {tracks.tracks[number].person for number in range(total) if not paths[number].exists()}
    nowhere = not any(sightings for elsewhere in beside for sightings in elsewhere.values())
    if machines and missing and nowhere:
        for found in machines.find(tracks, settings, missing):
            for number, change in found:
                change.save(paths[number])
            yield Step(Stage.PROTECTING, sum(map(Path.exists, paths)), total)
    for number in range(total):
        path, alone = paths[number], tracks.alone(number)
        with suppress(OSError, KeyError, ValueError):
            changes.append(ClipChange.load(path, alone))
            continue
        run = WithResult(find_changes(clip.chosen, alone, settings, tuple(changes), *beside))
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
    references: Elsewhere,
) -> Steps[ClipRecord]:
    """Write the clip, judge it as it was written, and write the record beside it."""
    clip, chosen = job.clip, tracks.of(choice.people)
    cover, notes = cover_of(clip, work)
    with atomic_write(job.result, job.record, replace=job.output.force) as parts:
        lost = join(clip, segments, parts[0], cover)
        how = packaged(), frozenset(settings.surrogates), other, Encoding(job.output.crf, job.codec)
        after = open_clip(parts[0])
        if after.count != clip.count:
            raise BadClip(f"The result of {clip.name} has not all of its pictures.", "Try an .mkv with -o.")
        reports = yield from judge(clip, after, chosen, *how)
        compared = compare_clip((clip, after), described(clip, chosen), references, *how[:2])
        _check_unchanged(job, work)
        margins = dict[int, float]()
        for track, change in zip(chosen.tracks, changes, strict=True):
            margins[track.person] = min(margins.get(track.person, np.inf), *change.margins)
        record = ClipRecord(
            veil=version("veil"),
            clip=clip.name,
            settings=settings,
            **named(settings),
            size=clip.size,
            seconds=round(clip.seconds, 3),
            pictures=clip.count,
            other_photo=other is not None,
            codec=job.codec,
            faces=described(clip, tracks, choice, margins, reports, compared),
            picture_sha256=checksum(parts[0]),
            origin=job.origin,
            doubtful=choice.doubtful,
            notes=(*job.notes, *notes, *lost),
            ignored=job.ignored,
        )
        parts[1].write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return record
