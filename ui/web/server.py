"""The page: `build` puts its tabs together, `serve` opens it. A new tab is one file and a line in `TABS`."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import BadSettings
from ...core.extras import needs
from ...core.files import workplace
from . import gradio_queue
from .policy import LOCAL, Headers, Rules

if TYPE_CHECKING:
    import gradio as gr

TABS = {
    "Protect": "protect",
    "Clip": "clip",
    "Check": "check",
    "Album": "album",
    "Models": "models",
    "Research": "research",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SWEEP = 60.0  # seconds between two looks for files whose time has come


def build(rules: Rules = LOCAL) -> gr.Blocks:
    """The page, ready to be launched; what it keeps for its visitors lies where gradio keeps uploads."""
    import gradio as gr

    from . import api, html
    from .page import Page
    from .sessions import Visitors

    with gr.Blocks(title="veil", analytics_enabled=False) as blocks:
        page = Page(rules, Visitors(gradio_queue.upload_folder(), rules.keep, rules.concurrency), blocks)
        gr.HTML(html.header(rules.hosted))
        for name, module in TABS.items():
            with gr.Tab(name):
                tab: Callable[[Page], None] = import_module(f".tabs.{module}", __package__).tab
                tab(page)
        api.fill(page)
        blocks.unload(api.leaving(page))
    blocks.queue(max_size=rules.line, api_open=False, default_concurrency_limit=rules.light)
    gradio_queue.look_seldom(page.queue)
    gradio_queue.one_job_each(page.queue)
    blocks.veil = page  # pyright: ignore[reportAttributeAccessIssue]  (for `serve` and the tests)
    return blocks


@contextmanager
def opened(
    rules: Rules = LOCAL,
    host: str = "127.0.0.1",
    port: int | None = None,
    auth: list[tuple[str, str]] | None = None,
    mcp: bool = False,
) -> Generator[tuple[gr.Blocks, str]]:
    """Open the page and yield it with its address; closes it, and deletes all that it kept, in the end.

    What a page that was killed has kept is deleted first.

    Raises:
        BadSettings: the page does not answer; `mcp`, and the extra of this name is not installed, or others
            may enter.
    """
    if mcp:
        _check_mcp(host, auth)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    from . import theme

    with workplace(Path(tempfile.gettempdir()), "veil-page-") as place:
        folder = place / "files"
        folder.mkdir()
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        if mcp:
            gradio_queue.keep_mcp_uploads_in(folder)
        blocks = build(rules)
        page: Any = blocks.veil  # pyright: ignore[reportAttributeAccessIssue]
        closed = page.visitors.watch(SWEEP, page.waiting)
        try:
            with gradio_queue.nothing_from_elsewhere():
                with gradio_queue.reached_directly(host):
                    _, address, _ = blocks.launch(
                        server_name=host,
                        server_port=port,
                        auth=auth,
                        prevent_thread_lock=True,
                        quiet=True,
                        share=False,
                        ssr_mode=False,
                        pwa=False,
                        mcp_server=mcp,
                        enable_monitoring=False,
                        run_history=False,
                        show_error=False,
                        footer_links=["api"],
                        allowed_paths=[],
                        max_file_size=rules.heaviest,
                        state_session_capacity=1000,
                        app_kwargs={"middleware": [(Headers, (), {})]},
                        theme=theme.theme(),
                        css_paths=[theme.CSS],
                        head=theme.HEAD,
                    )
                if mcp:
                    gradio_queue.hide_from_mcp(blocks, "me")
                yield blocks, address
        finally:
            closed.set()
            blocks.close(verbose=False)


def _check_mcp(host: str, auth: object) -> None:
    """Check that programs of this machine, and nobody else, can speak MCP with the page."""
    with needs("mcp"):
        import_module("mcp.server")
    if auth or host not in LOOPBACK:
        raise BadSettings(
            "MCP is for programs on this machine, and they have no password.",
            f"Leave --auth out, and let --host be one of {', '.join(LOOPBACK)}.",
        )


def serve(
    rules: Rules = LOCAL,
    host: str = "127.0.0.1",
    port: int | None = None,
    auth: list[tuple[str, str]] | None = None,
    mcp: bool = False,
) -> None:
    """Open the page until it is interrupted; with `mcp` for programs that speak MCP, too.

    Raises:
        BadSettings: the port is taken; or as `opened` does.
    """
    import signal
    import threading

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a service, too, leaves nothing behind
    try:
        with opened(rules, host, port, auth, mcp) as (_, address):
            print(f"veil is open at {address}  (Ctrl-C closes it)", flush=True)  # noqa: T201
            threading.Event().wait()
    except OSError as error:
        raise BadSettings(
            f"The page cannot be opened at {host}:{port or 'any port'} ({error}).",
            "Name another --port, or make room on the disk.",
        ) from error
    except KeyboardInterrupt:
        return


def passwords(file: Path) -> list[tuple[str, str]]:
    """The visitors of a file with a line `name:password` for each.

    Raises:
        BadSettings: it cannot be read, or a line is not of this form.
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(
            f"{file} cannot be read.", "Name a text file of lines like name:password."
        ) from error
    pairs = [tuple(line.split(":", 1)) for line in lines if line and not line.startswith("#")]
    if not pairs or any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise BadSettings(f"{file} holds a line that is not name:password.", "Write one visitor a line.")
    return [(name, password) for name, password in pairs]
