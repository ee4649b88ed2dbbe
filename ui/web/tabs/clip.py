"""The tab Clip: a clip in, its faces to choose from, and the clip before and after in step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr

from ....attacks.faces.tracking import follow
from ....attacks.faces.tracks import Tracks
from ....core.errors import BadClip, NoFace
from ....core.types import Steps
from ....core.video import Clip, open_clip
from ... import clip_faces, clips, pipes
from ...clip_records import ClipFace, ClipRecord
from ...outputs import Output
from ...selection import Whom
from ...workflow import person_of
from .. import clip_html, html
from ..page import Page, known
from ..results import Wish, wish
from ..sessions import Stopped, Visitor
from .parts import AT_ONCE, QUIET, efforts, getting_ready, own, run_in_line, strengths

Update = dict[Any, Any]


@dataclass
class Shown:
    """The clip that lies before a visitor: who is in it once they were looked for, where their tracks lie."""

    path: str = ""
    faces: tuple[ClipFace, ...] = ()
    tracks: Path | None = None
    sheet: Path | None = None

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
    shown = gr.State(Shown())
    clip = gr.File(label="Clip (MP4, MOV, MKV, WebM)", height=140, elem_id="veil-clip")
    with gr.Row():
        look = gr.Button("Look for faces first", elem_id="veil-clip-look")
    sheet = gr.HTML(elem_id="veil-clip-sheet", elem_classes="veil-hollow")
    chosen = gr.CheckboxGroup(label="Faces to protect", visible=False, elem_id="veil-clip-faces")
    only = gr.File(
        label="Only one person's face? A photo that shows nobody else", height=110, elem_id="veil-clip-only"
    )
    strength, effort = strengths(), efforts()
    with gr.Row():
        start = gr.Button("Protect the clip", variant="primary", elem_id="veil-clip-start")
        stop = gr.Button("Stop", interactive=False, elem_id="veil-clip-stop")
    panel = gr.HTML(elem_id="veil-clip-panel", elem_classes="veil-hollow")
    result = gr.HTML(elem_id="veil-clip-result", elem_classes="veil-hollow")

    def begin() -> Update:
        return {**getting_ready(panel, start, stop), result: ""}

    def came(path: str | None, request: gr.Request) -> Update:
        page.visitors.of(request.session_hash, [path] if path else ())
        return {
            shown: Shown(path or ""),
            sheet: "",
            chosen: gr.CheckboxGroup(visible=False),
            result: "",
            panel: "",
        }

    def looking(held: Shown, request: gr.Request) -> Iterator[Update]:
        visitor = page.visitors.of(request.session_hash)
        try:
            opened = admitted(page, held.path)
            held = yield from page.watch(visitor, search(opened, visitor), lambda html: {panel: html})
        except Stopped:
            yield {panel: html.note("Stopped.")}
            return
        except Exception as error:
            yield {panel: html.problem(known(error))}
            return
        yield {
            shown: held,
            panel: html.note(f"{len(held.faces)} face{'s' * (len(held.faces) != 1)} found."),
            sheet: clip_html.sheet(held.sheet) if held.sheet else "",
            chosen: gr.CheckboxGroup(
                held.choices, value=[number for _, number in held.choices], visible=bool(held.choices)
            ),
        }

    def run(
        held: Shown, numbers: list[int], only: str | None, strength: str, effort: str, request: gr.Request
    ) -> Iterator[Update]:
        visitor = page.visitors.of(request.session_hash, filter(None, (only,)))
        try:
            opened = admitted(page, held.path)
            if held.choices and not numbers:
                raise NoFace("No face is chosen.", "Tick those to protect.")
            every = len(numbers) == len(held.choices)
            wanted = Wanted(wish(strength, effort, only=only), frozenset([] if every else numbers))
            if only:
                page.rules.admit(only)
            work = protect(opened, held, wanted, visitor)
            file, record = yield from page.watch(visitor, work, lambda html: {panel: html})
        except Stopped:
            yield {panel: html.note("Stopped. What was not finished was thrown away.")}
            return
        except Exception as error:
            yield {panel: html.problem(known(error))}
            return
        files = (("Download the clip", file), ("Download the report", file.with_suffix(".json")))
        yield {
            panel: html.note("Done. Place, camera and time are gone from the result."),
            result: clip_html.players(opened.path, file)
            + html.downloads(files)
            + "".join(map(html.note, record.notes))
            + clip_html.verdict(record),
        }

    outputs = [shown, panel, sheet, chosen, result]
    clip.change(came, clip, outputs, **QUIET)
    own(page, only)
    buttons = [panel, start, stop, result]
    run_in_line(
        page, look.click(begin, None, buttons, **AT_ONCE), looking, [shown], outputs, (panel, start, stop)
    )
    started = start.click(begin, None, buttons, **AT_ONCE)
    inputs = [shown, chosen, only, strength, effort]
    run_in_line(page, started, run, inputs, outputs, (panel, start, stop))


def admitted(page: Page, path: str) -> Clip:
    """A visitor's clip, if the rules allow it.

    Raises:
        BadClip: there is none, or it is too large or too long for this page.
    """
    if not path:
        raise BadClip("There is no clip yet.", "Drop one above.")
    page.rules.admit(path)
    if not pipes.is_clip(Path(path)):
        raise BadClip(f"{Path(path).name} is no video by its name.", "Drop an MP4, MOV, MKV or WebM.")
    clip = open_clip(Path(path))
    page.rules.admit_clip(clip.name, clip.size, clip.seconds)
    return clip


def search(clip: Clip, visitor: Visitor) -> Steps[Shown]:
    """Follow the faces of a clip, and draw them."""
    tracks = yield from follow(clip.frames(), clip.count)
    held = Shown(str(clip.path), clip_faces.described(clip, tracks))
    if not held.faces:
        raise NoFace(f"No face was found in {clip.name}.", clip_faces.NOWHERE)
    held = replace(held, tracks=visitor.path_for("tracks.npz"), sheet=visitor.path_for("faces.png"))
    assert held.tracks
    assert held.sheet
    tracks.save(held.tracks)
    clip_faces.sheet(clip, tracks).save(held.sheet)
    return held


def protect(clip: Clip, held: Shown, wanted: Wanted, visitor: Visitor) -> Steps[tuple[Path, ClipRecord]]:
    """Protect a clip in the visitor's folder.

    Raises:
        NoFace: the person is not in it.
    """
    asked, settings = wanted.wish.only, wanted.wish.settings
    whom = Whom(wanted.numbers, person_of([asked]) if asked else None)
    output = Output(visitor.path_for("any").parent)
    job = clips.prepare(clip.path, output, whom, set(), True, settings, [asked] if asked else [])
    assert isinstance(job, clips.ClipJob)
    tracks = Tracks.load(held.tracks) if held.tracks and held.tracks.exists() else None
    record = yield from clips.run(job, settings, whom, tracks=tracks)
    if isinstance(record, clips.ClipPassedOver):
        raise NoFace(f"{clip.name} {record.why}.", "Nothing is changed in it.")
    return job.result, record
