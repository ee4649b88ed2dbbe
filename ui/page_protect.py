"""The tab Protect: photos in, faces chosen by a click, and the protected photo with its report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from ..attacks import packaged
from ..core.errors import BadPhoto, NoFace, VeilError
from ..privacy.priors import PRIORS
from ..privacy.settings import DESCRIPTIONS, SECONDS
from . import pieces
from .arrivals import Arrival, arrive
from .hosting import ENGINE
from .outcomes import Outcome, protect, wish
from .page import Page, known
from .visitors import Stopped

Update = dict[Any, Any]
QUIET: dict[str, Any] = {"concurrency_id": "light", "api_visibility": "private", "show_progress": "minimal"}
AT_ONCE: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
VIEWS = ["Before and after", "Close up", "The change, amplified"]
SCROLL = "() => document.querySelector('#veil-panel').scrollIntoView({block: 'nearest', behavior: 'smooth'})"


@dataclass
class Desk:
    """What lies before a visitor: the photos that arrived, and the outcomes."""

    arrivals: list[Arrival] = field(default_factory=list[Arrival])
    outcomes: list[Outcome] = field(default_factory=list[Outcome])


def advanced() -> dict[str, Any]:
    """The folded settings: components by the name that `outcomes.wish` gives them."""
    with gr.Accordion("Advanced", open=False):
        goal = gr.Radio(
            [("Look like nobody known", "dodge"), ("Look like another person", "impersonate")],
            value="dodge",
            label="Goal",
        )
        target = gr.File(label="Photo of that other person", height=110, visible=False)
        goal.change(_asks_for_target, goal, target, **QUIET)
        with gr.Row():
            seed = gr.Number(
                0, label="Seed", info="The same seed gives the same result", precision=0, minimum=0
            )
            prior = gr.Dropdown(
                list(PRIORS), value="portrait", label="Prior", info="The model that draws the change"
            )
            format = gr.Dropdown(
                [("As the photo", "keep"), ("PNG, exact", "png"), ("JPEG", "jpeg"), ("WebP", "webp")],
                value="keep",
                label="Format of the result",
                info="PNG protects best, and is several times larger",
            )
        surrogates = gr.CheckboxGroup(
            list(packaged()),
            label="Recognisers to protect against",
            info="None chosen: all but faceplugin, which stays an honest judge",
        )
    return {
        "goal": goal,
        "target": target,
        "seed": seed,
        "prior": prior,
        "surrogates": surrogates,
        "format": format,
    }


def _asks_for_target(goal: str) -> gr.File:
    return gr.File(visible=goal == "impersonate")


def ready(running: Any, start: gr.Button, stop: gr.Button) -> None:
    """Let the next job be started when one has ended, failed, or left the line."""

    def again() -> tuple[gr.Button, gr.Button]:
        return gr.Button(interactive=True), gr.Button(interactive=False)

    for end in (running.then, running.failure):
        end(again, None, [start, stop], **AT_ONCE)


def strengths() -> gr.Radio:
    """The choice of a strength, each with its sentence."""
    choices = [(f"{name.capitalize()}: {text}", name) for name, text in DESCRIPTIONS.items()]
    return gr.Radio(
        choices,
        value="balanced",
        label="How much may change",
        info="Likeness: rated blind by a vision-language model; 3 could be a sibling, 4 is the same person",
        elem_classes="veil-strength",
    )


def efforts() -> gr.Radio:
    """The choice of an effort, each with its time."""
    choices = [(f"{name.capitalize()}: about {count} s a face", name) for name, count in SECONDS.items()]
    return gr.Radio(choices, value="normal", label="How long to search", info="On two idle cores")


def tab(page: Page) -> None:
    """Fill the tab."""
    desk = gr.State(Desk())
    with gr.Row(equal_height=False):
        with gr.Column(min_width=260):
            gr.HTML("<div class='veil-step'><h2>1. Your photo</h2></div>")
            photos = gr.File(label="Photos", file_count="multiple", height=140, elem_id="veil-photos")
            trouble = gr.HTML(elem_classes="veil-hollow")
            which = gr.Radio(label="Photo", visible=False, elem_id="veil-which")
            picture = gr.HTML(elem_id="veil-picture", elem_classes="veil-hollow")
            chosen = gr.CheckboxGroup(
                label="Faces to protect",
                info="Click a face on the photo, or tick it here; 1 is the largest",
                visible=False,
                elem_id="veil-faces",
            )
            gr.HTML("<div class='veil-step'><h2>2. How strongly</h2></div>")
            strength, effort = strengths(), efforts()
            more = advanced()
            with gr.Row():
                start = gr.Button("Protect", variant="primary", elem_id="veil-start")
                stop = gr.Button("Stop", interactive=False, elem_id="veil-stop")
        with gr.Column(min_width=260, elem_id="veil-result"):
            gr.HTML("<div class='veil-step'><h2>3. The protected photo</h2></div>")
            panel = gr.HTML(
                pieces.note("It appears here, with what recognisers say of it."), elem_id="veil-panel"
            )
            done = gr.Radio(label="Photo", visible=False)
            view = gr.Radio(
                VIEWS,
                value=VIEWS[0],
                label="Show",
                visible=False,
                elem_id="veil-view",
            )
            compare = gr.HTML(elem_classes="veil-hollow")
            verdict = gr.HTML(elem_id="veil-verdict", elem_classes="veil-hollow")
            gr.HTML(pieces.limits())

    def came(paths: list[str] | None, request: gr.Request) -> Update:
        visitor = page.visitors.of(request.session_hash, paths or ())
        problems, held = list[VeilError](), Desk()
        if page.rules.album and len(paths or ()) > page.rules.album:
            problems.append(BadPhoto(f"This page takes {page.rules.album} photos at a time.", "Drop fewer."))
            paths = []
        for path in paths or ():
            try:
                held.arrivals.append(arrive(page, visitor, path))
            except Exception as error:
                problems.append(known(error))
        names = [(arrival.name, number) for number, arrival in enumerate(held.arrivals)]
        return {
            desk: held,
            trouble: pieces.problem(*problems),
            which: gr.Radio(names, value=0 if names else None, visible=len(names) > 1),
            **show(held, 0),
        }

    def show(held: Desk, number: int | None) -> Update:
        if number is None or number >= len(held.arrivals):
            return {picture: "", chosen: gr.CheckboxGroup(choices=[], value=[], visible=False)}
        arrival = held.arrivals[number]
        return {
            picture: arrival.picture("veil-faces"),
            chosen: gr.CheckboxGroup(arrival.choices, value=arrival.picked, visible=True),
        }

    def pick(held: Desk, number: int, faces: list[int]) -> Update:
        arrival = held.arrivals[number or 0]
        arrival.picked = sorted(faces)
        return {desk: held, picture: arrival.picture("veil-faces")}

    def look(held: Desk, number: int | None, view: str) -> Update:
        if not held.outcomes:
            return {compare: "", verdict: ""}
        outcome = held.outcomes[number or 0]
        if view == VIEWS[2]:
            seen = pieces.change(outcome.change)
        else:
            part = outcome.close_up if view == VIEWS[1] else outcome.whole
            seen = pieces.compare(outcome.before, outcome.shown, outcome.report.size, part)
        files = (("Download the photo", outcome.after), ("Download the report", outcome.record))
        return {
            compare: seen + pieces.downloads(files),
            verdict: pieces.verdict(outcome.report, outcome.survives),
        }

    def begin() -> Update:
        return {
            panel: pieces.progress("Getting ready", None, "It begins as soon as it is your turn"),
            **{start: gr.Button(interactive=False), stop: gr.Button(interactive=True)},
            **{done: gr.Radio(visible=False), view: gr.Radio(visible=False), compare: "", verdict: ""},
        }

    def run(request: gr.Request, held: Desk, strength: str, effort: str, *values: Any) -> Iterator[Update]:
        visitor, failed = page.visitors.of(request.session_hash), list[VeilError]()
        held.outcomes = []
        try:
            wanted = dict(zip(more, values, strict=True))
            if wanted["target"]:
                page.rules.admit(wanted["target"])
            asked = wish(strength, effort, **wanted)
            todo = [arrival for arrival in held.arrivals if arrival.picked]
            if not todo:
                raise NoFace("No face is chosen.", "Drop a photo above, and click the faces to protect.")
        except Exception as error:
            yield ended(pieces.problem(known(error)), held)
            return
        words = "Done. All metadata (place, camera, time) is gone from the result."
        for number, arrival in enumerate(todo, 1):
            prefix = f"Photo {number} of {len(todo)}. " if len(todo) > 1 else ""
            try:
                work = protect(arrival.path, arrival.picked, asked, visitor)
                held.outcomes.append(
                    (yield from page.watch(visitor, work, lambda html: {panel: html}, prefix))
                )
            except Stopped:
                words = "Stopped. What was not finished was thrown away."
                break
            except Exception as error:
                failed.append(known(error))
        yield ended(
            pieces.problem(*failed) + ("" if failed and not held.outcomes else pieces.note(words)), held
        )

    def ended(said: str, held: Desk) -> Update:
        names = [(outcome.name, number) for number, outcome in enumerate(held.outcomes)]
        return {
            desk: held,
            panel: said,
            done: gr.Radio(names, value=0 if names else None, visible=len(names) > 1),
            view: gr.Radio(value=VIEWS[0], visible=bool(names)),
            **look(held, 0, ""),
        }

    async def stopped(request: gr.Request) -> str:
        return await page.stop(request.session_hash)

    def owned(path: str | None, request: gr.Request) -> None:
        page.visitors.of(request.session_hash, [path] if path else ())

    shown = [panel, done, view, compare, verdict]
    photos.change(came, photos, [desk, trouble, which, picture, chosen], **QUIET)
    which.input(show, [desk, which], [picture, chosen], **QUIET)
    chosen.input(pick, [desk, which, chosen], [desk, picture], **QUIET)
    for choice in (done, view):
        choice.input(look, [desk, done, view], [compare, verdict], **QUIET)
    more["target"].change(owned, more["target"], **QUIET)
    start.click(None, js=SCROLL, api_visibility="private")
    started = start.click(begin, None, [*shown, start, stop], **AT_ONCE)
    running = started.then(
        run,
        [desk, strength, effort, *more.values()],
        [desk, *shown],
        concurrency_id=ENGINE,
        concurrency_limit=page.rules.concurrency,
        show_progress_on=panel,
        api_visibility="private",
    )
    stop.click(stopped, None, panel, **AT_ONCE)
    ready(running, start, stop)
