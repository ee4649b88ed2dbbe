"""The photos of an album on a Ray cluster: each goes to a worker as bytes, and comes back as its result."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from ..attacks.faces.detection import search
from ..attacks.faces.found import Found
from ..core.errors import BadPhoto, BadSettings, VeilError
from ..core.files import atomic_write, printable
from ..core.images import open_photo
from ..core.progress import finish
from ..core.types import Photo, Sighting, Stage, Step, Steps
from ..eval.datasets import checksum
from ..eval.resumable import Cluster, ray_cluster
from ..privacy.settings import Settings
from . import workflow
from .albums import Album
from .records import Record
from .terminal import known

T = TypeVar("T")
Kept = TypeVar("Kept")
Sent = tuple[Path, bytes]  # a photo or clip: where it lies on the machine that it comes from, and its file


@contextmanager
def workers(address: str, settings: Settings) -> Generator[Workers]:
    """Connect to the workers of the Ray cluster at an address, "local" for one of this machine alone.

    Raises:
        BadSettings: Ray is not installed, there is no such cluster, or it lacks the device of the settings;
            or they name one of several devices, of which each worker sees its own alone.
    """
    kind, several, _ = settings.device.partition(":")
    if several:
        raise BadSettings(
            f"With --ray each worker has a device of its own, and {settings.device!r} names one of several.",
            f"Give --device {kind}.",
        )
    with ray_cluster(address) as cluster:
        if not cluster.workers(gpu=kind != "cpu"):
            raise BadSettings(f"No machine of the cluster has a device {kind!r}.", "Give --device cpu.")
        yield Workers(cluster)


@dataclass(frozen=True)
class Workers:
    """What `search` and `workflow.run` do, for many photos at a time, each on a core or a GPU of its own.

    Workers need veil, and what was fetched for it, but no folder of this machine. What goes wrong with a
    photo is raised where its result is waited for.
    """

    cluster: Cluster

    def search(self, sources: Sequence[Path]) -> Callable[[Path], Found]:
        """Begin to find the faces of photos; returns what waits for those of one."""
        results = self.cluster.results(_sent(sources), _found, "search")
        wait = _arriving(results, len(sources), lambda _, found: found)

        def found(source: Path) -> Found:
            faces, digest = finish(wait(source))
            if digest != checksum(source):
                raise BadPhoto(f"{printable(source)} has changed since its faces were found.", "Try again.")
            return faces

        return found

    def protect(
        self,
        jobs: Sequence[workflow.Job],
        settings: Settings,
        target: Sighting | None,
        probe: Photo | None,
        known: Album | None = None,
    ) -> Callable[[workflow.Job], Steps[Record]]:
        """Begin to protect photos; returns what waits for one, a step a photo.

        Whichever is done is written at once, picture and record together or not at all.
        """
        by_source = {job.source: job for job in jobs}
        work = partial(_protected, by_source, settings, target, probe, known)
        gpu = settings.device != "cpu"
        results = self.cluster.results(_sent(list(by_source)), work, "protect", gpu)
        wait = _arriving(results, len(jobs), lambda source, files: _write(by_source[Path(source)], files))
        return lambda job: wait(job.source)


def _sent(sources: Sequence[Path]) -> Iterator[tuple[str, Sent]]:
    """Photos as they are handed out; one that cannot be read is empty, as its checksum tells."""
    for source in sources:
        try:
            yield str(source), (source, source.read_bytes())
        except OSError:
            yield str(source), (source, b"")


@contextmanager
def held(sent: Sent) -> Generator[Path]:
    """A photo or clip as a file of its own name, in a folder of a folder that is gone afterwards."""
    with TemporaryDirectory() as folder:
        source = Path(folder, "before", sent[0].name)
        source.parent.mkdir()
        source.write_bytes(sent[1])
        yield source


def _found(sent: Sent) -> tuple[Found, str]:
    """The faces of a photo, and its checksum."""
    with held(sent) as source:
        return search(open_photo(source).pixels), checksum(source)


def _protected(
    jobs: Mapping[Path, workflow.Job],
    settings: Settings,
    target: Sighting | None,
    probe: Photo | None,
    known: Album | None,
    sent: Sent,
) -> tuple[bytes, bytes]:
    """The files of a protected photo, picture and record."""
    job = jobs[sent[0]]
    with held(sent) as source:
        picture = source.parents[1] / job.picture.name
        here = replace(job, source=source, picture=picture, record=picture.with_suffix(".json"))
        finish(workflow.run(here, settings, target, probe, known))
        return picture.read_bytes(), here.record.read_bytes()


def _write(job: workflow.Job, files: tuple[bytes, bytes]) -> Record:
    paths = job.picture, job.record
    with (
        workflow.telling_when_unwritable(job.picture),
        atomic_write(*paths, replace=job.output.force) as parts,
    ):
        for part, data in zip(parts, files, strict=True):
            part.write_bytes(data)
    return Record.model_validate_json(files[1])


def _arriving(
    results: Iterator[tuple[str, Callable[[], T]]], total: int, keep: Callable[[str, T], Kept]
) -> Callable[[Path], Steps[Kept]]:
    """What waits for the result of one photo and keeps whichever comes before; it yields a step a photo."""
    done: dict[str, Kept | VeilError] = {}

    def wait(source: Path) -> Steps[Kept]:
        while str(source) not in done:
            key, result = next(results)
            try:
                done[key] = keep(key, result())
            except Exception as error:
                done[key] = known(error, key)
            yield Step(Stage.PROTECTING, len(done), total)
        outcome = done[str(source)]
        if isinstance(outcome, VeilError):
            raise outcome
        return outcome

    return wait
