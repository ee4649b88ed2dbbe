"""What `ui.web.gradio_queue` uses of gradio's insides is there: after an upgrade this says what moved."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import gradio as gr
import pytest
from gradio import networking, processing_utils
from gradio.queueing import Event, Queue
from gradio.server_messages import ProcessCompletedMessage

from veil.core.errors import BadSettings
from veil.ui.web import gradio_queue


def test_the_queue_has_what_is_used() -> None:
    with gr.Blocks() as blocks:
        gr.Button("x").click(lambda: None, concurrency_id="engine")
    blocks.queue()
    queue = gradio_queue.queue_of(blocks)
    assert isinstance(queue, Queue)
    assert {*inspect.signature(queue.push).parameters} == {"body", "request", "username"}
    assert inspect.iscoroutinefunction(queue.push)
    assert isinstance(queue.active_jobs, list)
    assert isinstance(queue.event_queue_per_concurrency_id, dict)
    assert all(hasattr(line, "queue") for line in queue.event_queue_per_concurrency_id.values())
    assert inspect.iscoroutinefunction(queue.remove_from_queue)
    assert callable(queue.send_message)
    assert all(hasattr(fn, "concurrency_id") for fn in queue.blocks.fns.values())
    before = queue.sleep_when_free, queue.progress_update_sleep_when_free
    gradio_queue.look_seldom(queue)
    assert queue.sleep_when_free > before[0]
    assert gradio_queue.waiting(queue) == []


def test_an_event_has_what_is_used() -> None:
    taken = {*inspect.signature(Event.__init__).parameters}
    source = inspect.getsource(Event.__init__)
    assert "session_hash" in taken
    assert all(f"self.{name}" in source for name in ("_id", "session_hash", "concurrency_id"))
    ProcessCompletedMessage(output={"data": []}, success=True)


def test_what_fetches_is_one_function_and_is_put_back() -> None:
    fetch = processing_utils.async_ssrf_protected_download
    assert [*inspect.signature(fetch).parameters][:2] == ["url", "cache_dir"]
    with gradio_queue.nothing_from_elsewhere():
        assert processing_utils.async_ssrf_protected_download is not fetch
    assert processing_utils.async_ssrf_protected_download is fetch


def test_uploads_lie_in_a_folder() -> None:
    assert isinstance(gradio_queue.upload_folder(), Path)


def test_the_page_is_reached_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # where nobody answers
    monkeypatch.setenv("NO_PROXY", "example.org")
    with gr.Blocks() as blocks:
        gr.Markdown("here")
    ask = networking.url_ok
    try:
        with gradio_queue.reached_directly("127.0.0.1"):
            blocks.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)
    finally:
        blocks.close(verbose=False)
    assert networking.url_ok is ask
    assert os.environ["NO_PROXY"] == "example.org"


def test_a_page_that_does_not_answer_is_told_without_a_public_link(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(networking, "url_ok", asked.append)

    def launch() -> None:
        with gradio_queue.reached_directly("here"):
            if not networking.url_ok("http://here"):
                raise ValueError("a shareable link must be created")

    with pytest.raises(BadSettings, match="does not answer") as error:
        launch()
    assert len(asked) == gradio_queue.TRIES
    assert "share" not in error.value.message + error.value.hint
