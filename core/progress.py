"""Long work is a generator of `Step`s that returns its result; these drain or follow one.

Closing the generator cancels the work: whatever it had patched or opened is put back by its `finally`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from .types import Step, Steps

T = TypeVar("T")


def finish(work: Steps[T], report: Callable[[Step], object] = lambda step: None) -> T:
    """Drain `work`, handing each step to `report`, and return what the work returns."""
    run = WithResult(work)
    try:
        for step in run:
            report(step)
    finally:
        work.close()
    return run.result


class WithResult(Generic[T]):
    """Follow `work` step by step; `result` holds what it returned once the iteration has ended."""

    result: T

    def __init__(self, work: Steps[T]) -> None:
        self._work = work

    def __iter__(self) -> Iterator[Step]:
        self.result = yield from self._work
