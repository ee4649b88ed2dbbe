"""The page as programs meet it that speak the Model Context Protocol: a true client of it asks."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import CallToolResult, ImageContent, TextContent
from PIL import Image
from typer.testing import CliRunner

from veil.core.errors import BadSettings
from veil.ui.cli import app
from veil.ui.web.server import opened as open_

pytestmark = pytest.mark.filterwarnings(
    # websockets, starlette's test aids and the client itself announce their next versions
    "ignore::DeprecationWarning",
    "ignore:unclosed:ResourceWarning",
)


def ask(address: str, question: Callable[[ClientSession], Awaitable[Any]]) -> Any:
    """What a client of the page's MCP server is answered."""

    async def asked() -> Any:
        async with (
            streamablehttp_client(f"{address}gradio_api/mcp/") as (reads, writes, _),
            ClientSession(reads, writes) as session,
        ):
            await session.initialize()
            return await question(session)

    return asyncio.run(asked())


def call(address: str, tool: str, **arguments: Any) -> CallToolResult:
    """What a tool returns."""
    return ask(address, lambda session: session.call_tool(tool, arguments))


def words(result: CallToolResult) -> str:
    return " ".join(part.text for part in result.content if isinstance(part, TextContent))


def as_data(photo: Path) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(photo.read_bytes()).decode()}"


def test_the_tools_are_the_endpoints_and_say_what_they_do(served: Any) -> None:
    tools = {tool.name: tool for tool in ask(served.address, lambda session: session.list_tools()).tools}
    assert sorted(tools) == ["check", "faces", "impersonate", "models", "protect"]
    assert "recognisers should know nobody" in str(tools["protect"].description)
    assert set(tools["protect"].inputSchema["properties"]) >= {"photo", "strength", "faces", "effort"}
    assert "me" not in tools["protect"].inputSchema["properties"]  # a list of files, which no tool can take


@pytest.mark.slow
def test_a_photo_is_protected(served: Any, portrait: Path) -> None:
    """The picture comes with the answer where the client follows the progress, else as its address."""
    told: list[str | None] = []

    async def followed(progress: float, total: float | None, message: str | None) -> None:
        told.append(message)

    asked = {"photo": as_data(portrait), "strength": "subtle", "effort": "quick"}
    result = ask(
        served.address,
        lambda session: session.call_tool("protect", asked, progress_callback=followed),
    )
    assert not result.isError, words(result)
    (picture,) = [part for part in result.content if isinstance(part, ImageContent)]
    image = np.asarray(Image.open(BytesIO(base64.b64decode(picture.data))).convert("RGB"))
    before = np.asarray(Image.open(portrait).convert("RGB")).astype(int)
    assert 0.5 < np.abs(image - before).mean() < 5  # changed, and still the photo
    assert "sface" in words(result)
    stored = [path for path in served.folder.rglob("*") if path.is_file()]
    assert any(portrait.read_bytes() == path.read_bytes() for path in stored)  # and so goes with the page
    address = re.search(
        rf"{served.address}gradio_api/file=[^'\s]+", words(call(served.address, "protect", **asked))
    )
    assert address
    again = Image.open(BytesIO(httpx.get(address[0], timeout=30).content)).convert("RGB")
    assert np.abs(np.asarray(again).astype(int) - before).mean() < 5


def test_a_photo_that_was_uploaded_may_be_named_by_its_address(served: Any, portrait: Path) -> None:
    sent = {"files": ("me.jpg", portrait.read_bytes())}
    (path,) = httpx.post(f"{served.address}gradio_api/upload", files=sent, timeout=30).json()
    result = call(served.address, "faces", photo=f"{served.address}gradio_api/file={path}")
    assert "'protectable': True" in words(result)


@pytest.mark.slow
def test_clips_are_judged(served: Any, film: Any, work: Any, tmp_path: Path) -> None:
    clip = base64.b64encode(film(tmp_path / "a.mp4").read_bytes()).decode()
    asked = {name: f"data:video/mp4;base64,{clip}" for name in ("first", "second")}
    result = call(served.address, "check", **asked)
    assert not result.isError, words(result)
    assert "too small" in words(result)
    assert "best_matched" in words(result)


@pytest.mark.parametrize(
    "photo",
    [
        "http://example.com/me.jpg",
        "{address}gradio_api/file=/etc/hosts",
        "{address}gradio_api/file=/etc/../etc/hosts",
        "/etc/hosts",
    ],
)
def test_nothing_is_fetched_from_elsewhere(served: Any, photo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original = httpx.AsyncClient.send

    async def send(client: Any, request: httpx.Request, **options: Any) -> httpx.Response:
        asked.append(request.url.host)
        return await original(client, request, **options)

    monkeypatch.setattr(httpx.AsyncClient, "send", send)
    result = call(served.address, "faces", photo=photo.format(address=served.address))
    assert result.isError
    assert {*asked} <= {"127.0.0.1"}


def test_the_rules_for_strangers_hold(served: Any, tmp_path: Path) -> None:
    Image.new("RGB", (2400, 100)).save(tmp_path / "wide.jpg")
    result = call(served.address, "protect", photo=as_data(tmp_path / "wide.jpg"))
    assert result.isError
    assert "this page takes 2000 a side" in words(result)


def test_it_is_off_unless_asked_for(opened: Any) -> None:
    assert httpx.get(f"{opened.address}gradio_api/mcp/", timeout=30).status_code == 404
    with pytest.raises(BaseException):  # noqa: B017, PT011  (a group of errors)
        ask(opened.address, lambda session: session.list_tools())


@pytest.mark.parametrize(
    "others", [{"host": "0.0.0.0"}, {"auth": [("ann", "secret")]}], ids=["host", "password"]
)
def test_only_programs_of_this_machine_may_ask(others: dict[str, Any]) -> None:
    with pytest.raises(BadSettings, match="MCP is for programs on this machine"), open_(mcp=True, **others):
        pass


def test_the_command_line_refuses_before_anything_is_opened() -> None:
    result = CliRunner().invoke(app, ["ui", "--mcp", "--host", "0.0.0.0"])
    assert result.exit_code == 2
    assert "--host" in result.output
