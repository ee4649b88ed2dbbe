"""The tab Protect: photos in, faces chosen by a click, and the protected photo with its report."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ....attacks import held_out, packaged
from ....core.errors import BadPhoto, NoFace, VeilError
from ....privacy.priors import PRIORS
from .. import html
from ..desk import Desk
from ..gradio_queue import keep_name
from ..page import Page, known
from ..results import Outcome, beside, protect, wish
from ..sessions import Stopped
from ..uploads import admit_references
from .parts import AT_ONCE, QUIET, efforts, getting_ready, others_of_you, own, run_in_line, strengths

Update = dict[Any, Any]
EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.jpg"  # as scikit-image carries it
NOTHING_YET = "It appears here, with what recognisers say of it."
VIEWS = ["Before and after", "Close up", "The change, amplified"]
SCROLL = (
    "() => document.querySelector('#veil-panel').scrollIntoView("
    "{block: innerWidth < 900 ? 'start' : 'nearest', behavior: 'smooth'})"
)


def advanced() -> dict[str, Any]:
    """The folded settings: components by the name that `results.wish` gives them."""
    with gr.Accordion("Advanced", open=False):
        goal = gr.Radio(
            [("Look like nobody known", "dodge"), ("Look like another person", "impersonate")],
            value="dodge",
            label="Goal",
        )
        target = gr.File(label="Photo of that other person", height=130, visible=False)
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
            info=f"None chosen: all but {held_out()}, which stays an honest judge",
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


def heading(name: str) -> str:
    """What a result is called: as its photo, in HTML."""
    return f'<h3 class="veil-name" tabindex="-1">{escape(name)}</h3>'


def tab(page: Page) -> None:
    """Fill the tab."""
    desk, results = gr.State(Desk()), gr.State(list[Outcome]())
    with gr.Row(equal_height=False):
        with gr.Column(min_width=260):
            gr.HTML("<div class='veil-step'><h2>1. Your photo</h2></div>")
            photos = gr.File(label="Photos", file_count="multiple", height=140, elem_id="veil-photos")
            keep_name(photos)
            example = gr.Button(
                "Or try it with Eileen Collins, photographed by NASA (public domain)",
                size="sm",
                elem_id="veil-example",
            )
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
            more = {"me": others_of_you(page, "veil-me"), **advanced()}
            with gr.Row():
                start = gr.Button("Protect", variant="primary", interactive=False, elem_id="veil-start")
                stop = gr.Button("Stop", interactive=False, elem_id="veil-stop")
        with gr.Column(min_width=260, elem_id="veil-result"):
            gr.HTML("<div class='veil-step'><h2>3. The protected photo</h2></div>")
            panel = gr.HTML(html.note(NOTHING_YET), elem_id="veil-panel")
            done = gr.Radio(label="Photo", visible=False)
            view = gr.Radio(
                VIEWS,
                value=VIEWS[0],
                label="Show",
                visible=False,
                elem_id="veil-view",
            )
            closest = gr.Radio(label="Face", visible=False, elem_id="veil-closest")
            compare = gr.HTML(elem_classes="veil-hollow")
            verdict = gr.HTML(elem_id="veil-verdict", elem_classes="veil-hollow")
            gr.HTML(html.limits())

    def came(held: Desk, paths: list[str] | None, request: gr.Request) -> Update:
        visitor = page.visitors.of(request.session_hash, paths or ())
        refused = list[VeilError]()
        if page.rules.album and len(paths or ()) > page.rules.album:
            refused.append(BadPhoto(f"This page takes {page.rules.album} photos at a time.", "Drop fewer."))
            paths = []
        problems, twice = held.lay(page, visitor, paths or ())
        problems = refused + problems
        names = [(arrival.name, number) for number, arrival in enumerate(held.arrivals)]
        problems += [problem for arrival in held.arrivals for problem in arrival.left_out]
        return {
            desk: held,
            trouble: html.problem(*problems) + "".join(map(html.note, twice)),
            which: gr.Radio(names, value=0 if names else None, visible=len(names) > 1),
            **show(held, 0),
            **hidden(),
            **({} if page.busy(request.session_hash) else {panel: html.note(NOTHING_YET)}),
            start: may_start(held, request),
        }

    async def left(held: Desk, paths: list[str] | None, request: gr.Request) -> Update:
        if held.job and not held.job.intersection(paths or ()):
            forget(held)
            return {panel: await page.stop(request.session_hash)}
        return {panel: gr.skip()}

    def forget(held: Desk) -> None:
        held.job = frozenset()

    def may_start(held: Desk, request: gr.Request) -> gr.Button:
        return gr.Button("Protect", interactive=bool(held.todo) and not page.busy(request.session_hash))

    def take_example(request: gr.Request) -> list[str]:
        place = page.visitors.of(request.session_hash).path_for(EXAMPLE.name)
        return [str(shutil.copyfile(EXAMPLE, place))]

    def show(held: Desk, number: int | None) -> Update:
        if number is None or number >= len(held.arrivals):
            return {picture: "", chosen: gr.CheckboxGroup(choices=[], value=[], visible=False)}
        arrival = held.arrivals[number]
        return {
            picture: arrival.picture("veil-faces"),
            chosen: gr.CheckboxGroup(arrival.choices, value=arrival.picked, visible=True),
        }

    def pick(held: Desk, number: int, faces: list[int], request: gr.Request) -> Update:
        arrival = held.arrivals[number or 0]
        arrival.picked = sorted(faces)
        return {desk: held, picture: arrival.picture("veil-faces"), start: may_start(held, request)}

    def look(outcomes: list[Outcome], number: int | None, view: str, face: int | None) -> Update:
        if not outcomes:
            return {compare: "", verdict: "", closest: gr.Radio(visible=False)}
        outcome = outcomes[number or 0]
        close, faces = view == VIEWS[1], outcome.faces
        face = face if face in faces else faces[0]
        if view == VIEWS[2]:
            seen = html.change(outcome.change)
        else:
            part = outcome.close_up(face) if close else outcome.whole
            seen = html.compare(outcome.before, outcome.shown, outcome.report.size, part)
        files = (("Download the photo", outcome.after), ("Download the report", outcome.record))
        return {
            closest: gr.Radio(
                [(f"Face {one}", one) for one in faces],
                value=face,
                visible=close and len(faces) > 1,
            ),
            compare: heading(outcome.name) + seen + html.downloads(files),
            verdict: "".join(map(html.note, outcome.notes))
            + html.verdict(outcome.report, outcome.survives, outcome.made, outcome.settings),
        }

    def hidden() -> Update:
        choices = {choice: gr.Radio(visible=False) for choice in (done, view, closest)}
        return {**choices, compare: "", verdict: ""}

    def begin(held: Desk, request: gr.Request) -> Update:
        if not page.busy(request.session_hash):  # with a job of another tab, beside which there is no other
            held.job = frozenset(arrival.upload for arrival in held.todo)
        return {**getting_ready(panel, start, stop), **hidden()}

    def run(request: gr.Request, held: Desk, strength: str, effort: str, *values: Any) -> Iterator[Update]:
        visitor, failed, stopped = page.visitors.of(request.session_hash), list[VeilError](), False
        try:
            wanted = dict(zip(more, values, strict=True))
            if wanted["target"]:
                page.rules.admit(wanted["target"])
            admit_references(page, wanted["me"] or ())
            asked = wish(strength, effort, **wanted)
            if not held.todo:
                raise NoFace("No face is chosen.", "Drop a photo above, and click the faces to protect.")
            missing = held.begin(asked)
            known_by = yield from page.watch(visitor, beside(asked), lambda html: {panel: html})
            for arrival in filter(held.begin_with, missing):
                at, total = held.todo.index(arrival) + 1, len(held.todo)
                prefix = f"{at} of {total}, {arrival.name}. " if total > 1 else ""
                picked = [*arrival.picked]
                try:
                    page.rules.admit(arrival.upload)
                    work = protect(arrival.path, picked, asked, visitor, album=known_by)
                    outcome = yield from page.watch(visitor, work, lambda html: {panel: html}, prefix)
                    held.done[arrival.upload] = picked, outcome
                except Stopped:
                    raise
                except Exception as error:
                    failed.append(known(error))
        except Stopped:
            stopped = True
        except Exception as error:
            failed.append(known(error))
        yield ended(held, failed, stopped)

    def ended(held: Desk, failed: list[VeilError], stopped: bool) -> Update:
        forget(held)
        outcomes, said = held.outcomes, held.ended(stopped, bool(failed))
        names = [(outcome.name, number) for number, outcome in enumerate(outcomes)]
        return {
            results: outcomes,
            panel: html.problem(*failed) + (html.note(said) if said else ""),
            done: gr.Radio(names, value=0 if names else None, visible=len(names) > 1),
            view: gr.Radio(value=VIEWS[0], visible=bool(names)),
            start: gr.Button("Continue" if outcomes and held.missing else "Protect"),
            **look(outcomes, 0, "", None),
        }

    shown = [panel, done, view, closest, compare, verdict]
    example.click(take_example, None, photos, **QUIET)
    arriving = photos.change(lambda: gr.Button(interactive=False), None, start, **AT_ONCE)
    arriving.then(left, [desk, photos], panel, **AT_ONCE)
    arriving.then(came, [desk, photos], [desk, trouble, which, picture, chosen, *shown, start], **QUIET)
    which.input(show, [desk, which], [picture, chosen], **QUIET)
    chosen.input(pick, [desk, which, chosen], [desk, picture, start], trigger_mode="always_last", **QUIET)
    for choice in (done, view, closest):
        choice.input(look, [results, done, view, closest], [compare, verdict, closest], **QUIET)
    own(page, more["target"])
    start.click(None, js=SCROLL, api_visibility="private")
    stop.click(forget, desk, None, **AT_ONCE)
    started = start.click(begin, desk, [*shown, start, stop], **AT_ONCE)
    run_in_line(
        page,
        started,
        run,
        [desk, strength, effort, *more.values()],
        [results, start, *shown],
        (panel, start, stop),
        desk,
    )
