"""What the page allows: on one's own machine, and as a service for strangers (`VEIL_HOSTED=1`)."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any, TypeAlias

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
    line: how many jobs may wait; album: how many files one job may hold; None for any number.
    film: how many seconds the clips of a job may last; None for any number.
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
    film: float | None = None

    @property
    def said(self) -> str:
        """What may be uploaded, in words; nothing where everything may."""
        bounds = (
            (self.album, "{} files at a time"),
            (self.heaviest and self.heaviest / 1e6, "{:.0f} MB a file"),
            (self.longest, "{} pixels a side"),
            (self.film, "{:g} s of clips in all"),
        )
        known = ", ".join(words.format(bound) for bound, words in bounds if bound)
        return f"This page takes at most {known}." if known else ""

    def admit_album(self, paths: Collection[str]) -> None:
        """Check how many photos one job is to hold.

        Raises:
            BadPhoto: there are none, or too many.
        """
        if not paths:
            raise BadPhoto("There are no photos or clips yet.", "Drop some above.")
        if self.album and len(paths) > self.album:
            raise BadPhoto(f"This page takes {self.album} files at a time.", "Take some away.")

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

    def admit_film(self, seconds: float) -> None:
        """Check how long the clips of one job last, all together.

        Raises:
            BadPhoto: too long for this page.
        """
        if self.film and seconds > self.film:
            raise BadPhoto(
                f"The clips last {_up(seconds)} s together; this page takes {self.film:g}.",
                "Take some away, or run veil on your own machine.",
            )

    def admit_clip(self, name: str, size: tuple[int, int], seconds: float) -> None:
        """Check how large the pictures of a clip are, (width, height), and how long it lasts.

        Raises:
            BadPhoto: it is too much for this page.
        """
        hint = "Cut or shrink it first, or run veil on your own machine."
        if self.longest and max(size) > self.longest:
            raise BadPhoto(f"{name} measures {size[0]} x {size[1]} pixels: too large for this page.", hint)
        if self.film and seconds > self.film:
            raise BadPhoto(f"{name} lasts {_up(seconds)} s; this page takes {self.film:g}.", hint)


def _up(seconds: float) -> float:
    """Tenths of a second, and never as few as a limit that is exceeded."""
    return ceil(10 * seconds) / 10


LOCAL = Rules()
HOSTED = Rules(True, 1, 4096, 25_000_000, 24, 20, 480.0, 4, 15.0)


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


def log_error(error: BaseException) -> None:
    """Log where something failed, without its message: it may name a visitor's file."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    places = " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in reversed(frames))
    LOG.error("%s at %s", type(error).__name__, places)
