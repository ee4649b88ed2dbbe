"""The tab Check: a clip before and after, as `veil assess` judges them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ....core.errors import BadSettings
from ....core.types import Steps
from ...clip_checks import assess
from ...clip_records import ClipReport
from ...originals import swapped
from ...pipes import is_named_as_result
from .. import clip_html, html
from ..checks import used_as_reported
from ..page import JUDGED, Page
from ..uploads import arrived_clip
from .parts import AT_ONCE, getting_ready, limits, own, run_in_line, tell_at_once, telling, wait_for

Update = dict[Any, Any]
# Of a report: what is not known where no record of the clip was given.
UNKNOWN: Any = {"faces": {"__all__": {"matches": {"__all__": {"used_by_attack"}}}}}
CHANGE_PLACES = "Drop it as the clip after, and the other one as the clip before."
UNREPORTED = (
    "No report was given (NAME.veiled.json), which would name the recognisers that the clip was protected "
    "against: all count as if it had never met them, and the verdict may be better than it should be."
)


def section(page: Page) -> None:
    """The second part of the tab."""
    gr.HTML(
        "<div class='veil-step'><h2>A clip before and after: would a machine still know who is in it?</h2>"
        "</div><p class='veil-note'>Faces are followed in the clip before; the same places are looked at in "
        "the one after. It takes some minutes. The report, "
        "NAME.veiled.json, tells which recognisers were used, and so who is an honest judge.</p>"
    )
    with gr.Row():
        before, after, report = (
            gr.File(label=label, height=160, min_width=280, elem_id=f"veil-clip-{name}")
            for label, name in (
                ("The clip before", "before"),
                ("The clip after", "after"),
                ("Its report (optional)", "report"),
            )
        )
    limits(page)
    trouble = [tell_at_once(page, clip, film=True) for clip in (before, after)]
    own(page, report)
    with gr.Row():
        start = gr.Button("Check the clips", variant="primary", interactive=False, elem_id="veil-clips-check")
        stop = gr.Button("Stop", interactive=False, elem_id="veil-clips-stop")
    panel = gr.HTML(elem_id="veil-clips-panel", elem_classes="veil-hollow")
    result = gr.HTML(elem_id="veil-clips-result", elem_classes="veil-hollow")

    def begin() -> Update:
        return {**getting_ready(panel, start, stop), **dict.fromkeys(trouble, ""), result: ""}

    @telling(panel)
    def run(
        before: str | None, after: str | None, report: str | None, request: gr.Request
    ) -> Iterator[Update]:
        sent = filter(None, (before, after, report))
        visitor = page.visitors.of(request.session_hash, sent)
        work = judging(page, before, after, report)
        found = yield from page.watch(visitor, work, lambda html: {panel: html}, shares=JUDGED)
        assert before
        assert after
        yield {
            panel: html.note("Done." if report else UNREPORTED),
            result: clip_html.players(Path(before), Path(after)) + clip_html.verdict(found, bool(report)),
        }

    wait_for(page, [before, after], start)
    started = start.click(begin, None, [panel, start, stop, *trouble, result], **AT_ONCE)
    inputs, buttons = [before, after, report], (panel, start, stop)
    run_in_line(page, started, run, inputs, [panel, result], buttons, [before, after])


def judging(
    page: Page, before: str | None, after: str | None, report: str | None = None
) -> Steps[ClipReport]:
    """Judge a clip that was uploaded, by what it was before; without its report nothing counts as used.

    Raises:
        BadPhoto: a clip is missing, too much for this page, or cannot be used.
        BadSettings: the report is not that of the clip; or there is none, and by their names the clips are
            in the wrong places.
    """
    one, other = (arrived_clip(page, path).path for path in (before, after))
    if not report and is_named_as_result(one) and not is_named_as_result(other):
        raise BadSettings(
            f"{one.name} is a protected one by its name, and {other.name} is not.",
            f"{CHANGE_PLACES} If it is not, give it another name.",
        )
    return (yield from assess(one, other, _used(page, one, other, report) if report else ()))


def _used(page: Page, before: Path, clip: Path, report: str) -> frozenset[str]:
    """The recognisers that made a clip, as its report says.

    Raises:
        BadPhoto: the report is too large for this page, or was deleted.
        BadSettings: it is not that of the clip, but perhaps of the one before.
    """
    page.rules.admit(report)
    if swapped(before, clip, Path(report)):
        raise BadSettings(
            f"{before.name} is the protected one, made of {clip.name}, as the report says.", CHANGE_PLACES
        )
    return used_as_reported(Path(report), [clip])
