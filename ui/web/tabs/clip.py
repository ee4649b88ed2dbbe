"""The tab Clip: a clip in, its faces to choose from, and the clip before and after in step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr

from ....attacks.faces.tracking import follow
from ....attacks.faces.tracks import Tracks
from ....core.errors import NoFace
from ....core.types import Steps
from ....core.video import Clip
from ....privacy.settings import CLIP_DESCRIPTIONS
from ... import clip_faces
from ...clip_records import ClipFace
from ...selection import Whom
from ...workflow import person_of
from .. import clip_html, html
from ..page import OF_CLIP, Page
from ..results import ClipOutcome, Wish, beside, protect_clip, wish
from ..sessions import Visitor
from ..uploads import admit_references, arrived_clip, refusals
from .parts import (
    AT_ONCE,
    QUIET,
    clip_efforts,
    getting_ready,
    limits,
    others_of_you,
    own,
    run_in_line,
    strengths,
    telling,
    wait_for,
    whom,
)

Update = dict[Any, Any]
STOPPED = "Stopped. What was found is kept as long as you are here: start again, and it goes on from there."


@dataclass
class HeldClip:
    """The clip that lies before a visitor: who is in it once they were looked for, where their tracks lie.

    folder: where work that was stopped goes on.
    """

    path: str = ""
    faces: tuple[ClipFace, ...] = ()
    tracks: Path | None = None
    sheet: Path | None = None
    folder: Path | None = None

    @property
    def choices(self) -> list[tuple[str, int]]:
        """The faces that can be protected, as a choice."""
        return [(f"Face {face.number}", face.number) for face in self.faces if not face.left]


@dataclass
class Wanted:
    """What a visitor asked for: how, and the numbers of the faces (none for all)."""

    wish: Wish
    numbers: frozenset[int] = field(default_factory=frozenset[int])


def tab(page: Page) -> None:
    """Fill the tab."""
    gr.HTML(
        "<div class='veil-step'><h2>A clip</h2></div><p class='veil-note'>Faces are followed through the "
        "clip, and each gets one change that moves with it. The sound stays exactly as it is; place, camera "
        "and time are gone from the result. It takes some minutes. Voice, gait, hands, clothes and places "
        "tell who you are as well.</p>"
    )
    shown = gr.State(HeldClip())
    clip = gr.File(label="Clip (MP4, MOV, MKV, WebM)", height=140, elem_id="veil-clip")
    limits(page)
    with gr.Row():
        look = gr.Button("Look for faces first", interactive=False, elem_id="veil-clip-look")
    sheet = gr.HTML(elem_id="veil-clip-sheet", elem_classes="veil-hollow")
    chosen = gr.CheckboxGroup(label="Faces to protect", visible=False, elem_id="veil-clip-faces")
    only = whom("veil-clip-only")
    me = others_of_you(page, "veil-clip-me")
    strength, effort = strengths(CLIP_DESCRIPTIONS), clip_efforts()
    with gr.Row():
        start = gr.Button("Protect the clip", variant="primary", interactive=False, elem_id="veil-clip-start")
        stop = gr.Button("Stop", interactive=False, elem_id="veil-clip-stop")
    panel = gr.HTML(elem_id="veil-clip-panel", elem_classes="veil-hollow")
    result = gr.HTML(elem_id="veil-clip-result", elem_classes="veil-hollow")

    def begin() -> Update:
        return getting_ready(panel, start, stop)

    def begin_anew() -> Update:
        return {**begin(), result: ""}

    def came(path: str | None, request: gr.Request) -> Update:
        page.visitors.of(request.session_hash, [path] if path else ())
        return {
            shown: HeldClip(path or ""),
            sheet: "",
            chosen: gr.CheckboxGroup(visible=False),
            result: "",
            panel: html.problem(*refusals(page, [path] if path else (), film=True)),
        }

    @telling(panel)
    def looking(held: HeldClip, request: gr.Request) -> Iterator[Update]:
        visitor = page.visitors.of(request.session_hash)
        opened = arrived_clip(page, held.path)
        held = yield from page.watch(visitor, search(opened, visitor), lambda html: {panel: html})
        yield {
            shown: held,
            panel: html.note(f"{len(held.faces)} face{'s' * (len(held.faces) != 1)} found."),
            sheet: clip_html.sheet(held.sheet) if held.sheet else "",
            chosen: gr.CheckboxGroup(
                held.choices, value=[number for _, number in held.choices], visible=bool(held.choices)
            ),
        }

    @telling(panel, STOPPED)
    def run(
        held: HeldClip,
        numbers: list[int],
        only: str | None,
        me: list[str] | None,
        strength: str,
        effort: str,
        request: gr.Request,
    ) -> Iterator[Update]:
        visitor = page.visitors.of(request.session_hash, filter(None, (only, *(me or ()))))
        opened = arrived_clip(page, held.path)
        if held.choices and not numbers:
            raise NoFace("No face is chosen.", "Tick those to protect.")
        every = len(numbers) == len(held.choices)
        wanted = Wanted(wish(strength, effort, only=only, me=me), frozenset([] if every else numbers))
        admit_references(page, wanted.wish.me, only)
        held = begun(held, visitor)
        yield {shown: held}
        work = protect(opened, held, wanted)
        done = yield from page.watch(visitor, work, lambda html: {panel: html}, shares=OF_CLIP)
        files = (("Download the clip", done.after), ("Download the report", done.record))
        yield {
            shown: replace(held, folder=None),
            panel: html.note("Done. Place, camera and time are gone from the result."),
            result: clip_html.players(opened.path, done.after)
            + html.downloads(files)
            + "".join(map(html.note, (*done.said.ignored, *done.said.notes)))
            + clip_html.verdict(done.said),
        }

    outputs = [shown, panel, sheet, chosen, result]
    clip.change(came, clip, outputs, **QUIET)
    wait_for(page, [clip], start, look)
    own(page, only)
    buttons = (panel, start, stop)
    looked = look.click(begin, None, [*buttons], **AT_ONCE)
    run_in_line(page, looked, looking, [shown], outputs, buttons, [clip])
    started = start.click(begin_anew, None, [*buttons, result], **AT_ONCE)
    inputs = [shown, chosen, only, me, strength, effort]
    run_in_line(page, started, run, inputs, outputs, buttons, [clip])


def search(clip: Clip, visitor: Visitor) -> Steps[HeldClip]:
    """Follow the faces of a clip, and draw them."""
    tracks = yield from follow(clip.frames(), clip.count)
    held = HeldClip(str(clip.path), clip_faces.described(clip, tracks))
    if not held.faces:
        raise NoFace(f"No face was found in {clip.name}.", clip_faces.NOWHERE)
    held = replace(held, tracks=visitor.path_for("tracks.npz"), sheet=visitor.path_for("faces.png"))
    assert held.tracks
    assert held.sheet
    tracks.save(held.tracks)
    clip_faces.sheet(clip, tracks).save(held.sheet)
    return held


def begun(held: HeldClip, visitor: Visitor) -> HeldClip:
    """The same, with a folder for its protection: where that was begun, if it is still there."""
    there = held.folder and held.folder.is_dir()
    return held if there else replace(held, folder=visitor.path_for("any").parent)


def protect(clip: Clip, held: HeldClip, wanted: Wanted) -> Steps[ClipOutcome]:
    """Protect a clip in its folder, where work that was stopped goes on.

    Raises:
        NoFace: the person is not in it.
        BadPhoto: a photo of the person cannot be used, or shows others.
    """
    assert held.folder
    only = wanted.wish.only
    whom = Whom(wanted.numbers, person_of([only]) if only else None)
    tracks = Tracks.load(held.tracks) if held.tracks and held.tracks.exists() else None
    album = yield from beside(wanted.wish)
    return (yield from protect_clip(clip, wanted.wish, whom, held.folder, tracks, album))
