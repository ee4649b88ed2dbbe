"""What every tab of the page shares: the rules, the visitors, how work is followed, how errors are told."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ...core.errors import VeilError
from ...core.progress import finish
from ...core.types import Stage, Step, Steps
from .. import wording
from . import gradio_queue, html
from .pictures import embedded
from .policy import ENGINE, Rules, log_error
from .sessions import Follower, Visitor, Visitors

if TYPE_CHECKING:
    import gradio as gr

T = TypeVar("T")
U = TypeVar("U")

Shares: TypeAlias = Mapping[Stage, tuple[float, float]]

EVERY = 0.5  # seconds between two looks at the work
UNEXPECTED = VeilError(
    "Something went wrong inside veil; nothing was kept.",
    "Try once more, or with another photo. If it stays, tell the people who run this page.",
)
FULL = VeilError("There is no room left for files; nothing was kept.", "Make room on the disk, or try later.")
# Where each stage begins and ends, as shares of the work on a photo with one face; others take all of it.
SHARES: Shares = {
    Stage.GETTING_READY: (0.0, 0.0),
    Stage.LEARNING_EMBEDDINGS: (0.0, 0.15),
    Stage.PROTECTING: (0.15, 0.85),
    Stage.RENDERING: (0.85, 0.9),
    Stage.JUDGING: (0.9, 0.95),
    Stage.DISTURBING: (0.95, 1.0),
}
OF_CLIP: Shares = {
    Stage.FOLLOWING: (0.0, 0.15),
    Stage.GETTING_READY: (0.15, 0.15),
    Stage.LEARNING_EMBEDDINGS: (0.15, 0.2),
    Stage.PROTECTING: (0.2, 0.6),
    Stage.RENDERING: (0.6, 0.8),
    Stage.JUDGING: (0.8, 1.0),
}
JUDGED: Shares = {Stage.FOLLOWING: (0.0, 0.5), Stage.JUDGING: (0.5, 1.0)}  # of a clip that is only judged


@dataclass(frozen=True)
class Page:
    """What this page allows, and who is here."""

    rules: Rules
    visitors: Visitors
    blocks: gr.Blocks

    @property
    def queue(self) -> Any:
        """The line in which jobs wait."""
        return gradio_queue.queue_of(self.blocks)

    def waiting(self) -> set[str]:
        """The sessions that wait in line."""
        return {event.session_hash for event in gradio_queue.waiting(self.queue)}

    def busy(self, session: str | None) -> bool:
        """Whether a session has a job of the engine that runs or waits."""
        line = (
            event.session_hash for event in gradio_queue.waiting(self.queue) if event.concurrency_id == ENGINE
        )
        return session in line or self.visitors.busy(session)

    async def stop(self, session: str | None) -> str:
        """Take a visitor's job out of the line, or stop it within one step; returns what to say."""
        if await gradio_queue.leave_line(self.queue, session):
            return html.note("You left the line.")
        self.visitors.stop(session)
        return html.note("Stopping: the step that is being taken comes to its end.")

    def watch(
        self,
        visitor: Visitor,
        work: Steps[T],
        show: Callable[[str], U],
        prefix: str = "",
        shares: Shares = SHARES,
    ) -> Generator[U, None, T]:
        """Run work for a visitor: yields what `show` makes of the progress, at least every second.

        Returns the work's result, or raises what it raised. Closing this generator stops the work within
        one step.
        """
        with self.visitors.follow(visitor, work) as follower:
            clock, shown, last = Clock(shares), None, 0.0
            while not follower.ended.wait(EVERY):
                if follower.step is not shown or time.monotonic() - last >= 1:
                    shown, last = follower.step, time.monotonic()
                    yield show(clock.show(follower, prefix))
            if follower.error:
                raise follower.error
            return follower.result

    def drained(self, visitor: Visitor, work: Steps[T]) -> T:
        """The result of work for a visitor who does not look on."""
        watched: Any = self.watch(visitor, work, str)
        return finish(watched)


class Clock:
    """How far work is, and how long it may take still."""

    def __init__(self, shares: Shares = SHARES) -> None:
        self._shares, self._furthest = shares, 0.0
        self._words, self._begun, self._first = "", time.monotonic(), 0

    def show(self, follower: Follower[Any], prefix: str = "") -> str:
        """The progress of the work, in HTML."""
        step = follower.step
        if step is None:
            return html.progress(f"{prefix}Getting ready", None, "Looking at what was sent")
        preview = (
            embedded(follower.preview.preview)
            if follower.preview and follower.preview.preview is not None
            else ""
        )
        count = f"Step {step.done} of {step.total}" if step.total > 1 else ""
        detail = ", ".join(filter(None, (count, self._left(step))))
        return html.progress(prefix + wording.stage(step), self._share(step), detail, preview)

    def _share(self, step: Step) -> float:
        """How far the work is: never less than before, though some of it may be taken up again."""
        share = progress_share(step, self._shares)
        if step.stage in self._shares:
            share = self._furthest = max(self._furthest, share)
        return share

    def _left(self, step: Step) -> str:
        now = time.monotonic()
        if (words := wording.stage(step)) != self._words:
            self._words, self._begun, self._first = words, now, step.done
        steps = step.done - self._first
        if steps < 1:
            return ""
        seconds = (step.total - step.done) * (now - self._begun) / steps
        return f"about {seconds:.0f} s left" if seconds < 90 else f"about {seconds / 60:.0f} min left"


def progress_share(step: Step, shares: Shares = SHARES) -> float:
    """How far a step is in the whole, from 0 to 1."""
    begin, end = shares.get(step.stage, (0.0, 1.0))
    share = begin + (end - begin) * step.done / max(step.total, 1)
    if step.item is None:
        return share
    first, last, faces = step.item
    (begin, _), (_, end) = shares[Stage.LEARNING_EMBEDDINGS], shares[Stage.PROTECTING]  # of all faces
    done = first - 1 + (last - first + 1) * min((share - begin) / (end - begin), 1)
    return begin + done / faces * (end - begin)


def known(error: BaseException) -> VeilError:
    """The error as a visitor meets it; what was not foreseen is logged, without names."""
    if isinstance(error, VeilError):
        return VeilError(without_folders(error.message), without_folders(error.hint))
    log_error(error)
    return FULL if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT) else UNEXPECTED


def without_folders(text: str) -> str:
    """A message without the places of this machine's files."""
    return re.sub(r"(?<![\w.])/(?:[^/\s]+/)+(?=[^/\s])", "", text)


def plain(event: Callable[..., Any], name: str) -> Callable[..., Any]:
    """An event function whose errors reach a visitor in plain words; an MCP tool of this name."""
    import gradio as gr

    @wraps(event)
    def told(*arguments: Any, **named: Any) -> Any:
        try:
            return event(*arguments, **named)
        except gr.Error:
            raise
        except Exception as error:
            problem = known(error)
            raise gr.Error(f"{problem.message} {problem.hint}".strip(), print_exception=False) from None

    told.__name__ = name
    return told
