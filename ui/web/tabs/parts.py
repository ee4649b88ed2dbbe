"""What several tabs are made of: choices, how events are heard, and a job of the engine in its line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, TypeAlias

import gradio as gr

from ....privacy.settings import CLIP_SECONDS, DESCRIPTIONS, EFFORTS, SECONDS
from .. import html
from ..desk import Desk
from ..page import Page, known
from ..policy import ENGINE
from ..sessions import Stopped
from ..uploads import refusals

Run: TypeAlias = Callable[..., Iterator[dict[Any, Any]]]

QUIET: dict[str, Any] = {"concurrency_id": "light", "api_visibility": "private", "show_progress": "minimal"}
AT_ONCE: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}


def own(page: Page, file: gr.File) -> None:
    """Let what arrives belong to the visitor who sends it."""

    def owned(path: str | None, request: gr.Request) -> None:
        page.visitors.of(request.session_hash, [path] if path else ())

    file.change(owned, file, **QUIET)


def limits(page: Page) -> None:
    """Say what may be uploaded, where not everything may."""
    if page.rules.said:
        gr.HTML(html.note(page.rules.said))


def tell_at_once(page: Page, files: gr.File, film: bool = False) -> gr.HTML:
    """Say below files what of them cannot be used as soon as they have come; they belong to who sends them.

    Returns where that is said.

    Args:
        film: whether they have to be clips.
    """
    trouble = gr.HTML(elem_classes="veil-hollow")

    def came(sent: str | Sequence[str] | None, request: gr.Request) -> str:
        paths = [sent] if isinstance(sent, str) else list(sent or ())
        page.visitors.of(request.session_hash, paths)
        return html.problem(*refusals(page, paths, film))

    files.change(came, files, trouble, **QUIET)
    return trouble


def wait_for(page: Page, files: Sequence[gr.File], start: gr.Button, *more: gr.Button) -> None:
    """Let buttons be pressed only while all these files are there, and `start` not while a job of the visitor
    runs."""

    def came(request: gr.Request, *sent: object) -> dict[Any, Any]:
        ready, busy = all(sent), page.busy(request.session_hash)
        opened = {button: gr.Button(interactive=ready) for button in more}
        return {start: gr.Button(interactive=ready and not busy), **opened}

    for file in files:
        file.change(came, [*files], [start, *more], **AT_ONCE)


def whom(name: str) -> gr.File:
    """Where a photo of the one person whose face is meant may be dropped."""
    gr.HTML(html.note("Only one person's face? Drop a photo here that shows this person and nobody else."))
    return gr.File(label="The person (optional)", height=160, elem_id=name)


def others_of_you(page: Page, name: str) -> gr.File:
    """Where other photos of a person may be dropped, from which the result is led away, too; folded away."""
    with gr.Accordion("Other photos of you (optional)", open=False):
        gr.HTML(
            html.note(
                "Alone on each, such as those that are online with your name. Machines then match the result "
                "less to them; people see a little more of the change."
            )
        )
        photos = gr.File(label="Other photos of you", file_count="multiple", height=130, elem_id=name)
        tell_at_once(page, photos)
    return photos


def getting_ready(panel: gr.HTML, start: gr.Button, stop: gr.Button) -> dict[Any, Any]:
    """What is shown from a press of the button on, until a job of the engine begins."""
    return {
        panel: html.progress("Getting ready", None, "It begins as soon as it is your turn"),
        **{start: gr.Button(interactive=False), stop: gr.Button(interactive=True)},
    }


def telling(panel: gr.HTML, stopped: str = "Stopped.") -> Callable[[Run], Run]:
    """Let a job of the engine end with a word on its panel, `stopped` or what went wrong, where it raises."""

    def telling_of(run: Run) -> Run:
        @wraps(run)
        def told(*arguments: Any) -> Iterator[dict[Any, Any]]:
            try:
                yield from run(*arguments)
            except Stopped:
                yield {panel: html.note(stopped)}
            except Exception as error:
                yield {panel: html.problem(known(error))}

        return told

    return telling_of


def run_in_line(
    page: Page,
    started: Any,
    run: Callable[..., Any],
    inputs: Any,
    outputs: Any,
    parts: tuple[gr.HTML, gr.Button, gr.Button],
    desk: gr.State | Sequence[gr.File] = (),
) -> None:
    """Run a job of the engine in its line, after the event `started`; let it be stopped, and the next one be
    started when it has ended, failed, or left the line, if there is one.

    Args:
        parts: where its progress is shown, the button that starts it, and the one that stops it.
        desk: the state of a `Desk`, or the files that it takes, where not every moment has something to do.
    """
    panel, start, stop = parts

    async def stopped(request: gr.Request) -> str:
        return await page.stop(request.session_hash)

    def again(*held: object) -> tuple[gr.Button, gr.Button]:
        ready = all(one.todo if isinstance(one, Desk) else one for one in held)
        return gr.Button(interactive=ready), gr.Button(interactive=False)

    running = started.then(
        run,
        inputs,
        outputs,
        concurrency_id=ENGINE,
        concurrency_limit=page.rules.concurrency,
        show_progress="minimal",  # the place in line; how far the work is, the panel says itself
        show_progress_on=panel,
        api_visibility="private",
    )
    started.then(None, js=f"() => veil.toStop('{stop.elem_id}')", api_visibility="private")
    stop.click(stopped, None, panel, **AT_ONCE)
    for end in (running.then, running.failure):
        ended = end(again, desk, [start, stop], **AT_ONCE)
        focus = f"() => veil.toResult('{start.elem_id}', '{stop.elem_id}')"
        ended.then(None, js=focus, api_visibility="private")


def strengths(said: Mapping[str, str] = DESCRIPTIONS) -> gr.Radio:
    """The choice of a strength, each with its sentence."""
    choices = [(f"{name.capitalize()}: {text}", name) for name, text in said.items()]
    return gr.Radio(
        choices,
        value="balanced",
        label="How much may change",
        info="Likeness: rated blind by a vision-language model; 3 could be a sibling, 4 is the same person",
        elem_classes="veil-strength",
    )


def efforts(info: str = "On two idle cores") -> gr.Radio:
    """The choice of an effort, each with its time."""
    choices = [(f"{name.capitalize()}: about {count} s a face", name) for name, count in SECONDS.items()]
    return gr.Radio(choices, value="normal", label="How long to search", info=info)


def clip_efforts() -> gr.Radio:
    """The same for clips."""
    known = {name: f"about {count} s" for name, count in CLIP_SECONDS.items()}
    known["thorough"] = (
        f"{EFFORTS['thorough']['steps'] // EFFORTS['normal']['steps']} times the steps of normal"
    )
    return gr.Radio(
        [(f"{name.capitalize()}: {text}", name) for name, text in known.items()],
        value="normal",
        label="How long to search",
        info="Of a clip of 1.2 s that shows one face, on two idle cores; each further second takes some "
        "seconds more, and for each further face and shot a change is sought anew",
    )
