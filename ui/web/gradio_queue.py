"""What veil uses of gradio's insides, in one file; tests/test_gradio_queue.py tells when they change."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ...core.errors import BadPhoto, BadSettings
from .policy import ENGINE, FILES

if TYPE_CHECKING:
    import gradio as gr


TRIES = 20  # of three seconds each


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


def keep_name(files: gr.File) -> gr.File:
    """Let what comes keep, as `orig_name`, the name that it had; out of its path gradio takes characters."""
    inner: Any = files
    process = inner._process_single_file

    def named(file: Any) -> Any:
        path = process(file)
        path.orig_name = file.orig_name
        return path

    inner._process_single_file = named
    return files


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


@contextmanager
def reached_directly(host: str) -> Generator[None]:
    """Let gradio, when it opens the page, reach it past any proxy, and wait for it on a busy machine.

    gradio asks the page once, for three seconds, and otherwise recommends a public link.

    Raises:
        BadSettings: the page does not answer.
    """
    from gradio import networking

    ask, own = networking.url_ok, (host, "127.0.0.1", "localhost", "::1")
    before = {name: os.environ.get(name) for name in ("NO_PROXY", "no_proxy")}

    def patiently(url: str) -> bool:
        return any(ask(url) for _ in range(TRIES))

    for name, value in before.items():
        os.environ[name] = ",".join(filter(None, (value, *own)))
    networking.url_ok = patiently
    try:
        yield
    except (ValueError, networking.httpx.HTTPError) as error:  # pyright: ignore[reportPrivateImportUsage]
        raise BadSettings(
            f"The page was opened on {host} and does not answer ({type(error).__name__}).",
            "Try again when the machine is less busy, or with another --host or --port.",
        ) from error
    finally:
        networking.url_ok = ask
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def queue_of(blocks: gr.Blocks) -> Any:
    """The line in which the jobs of a page wait."""
    return blocks._queue  # pyright: ignore[reportPrivateUsage]


def look_seldom(queue: Any) -> None:
    """Let the line look for work 20 times a second, not a thousand: an idle page costs nothing."""
    queue.sleep_when_free, queue.progress_update_sleep_when_free = 0.05, 0.25


def upload_folder() -> Path:
    """Where gradio keeps what was uploaded."""
    from gradio.utils import get_upload_folder

    return Path(get_upload_folder())


def keep_mcp_uploads_in(folder: Path) -> None:
    """Let gradio's MCP server put photos where those of the page lie, whenever it was imported."""
    import gradio.mcp

    gradio.mcp.DEFAULT_TEMP_DIR = str(folder)


def hide_from_mcp(blocks: gr.Blocks, name: str) -> None:
    """Let MCP tools have no parameter of this name, which is optional; `no_mcp_tool` says why."""
    server: Any = blocks.mcp_server_obj
    for endpoint in server.api_info["named_endpoints"].values():
        endpoint["parameters"] = [one for one in endpoint["parameters"] if one["parameter_name"] != name]


def no_mcp_tool(event: Callable[..., Any]) -> Callable[..., Any]:
    """Keep an event function from being an MCP tool: what gradio tells clients of a list of files refers to
    definitions that are not there, so that every call would fail."""
    event._mcp_type = "none"  # pyright: ignore[reportFunctionMemberAccess]
    return event
