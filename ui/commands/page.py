"""`veil ui`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def ui(
    host: Annotated[str, typer.Option(help="0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Otherwise the first free one from 7860.", show_default=False)
    ] = None,
    auth: Annotated[Path | None, typer.Option(help="Who may enter: lines of name:password.")] = None,
    max_side: Annotated[
        int | None, typer.Option(min=64, help="Refuse photos with a longer side, in pixels.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Photos that are protected at a time.")] = 1,
    mcp: Annotated[
        bool, typer.Option("--mcp", help="Let agents on this machine use it, by the Model Context Protocol.")
    ] = False,
) -> None:
    """Open the page in the browser; with VEIL_HOSTED=1 under the rules for strangers."""
    import os

    from ..web import policy
    from ..web.server import passwords, serve

    entrants = passwords(auth) if auth else None
    serve(policy.rules(os.environ, concurrency, max_side), host, port, entrants, mcp)
