"""Spread work over processes or machines so that nothing finished is lost or done twice.

A job becomes files, each written beside its place and then moved there, the one that says "done"
last: whatever is killed, at whatever moment, it is finished or it has not begun. Imports no torch.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import islice
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, TextIO, TypeAlias, TypeVar, cast

from ..core.errors import BadSettings, VeilError
from ..core.extras import needs
from ..core.files import atomic_write
from ..core.types import Stage, Step, Steps

Payload = TypeVar("Payload")
Result = TypeVar("Result")
Files: TypeAlias = Mapping[str, bytes]  # by the ending of their names; the last one says "done"
Job: TypeAlias = tuple[str, Payload]  # its key, a relative path, and what has to be done
Finished: TypeAlias = Iterator[tuple[str, Files]]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# What a worker of a cluster that runs already would not know: where weights lie, how threads work.
INHERITED = ("VEIL_WEIGHTS", "MKL_CBWR", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
MAX_CRASHES = 3  # how often in a row a worker may die
QUEUED_PER_WORKER = 2  # jobs that are handed out for each worker


@dataclass(frozen=True)
class Store:
    """Finished jobs in a folder; `mark` ends the name of the file that says so."""

    folder: Path
    mark: str

    def path(self, key: str, ending: str) -> Path:
        """Where a file of a job lies."""
        return self.folder / f"{key}{ending}"

    def has(self, key: str) -> bool:
        """Whether a job is finished."""
        return self.path(key, self.mark).exists()

    def write(self, key: str, files: Files) -> None:
        """Keep the files of a finished job."""
        assert list(files)[-1] == self.mark
        for ending, data in files.items():
            path = self.path(key, ending)
            path.parent.mkdir(parents=True, exist_ok=True)
            replace(path, data)


def replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, and onto the disk."""
    with atomic_write(path, replace=True) as (part,), part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def run(
    jobs: Iterable[Job[Payload]],
    work: Callable[[Payload], Files],
    store: Store,
    workers: int = 1,
    cluster: str | None = None,
) -> Steps[int]:
    """Do what is missing and keep it; yields a step a job, returns how many were done.

    Args:
        workers: processes on this machine, each with one thread; 0 works in this process.
        cluster: address of a Ray cluster to use instead, or "local" to start one.

    Raises:
        BadSettings: Ray is not installed, or there is no such cluster.
        VeilError: a job ended its process three times.
    """
    everything = list(jobs)
    missing = [job for job in everything if not store.has(job[0])]
    before = len(everything) - len(missing)
    if cluster:
        done = on_cluster(missing, work, cluster)
    else:
        done = in_processes(missing, work, workers) if workers else in_this_process(missing, work)
    for count, (key, files) in enumerate(done, 1):
        store.write(key, files)
        yield Step(Stage.BENCHMARKING, before + count, len(everything))
    return len(missing)


def in_this_process(jobs: Iterable[Job[Payload]], work: Callable[[Payload], Files]) -> Finished:
    """One after the other, in this process."""
    for key, payload in jobs:
        yield key, work(payload)


def in_processes(jobs: Iterable[Job[Payload]], work: Callable[[Payload], Files], workers: int) -> Finished:
    """In processes of one thread; one that dies is replaced and what it held is done again."""
    left, crashes = dict(jobs), 0
    while left:
        try:
            for key, files in _pooled(left, work, workers):
                yield key, files
                del left[key]
                crashes = 0
        except BrokenProcessPool as error:
            crashes += 1
            if crashes == MAX_CRASHES:
                raise VeilError(
                    "A worker process died again and again.", "Is there enough memory? Try fewer --workers."
                ) from error


