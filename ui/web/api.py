"""The endpoints for programs, beside `/check` and `/models` of their tabs: their names and order stay."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import processing_utils

from ...core.errors import BadSettings
from ...privacy.settings import EFFORTS, STRENGTHS
from ..pipes import is_clip
from ..selection import Whom, numbers
from .page import Page, plain
from .policy import ENGINE
from .results import Wish, beside, protect, protect_clip, wish
from .sessions import Visitor
from .uploads import admit_references, arrive, arrived_clip

OPTIONS = (
    "strength: subtle, balanced, strong; faces: numbers like 1,3, or empty for all; format: keep (the "
    "photo's own), png, jpeg, webp, of a clip always keep; effort: quick, normal, thorough. Returns the "
    "protected photo or clip without metadata, and the report as the command line writes it."
)


def fill(page: Page) -> None:
    """Add `/protect`, `/impersonate` and `/faces`."""
    photo, target = gr.File(visible=False, label="photo"), gr.File(visible=False, label="target")
    me = gr.File(visible=False, label="me", file_count="multiple")
    strength = gr.Dropdown(list(STRENGTHS), value="balanced", label="strength", visible=False)
    faces = gr.Textbox("", label="faces", visible=False)
    seed = gr.Number(0, label="seed", precision=0, visible=False)
    format = gr.Dropdown(["keep", "png", "jpeg", "webp"], value="keep", label="format", visible=False)
    effort = gr.Dropdown(list(EFFORTS), value="normal", label="effort", visible=False)
    picture, report = gr.File(visible=False, label="picture"), gr.JSON(visible=False, label="report")
    found, trigger, ask = (
        gr.JSON(visible=False, label="faces"),
        gr.Button(visible=False),
        gr.Button(visible=False),
    )

    def dodge(
        photo: str,
        strength: str,
        faces: str,
        seed: float,
        format: str,
        effort: str,
        request: gr.Request,
        me: list[str] | None = None,
    ) -> tuple[str, Any]:
        return protected(photo, None, strength, faces, seed, format, effort, request, me)

    def protected(
        photo: str,
        target: str | None,
        strength: str,
        faces: str,
        seed: float,
        format: str,
        effort: str,
        request: gr.Request,
        me: list[str] | None = None,
    ) -> tuple[str, Any]:
        visitor = page.visitors.of(request.session_hash, filter(None, (photo, target, *(me or ()))))
        if target:
            page.rules.admit(target)
        admit_references(page, me or ())
        goal = "impersonate" if target else "dodge"
        asked = wish(strength, effort, goal, target, seed, format=format, me=me)
        after, record = (of_clip if is_clip(Path(photo)) else of_photo)(visitor, photo, faces, asked)
        served = processing_utils.save_file_to_cache(after, picture.GRADIO_CACHE)
        page.visitors.of(request.session_hash, [served])  # the copy is the visitor's, too
        return served, json.loads(record.read_text(encoding="utf-8"))

    def of_photo(visitor: Visitor, photo: str, faces: str, asked: Wish) -> tuple[Path, Path]:
        arrival = arrive(page, visitor, photo)
        album, picked = page.drained(visitor, beside(asked)), sorted(numbers(faces)) or arrival.picked
        work = protect(arrival.path, picked, asked, visitor, endure=False, album=album)
        outcome = page.drained(visitor, work)
        return outcome.after, outcome.record

    def of_clip(visitor: Visitor, photo: str, faces: str, asked: Wish) -> tuple[Path, Path]:
        if asked.format != "keep":
            raise BadSettings("A clip keeps its format.", "Let format be keep.")
        clip, whom = arrived_clip(page, photo), Whom(numbers(faces))
        album, place = page.drained(visitor, beside(asked)), visitor.path_for("any").parent
        done = page.drained(visitor, protect_clip(clip, asked, whom, place, album=album))
        return done.after, done.record

    def listed(photo: str, request: gr.Request) -> list[dict[str, Any]]:
        arrival = arrive(page, page.visitors.of(request.session_hash, [photo]), photo)
        return [
            {
                "number": number,
                "box": face.box.round().astype(int).tolist(),
                "protectable": number in arrival.picked,
            }
            for number, face in arrival.faces.items()
        ]

    for name, event, whom, text in (
        (
            "protect",
            dodge,
            [],
            "Protect a photo or clip: recognisers should know nobody in it; compare by eye. me: other photos "
            "of the person, alone on each, from which the result is led away, too.",
        ),
        (
            "impersonate",
            protected,
            [target],
            "Protect a photo: recognisers should see the person of the photo `target` in it.",
        ),
    ):
        trigger.click(
            plain(event, name),
            [photo, *whom, strength, faces, seed, format, effort, *[me] * (not whom)],
            [picture, report],
            api_name=name,
            concurrency_id=ENGINE,
            concurrency_limit=page.rules.concurrency,
            api_description=f"{text} {OPTIONS}",
        )
    ask.click(
        plain(listed, "faces"),
        photo,
        found,
        api_name="faces",
        concurrency_id="light",
        api_description="The faces of a photo, the largest first: a list of {number, box, protectable}.",
    )


def leaving(page: Page) -> Callable[[gr.Request], None]:
    """What happens when a visitor goes."""

    def leave(request: gr.Request) -> None:
        page.visitors.leave(request.session_hash)

    return leave
