"""A clip on a Ray cluster: changes are found, and segments drawn and encoded, by its workers.

Faces are followed by the machine that was asked: where a face lies depends on the picture before, so that
sharing this out would change what is found. That machine joins the segments, too. A worker is given the
clip's file with each job, and keeps nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ..attacks.faces.tracks import Tracks
from ..core.progress import finish
from ..core.video import Clip
from ..privacy.settings import Settings
from ..privacy.video import ClipChange, find_changes
from .clip_drawing import Segment
from .cluster import Workers, held


@dataclass(frozen=True)
class ClipWorkers:
    """What `find_changes` and `Segment.write` do for one clip, many people and segments at a time."""

    workers: Workers
    clip: Clip

    def find(self, tracks: Tracks, settings: Settings) -> Iterator[list[tuple[int, ClipChange]]]:
        """The changes of tracks, with the places of these; those of one person come together, since each
        depends on those before it.

        Raises:
            VeilError: as `find_changes`, or a worker died again and again.
        """
        gpu = settings.device != "cpu"
        work = partial(_found, self.clip, settings, self.workers.cluster.share(self.clip.path.read_bytes()))
        people = {
            person: [place for place, track in enumerate(tracks.tracks) if track.person == person]
            for person in tracks.people
        }
        jobs = ((str(person), [tracks.alone(place) for place in people[person]]) for person in people)
        for person, result in self.workers.cluster.results(jobs, work, "protect", gpu):
            yield list(zip(people[int(person)], result(), strict=True))

    def draw(
        self, segments: Sequence[Segment], changes: Sequence[ClipChange]
    ) -> Iterator[tuple[Segment, bytes]]:
        """Segments with changes drawn into them, encoded; whichever is done first.

        Raises:
            VeilError: a picture cannot be decoded, or a worker died again and again.
        """
        share = self.workers.cluster.share(self.clip.path.read_bytes())
        by_start = {str(segment.start): segment for segment in segments}
        jobs = (
            (start, (segment, [change.between(segment.start, segment.stop) for change in changes]))
            for start, segment in by_start.items()
        )
        for start, result in self.workers.cluster.results(jobs, partial(_drawn, share), "draw"):
            yield by_start[start], result()


def _found(
    clip: Clip, settings: Settings, share: Callable[[], bytes], alone: list[Tracks]
) -> list[ClipChange]:
    """The changes of one person's tracks."""
    with held((clip.path, share())) as source:
        found = list[ClipChange]()
        for tracks in alone:
            chosen = replace(clip, path=source).chosen
            found.append(finish(find_changes(chosen, tracks, settings, tuple(found))))
        return found


def _drawn(share: Callable[[], bytes], job: tuple[Segment, list[ClipChange]]) -> bytes:
    """The file of a segment with changes drawn into it."""
    segment, changes = job
    with held((segment.clip.path, share())) as source:
        here, path = replace(segment, clip=replace(segment.clip, path=source)), source.parents[1] / "segment"
        for _ in here.write(here.clip.frames(here.start, here.stop), changes, path):
            pass
        return path.read_bytes()