def _pooled(jobs: Mapping[str, Payload], work: Callable[[Payload], Files], workers: int) -> Finished:
    waiting, running = iter(list(jobs.items())), dict[Future[Files], str]()
    for variable in THREADS:  # read when torch is loaded, in the process that is spawned
        os.environ.setdefault(variable, "1")
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin) as pool:
        try:
            while True:
                for key, payload in islice(waiting, workers * QUEUED_PER_WORKER - len(running)):
                    running[pool.submit(work, payload)] = key
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    """End this process when its parent has been killed."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def on_cluster(jobs: Iterable[Job[Payload]], work: Callable[[Payload], Files], address: str) -> Finished:
    """On a Ray cluster."""
    with ray_cluster(address) as cluster:
        for key, result in cluster.results(jobs, work, "benchmark"):
            yield key, result()


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this process is connected to; `ray` is the package."""

    ray: Any

    def workers(self, gpu: bool = False) -> int:
        """How many workers it has, each with a core or with a GPU of its own."""
        return int(self.ray.cluster_resources().get("GPU" if gpu else "CPU", 0))

    def share(self, data: bytes) -> Callable[[], bytes]:
        """Send what many jobs need once; what is returned may be part of them, and gives it to workers."""
        return partial(_fetched, self.ray.put(data))

    def results(
        self,
        jobs: Iterable[Job[Payload]],
        work: Callable[[Payload], Result],
        name: str,
        gpu: bool = False,
    ) -> Iterator[tuple[str, Callable[[], Result]]]:
        """Do jobs, several at a time; one whose worker is killed goes to another worker.

        Yields, as they end, the key of each and what returns its result, or raises what it raised or, where
        it ended its process again and again, `VeilError`. A worker stays, with the models that it has
        loaded, for one job after another.
        """

        def job(payload: Payload) -> Result:  # Ray wants a plain function
            return work(payload)

        job.__name__ = job.__qualname__ = name  # the title of a process that does one
        options = {"num_cpus": 1, "num_gpus": int(gpu), "max_calls": 0, "max_retries": MAX_CRASHES}
        remote = self.ray.remote(**options)(job)
        waiting, running = iter(jobs), dict[Any, str]()
        while True:
            for key, payload in islice(waiting, QUEUED_PER_WORKER * self.workers(gpu) - len(running)):
                running[remote.remote(payload)] = key
            if not running:
                return
            (finished, *_), _ = self.ray.wait(list(running), num_returns=1)
            yield running.pop(finished), partial(self._result, finished)

    def _result(self, finished: Any) -> Any:
        try:
            return self.ray.get(finished)
        except self.ray.exceptions.RayTaskError as error:  # what the job itself raised
            raise error.cause from error
        except self.ray.exceptions.RayError as error:
            raise VeilError(
                f"A worker of the cluster died again and again ({type(error).__name__}).",
                "Is there enough memory on its machines?",
            ) from error


def _fetched(reference: Any) -> bytes:
    ray: Any = import_module("ray")
    return ray.get(reference)


@contextmanager
def ray_cluster(address: str) -> Generator[Cluster]:
    """Connect to the Ray cluster at an address; "local" starts one.

    Raises:
        BadSettings: Ray is not installed, or there is no such cluster.
    """
    with needs("cluster"):
        ray: Any = import_module("ray")
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment = {"env_vars": inherited | dict.fromkeys(THREADS, "1")}
    try:
        ray.init(address=address, runtime_env=environment, include_dashboard=False, log_to_driver=False)
    except (ConnectionError, ValueError) as error:
        raise BadSettings(
            f"There is no Ray cluster at {address!r} ({error}).", "Start one with `ray start`, or say local."
        ) from error
    try:
        with redirect_stdout(cast("TextIO", _OfThisThread(sys.stdout))):
            yield Cluster(ray)
    finally:
        ray.shutdown()


class _OfThisThread:
    """Standard output for the thread that makes it; what others print goes to standard error.

    Ray prints when a worker dies, and a program may read what is printed.
    """

    def __init__(self, stream: object) -> None:
        self._stream, self._thread = stream, threading.get_ident()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream if threading.get_ident() == self._thread else sys.stderr, name)
