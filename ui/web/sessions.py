"""Whose files are whose: a visitor's lie in a folder that nobody can guess, and go with the visitor."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Generic, TypeVar

from ...core.memory import give_back
from ...core.progress import WithResult
from ...core.types import Step, Steps
from .policy import log_error

T = TypeVar("T")


class Stopped(Exception):
    """The visitor stopped the job, or left."""


class Follower(Generic[T]):
    """Work on a thread of its own, so that the page can look at it, or stop it, at any time.

    step: the latest; result: once `ended`, unless `error` is set. The work is always closed by the thread
    that runs it, and its place in `slots` is free only after that.
    """

    result: T

    def __init__(self, work: Steps[T], slots: threading.Semaphore) -> None:
        self.step: Step | None = None
        self.preview: Step | None = None
        self.error: BaseException | None = None
        self.ended = threading.Event()
        self._work, self._slots, self._stop = work, slots, threading.Event()

    def stop(self) -> None:
        """Ask the work to end; it does after the step that is being taken."""
        self._stop.set()

    def run(self) -> None:
        """Do the work; this is the thread's body."""
        try:
            while not self._slots.acquire(timeout=0.2):
                self._check()
            try:
                self._follow()
            finally:
                self._work.close()
                self._slots.release()
                give_back()
        except BaseException as error:  # told to whoever follows
            self.error = error
        finally:
            self.ended.set()

    def _follow(self) -> None:
        run = WithResult(self._work)
        self._check()
        for step in run:
            self.step = step
            if step.preview is not None:
                self.preview = step
            self._check()
        self.result = run.result

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped


@dataclass
class Visitor:
    """One open page, or one client: its folder, its uploads, and the jobs that run for it."""

    folder: Path
    uploads: set[Path] = field(default_factory=set[Path])
    jobs: set[Follower[object]] = field(default_factory=set["Follower[object]"])
    used: float = field(default_factory=time.monotonic)

    def path_for(self, name: str) -> Path:
        """A new place for a file of this name, in a folder of its own."""
        folder = self.folder / token_hex(8)
        folder.mkdir(parents=True)
        return folder / Path(name).name


class Visitors:
    """All visitors by the session that gradio gives them; files stay `keep` seconds after the last use."""

    def __init__(self, root: Path, keep: float | None, slots: int) -> None:
        self.root, self.keep = root, keep
        self._slots = threading.BoundedSemaphore(slots)
        self._known: dict[str, Visitor] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, session: str | None, uploads: Iterable[str] = ()) -> Visitor:
        """The visitor of a session, who has just used these uploads."""
        with self._lock:
            visitor = self._known.setdefault(session or "", Visitor(self.root / f"visitor-{token_hex(16)}"))
            visitor.used = time.monotonic()
            visitor.uploads.update(Path(path) for path in uploads)
            return visitor

    @contextmanager
    def follow(self, visitor: Visitor, work: Steps[T]) -> Generator[Follower[T]]:
        """Run work for a visitor; when this context is left, by whatever way, the work is asked to stop."""
        follower: Follower[T] = Follower(work, self._slots)
        with self._lock:
            visitor.jobs.add(follower)  # pyright: ignore[reportArgumentType]
        run = copy_context().run  # who asked is known to the work, too: ZeroGPU counts by visitor
        threading.Thread(target=run, args=(follower.run,), daemon=True).start()
        try:
            yield follower
        finally:
            follower.stop()
            with self._lock:
                visitor.jobs.discard(follower)  # pyright: ignore[reportArgumentType]
                visitor.used = time.monotonic()

    def busy(self, session: str | None) -> bool:
        """Whether a job runs for a session."""
        with self._lock:
            visitor = self._known.get(session or "")
            return bool(visitor and visitor.jobs)

    def stop(self, session: str | None) -> None:
        """Stop the jobs of a session; takes effect within one step."""
        with self._lock:
            visitor = self._known.get(session or "")
            jobs = tuple(visitor.jobs) if visitor else ()
        for job in jobs:
            job.stop()

    def leave(self, session: str | None) -> None:
        """The visitor has gone: stop the jobs, delete the files."""
        with self._lock:
            visitor = self._known.pop(session or "", None)
        if visitor:
            self._clear(visitor)

    def _clear(self, visitor: Visitor) -> None:
        """Stop the jobs and delete the files of a visitor who is not known any more."""
        with self._lock:
            jobs, uploads = tuple(visitor.jobs), frozenset(visitor.uploads)
            shared = {path for other in self._known.values() for path in other.uploads}
        for job in jobs:
            job.stop()
        for path in uploads - shared:
            if path.is_relative_to(self.root):
                path.unlink(missing_ok=True)
        shutil.rmtree(visitor.folder, ignore_errors=True)
        give_back()

    def sweep(self, waiting: Collection[str] = ()) -> None:
        """Forget visitors, and delete any file below `root`, that were not used for `keep` seconds.

        A session that is `waiting` in line, or whose job runs, is using its files.
        """
        if self.keep is None:
            return
        with self._lock:  # other threads add visitors, uploads and jobs
            now = time.monotonic()
            for session, visitor in self._known.items():
                if visitor.jobs or session in waiting:
                    visitor.used = now
            old = [session for session, visitor in self._known.items() if now - visitor.used > self.keep]
            gone = [self._known.pop(session) for session in old]
        for visitor in gone:
            self._clear(visitor)
        with self._lock:
            held = {path for visitor in self._known.values() for path in (visitor.folder, *visitor.uploads)}
        # passes over what others delete meanwhile
        for folder, folders, files in os.walk(self.root, topdown=False):
            for path in (Path(folder, name) for name in (*files, *folders)):
                if not held.intersection((path, *path.parents)):
                    _forget(path, time.time() - self.keep)

    def watch(self, every: float, waiting: Callable[[], Collection[str]]) -> threading.Event:
        """Sweep again and again until the event that is returned is set, whatever goes wrong in one sweep."""
        closed = threading.Event()

        def sweeping() -> None:
            while not closed.wait(every):
                try:
                    self.sweep(waiting())
                except Exception as error:  # what is promised is deletion: the next sweep tries again
                    log_error(error)

        threading.Thread(target=sweeping, daemon=True).start()
        return closed


def _forget(path: Path, before: float) -> None:
    """Delete a file that was written before a time, or a folder that is empty."""
    try:
        if path.stat().st_ctime < before:
            path.rmdir() if path.is_dir() else path.unlink()
    except OSError:  # in use, not empty, or gone already
        pass
