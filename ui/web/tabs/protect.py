"""The tab Protect: photos in, faces chosen by a click, and the protected photo with its report."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ....attacks import held_out, packaged
from ....core.errors import BadPhoto, NoFace, VeilError
from ....privacy.priors import PRIORS
from .. import html
from ..page import Page, known
from ..results import Outcome, beside, protect, wish
from ..sessions import Stopped
from ..uploads import admit_references, arrive
from .parts import AT_ONCE, QUIET, Desk, efforts, getting_ready, others_of_you, own, run_in_line, strengths

Update = dict[Any, Any]
EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.jpg"  # as scikit-image carries it
VIEWS = ["Before and after", "Close up", "The change, amplified"]
SCROLL = "() => document.querySelector('#veil-panel').scrollIntoView({block: 'nearest', behavior: 'smooth'})"


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


def tab(page: Page) -> None:
    """Fill the tab."""
    desk, results = gr.State(Desk()), gr.State(list[Outcome]())
    with gr.Row(equal_height=False):
        with gr.Column(min_width=260):
            gr.HTML("<div class='veil-step'><h2>1. Your photo</h2></div>")
            photos = gr.File(label="Photos", file_count="multiple", height=140, elem_id="veil-photos")
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
            panel = gr.HTML(
                html.note("It appears here, with what recognisers say of it."), elem_id="veil-panel"
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
            gr.HTML(html.limits())

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
        problems += [problem for arrival in held.arrivals for problem in arrival.left_out]
        return {
            desk: held,
            trouble: html.problem(*problems),
            which: gr.Radio(names, value=0 if names else None, visible=len(names) > 1),
            start: may_start(held, request),
            **show(held, 0),
        }

    def may_start(held: Desk, request: gr.Request) -> gr.Button:
        return gr.Button(interactive=bool(held.todo) and not page.busy(request.session_hash))

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

    def look(outcomes: list[Outcome], number: int | None, view: str) -> Update:
        if not outcomes:
            return {compare: "", verdict: ""}
        outcome = outcomes[number or 0]
        if view == VIEWS[2]:
            seen = html.change(outcome.change)
        else:
            part = outcome.close_up if view == VIEWS[1] else outcome.whole
            seen = html.compare(outcome.before, outcome.shown, outcome.report.size, part)
        files = (("Download the photo", outcome.after), ("Download the report", outcome.record))
        return {
            compare: seen + html.downloads(files),
            verdict: "".join(map(html.note, outcome.notes))
            + html.verdict(outcome.report, outcome.survives, outcome.made, outcome.settings),
        }

    def begin() -> Update:
        return {
            **getting_ready(panel, start, stop),
            **{done: gr.Radio(visible=False), view: gr.Radio(visible=False), compare: "", verdict: ""},
        }

    def run(request: gr.Request, held: Desk, strength: str, effort: str, *values: Any) -> Iterator[Update]:
        visitor, failed = page.visitors.of(request.session_hash), list[VeilError]()
        outcomes = list[Outcome]()
        try:
            wanted = dict(zip(more, values, strict=True))
            if wanted["target"]:
                page.rules.admit(wanted["target"])
            admit_references(page, wanted["me"] or ())
            asked = wish(strength, effort, **wanted)
            todo = held.todo
            if not todo:
                raise NoFace("No face is chosen.", "Drop a photo above, and click the faces to protect.")
            known_by = yield from page.watch(visitor, beside(asked), lambda html: {panel: html})
        except Stopped:
            yield ended(html.note("Stopped."), [])
            return
        except Exception as error:
            yield ended(html.problem(known(error)), [])
            return
        words = "Done. All metadata (place, camera, time) is gone from the result."
        for number, arrival in enumerate(todo, 1):
            prefix = f"Photo {number} of {len(todo)}. " if len(todo) > 1 else ""
            try:
                page.rules.admit(arrival.path)
                work = protect(arrival.path, arrival.picked, asked, visitor, album=known_by)
                outcomes.append((yield from page.watch(visitor, work, lambda html: {panel: html}, prefix)))
            except Stopped:
                words = "Stopped. What was not finished was thrown away."
                break
            except Exception as error:
                failed.append(known(error))
        yield ended(html.problem(*failed) + ("" if failed and not outcomes else html.note(words)), outcomes)

    def ended(said: str, outcomes: list[Outcome]) -> Update:
        names = [(outcome.name, number) for number, outcome in enumerate(outcomes)]
        return {
            results: outcomes,
            panel: said,
            done: gr.Radio(names, value=0 if names else None, visible=len(names) > 1),
            view: gr.Radio(value=VIEWS[0], visible=bool(names)),
            **look(outcomes, 0, ""),
        }

    shown = [panel, done, view, compare, verdict]
    example.click(take_example, None, photos, **QUIET)
    arriving = photos.change(lambda: gr.Button(interactive=False), None, start, **AT_ONCE)
    arriving.then(came, photos, [desk, trouble, which, picture, chosen, start], **QUIET)
    which.input(show, [desk, which], [picture, chosen], **QUIET)
    chosen.input(pick, [desk, which, chosen], [desk, picture, start], trigger_mode="always_last", **QUIET)
    for choice in (done, view):
        choice.input(look, [results, done, view], [compare, verdict], **QUIET)
    own(page, more["target"])
    start.click(None, js=SCROLL, api_visibility="private")
    started = start.click(begin, None, [*shown, start, stop], **AT_ONCE)
    run_in_line(
        page,
        started,
        run,
        [desk, strength, effort, *more.values()],
        [results, *shown],
        (panel, start, stop),
        desk,
    )
