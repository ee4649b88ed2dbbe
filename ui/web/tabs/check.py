"""The tab Check: would recognisers take the people in any two photos for one?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr

from ....core.errors import BadPhoto
from ....core.images import open_photo
from ....core.types import Sighting
from ...wording import Comparison
from .. import checks, html
from ..page import Page, known, plain
from ..uploads import Arrival, arrive


def tab(page: Page) -> None:
    """Fill the tab."""
    gr.HTML(
        "<div class='veil-step'><h2>Would a machine say this is the same person?</h2></div>"
        "<p class='veil-note'>Any two photos: a protected one and your profile picture, say, or two "
        "that veil never saw.</p>"
    )
    with gr.Row():
        one, other = (_side(page, label, group) for label, group in SIDES)
    ask = gr.Button("Check", variant="primary", elem_id="veil-check")
    answer = gr.HTML(elem_id="veil-answer")

    def say(first: Arrival | None, second: Arrival | None) -> str:
        try:
            return html.same_person(compare(first, second))
        except Exception as error:
            return html.problem(known(error))

    ask.click(say, [one, other], answer, concurrency_id="light", api_visibility="private")
    _endpoint(page)


SIDES = (("One photo", "veil-one"), ("The other photo", "veil-other"))


def _side(page: Page, label: str, group: str) -> gr.State:
    """One of the two photos; returns the state that holds its arrival."""
    held = gr.State(None)
    with gr.Column():
        photo = gr.File(label=label, height=130, elem_id=f"{group}-file")
        picture = gr.HTML(elem_classes="veil-hollow")
        face = gr.Radio(label="Which face", visible=False, elem_id=group)

    def came(path: str | None, request: gr.Request) -> tuple[Any, ...]:
        if not path:
            return None, "", gr.Radio(visible=False)
        try:
            arrival = arrive(page, page.visitors.of(request.session_hash, [path]), path)
        except Exception as error:
            return None, html.problem(known(error)), gr.Radio(visible=False)
        arrival.picked = arrival.large[:1]
        several = gr.Radio(arrival.choices, value=arrival.picked[0], visible=len(arrival.large) > 1)
        return arrival, arrival.picture(group), several

    def picked(arrival: Arrival, number: int) -> tuple[Arrival, str]:
        chosen = replace(arrival, picked=[number])
        return chosen, chosen.picture(group)

    quiet: dict[str, Any] = {
        "concurrency_id": "light",
        "api_visibility": "private",
        "show_progress": "minimal",
    }
    photo.change(came, photo, [held, picture, face], **quiet)
    face.input(picked, [held, face], [held, picture], **quiet)
    return held


def compare(first: Arrival | None, second: Arrival | None) -> list[Comparison]:
    """What the recognisers make of the picked faces of two photos.

    Raises:
        BadPhoto: one is missing.
    """
    if not first or not second:
        raise BadPhoto("Two photos are needed.", "Drop one on each side, each showing a face.")
    one, other = (Sighting(open_photo(item.path), item.faces[item.picked[0]]) for item in (first, second))
    return checks.same_person(one, other)


def _endpoint(page: Page) -> None:
    """The endpoint `/check`."""
    first, second = gr.File(visible=False, label="first"), gr.File(visible=False, label="second")
    result, trigger = gr.JSON(visible=False, label="recognisers"), gr.Button(visible=False)

    def check(first: str, second: str, request: gr.Request) -> list[dict[str, Any]]:
        visitor = page.visitors.of(request.session_hash, filter(None, (first, second)))
        rows = compare(*(arrive(page, visitor, path) if path else None for path in (first, second)))
        return [
            {
                "recogniser": row.recognizer,
                "similarity": row.similarity,
                "limit": row.threshold,
                "same": row.same,
            }
            for row in rows
        ]

    trigger.click(
        plain(check, "check"),
        [first, second],
        result,
        api_name="check",
        concurrency_id="light",
        api_description="Would recognisers take the largest faces of two photos for one person? "
        "A list of {recogniser, similarity, limit, same}.",
    )
