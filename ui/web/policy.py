"""What the page allows: on one's own machine, and as a service for strangers (`VEIL_HOSTED=1`)."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Awaitable, Callable, Generator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from ...core.errors import BadPhoto
from ...core.images import size_of

Message: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Application: TypeAlias = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

LOG = logging.getLogger("veil.page")
FILES = "/gradio_api/file="  # what comes before the path of a file in its address
ENGINE = "engine"  # the concurrency group of everything that protects

# The browser itself is told to talk to nobody but this server. Gradio builds its templates from strings,
# which needs 'unsafe-eval'.
HEADERS = {
    "content-security-policy": "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' "
    "'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; form-action 'self'; "
    "object-src 'none'; base-uri 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True)
class Rules:
    """What a page allows.

    concurrency: how many photos are protected at a time; light: how many of all else is done at a time.
    longest: the longest side of a photo in pixels; heaviest: the largest file in bytes.
    line: how many jobs may wait; album: how many photos one job may hold; None for any number.
    keep: for how many seconds after their last use files are kept; None until the page is closed.
    """

    hosted: bool = False
    concurrency: int = 1
    longest: int | None = None
    heaviest: int | None = None
    line: int | None = None
    album: int | None = None
    keep: float | None = None
    light: int = 2

    def admit(self, path: str | os.PathLike[str]) -> None:
        """Check that a photo is still here, and its size by its header, before anything is decoded.

        Raises:
            BadPhoto: it is too large for this page, or was deleted. What is no picture is left to
                `open_photo`.
        """
        name = os.path.basename(path)
        if not os.path.exists(path):
            raise BadPhoto(
                f"{name} is not here any more.", "What is not used for a while is deleted: drop it again."
            )
        if self.heaviest and os.path.getsize(path) > self.heaviest:
            raise BadPhoto(
                f"{name} is larger than {self.heaviest / 1e6:.0f} MB.",
                "Save it smaller, or run veil on your own machine.",
            )
        if self.longest:
            try:
                size = size_of(Path(path))
            except Exception:  # decoders raise whatever their parser stumbles over
                return
            if max(size) > self.longest:
                raise BadPhoto(
                    f"{name} measures {size[0]} x {size[1]} pixels; this page takes {self.longest} a side.",
                    "Make it smaller first, or run veil on your own machine.",
                )


LOCAL = Rules()
HOSTED = Rules(True, 1, 4096, 25_000_000, 24, 20, 480.0, 4)


def rules(
    environment: Mapping[str, str], concurrency: int | None = None, longest: int | None = None
) -> Rules:
    """The rules that the environment asks for, with the operator's changes."""
    chosen = HOSTED if environment.get("VEIL_HOSTED", "") not in ("", "0") else LOCAL
    changes = {"concurrency": concurrency, "longest": longest}
    return replace(chosen, **{name: value for name, value in changes.items() if value})


class Headers:
    """ASGI middleware that adds `HEADERS` to every response."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        await self.app(scope, receive, adding)


def one_job_each(queue: Any) -> None:
    """Let each visitor have one job of the engine at a time, running or waiting.

    The queue of gradio has no such rule, and an event function would learn of a second job only when its
    turn has come; so the rule is put before `push`, which answers as it does when the queue is full.
    """
    push = queue.push

    async def checked(*, body: Any, request: Any, username: str | None) -> Any:
        wanted = queue.blocks.fns[body.fn_index] if body.fn_index in queue.blocks.fns else None
        if wanted and wanted.concurrency_id == ENGINE:
            running = [event for job in queue.active_jobs if job for event in job]
            for event in (*waiting(queue), *running):
                if event.session_hash == body.session_hash and event.concurrency_id == ENGINE:
                    return False, "One job at a time: wait for the first, or stop it.", "error"
        return await push(body=body, request=request, username=username)

    queue.push = checked


@contextmanager
def nothing_from_elsewhere() -> Generator[None]:
    """Let gradio take no photo from an address, which it would fetch, but one of what was uploaded here."""
    from gradio import processing_utils

    fetch = processing_utils.async_ssrf_protected_download

    async def own(url: str, cache_dir: str) -> str:
        path = Path(unquote(urlsplit(url).path.partition(FILES)[2])).resolve()
        if not path.is_relative_to(Path(cache_dir).resolve()) or not path.is_file():
            raise BadPhoto("This page fetches nothing from elsewhere.", "Upload the photo.")
        return str(path)

    processing_utils.async_ssrf_protected_download = own
    try:
        yield
    finally:
        processing_utils.async_ssrf_protected_download = fetch


async def leave_line(queue: Any, session: str | None) -> bool:
    """Take a visitor's job out of the line; the page is told that it has ended. Whether there was one."""
    from gradio.server_messages import ProcessCompletedMessage

    for event in waiting(queue):
        if event.session_hash == session and event.concurrency_id == ENGINE:
            await queue.remove_from_queue(event._id)
            queue.send_message(event, ProcessCompletedMessage(output={"data": []}, success=True))
            return True
    return False


def waiting(queue: Any) -> list[Any]:
    """The jobs that wait in line."""
    return [event for line in tuple(queue.event_queue_per_concurrency_id.values()) for event in line.queue]


def log_error(error: BaseException) -> None:
    """Log where something failed, without its message: it may name a visitor's file."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    places = " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in reversed(frames))
    LOG.error("%s at %s", type(error).__name__, places)
