"""The tab Check: are two photos of one person, is a clip protected, can an album be linked?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from ....core.errors import BadPhoto, BadSettings
from ....core.files import some
from ....core.images import open_photo
from ....core.types import Sighting, Steps
from ....eval.linking import Linking
from ... import clip_checks
from ...linking import link
from ...originals import originals
from ...pipes import is_clip, is_named_as_result
from .. import checks, html, links, matches
from ..gradio_queue import no_mcp_tool
from ..page import Page, known, plain
from ..policy import ENGINE
from ..sessions import Stopped, Visitor
from ..uploads import Arrival, admit_album, arrive, arrived_clip, name_of
from . import check_clips
from .parts import AT_ONCE, getting_ready, limits, own, run_in_line, tell_at_once, wait_for

Update = dict[Any, Any]


def tab(page: Page) -> None:
    """Fill the tab."""
    gr.HTML(
        "<div class='veil-step'><h2>Would a machine say this is the same person?</h2></div>"
        "<p class='veil-note'>Any two photos: a protected one and your profile picture, say, or two "
        "that veil never saw. The report of a protected one, NAME.veiled.json, tells which recognisers were "
        "used, and so who is an honest judge.</p>"
    )
    with gr.Row():
        (one, came), (other, also_came) = (_side(page, label, group) for label, group in SIDES)
        with gr.Column():
            report = gr.File(label="Its report (optional)", height=160, elem_id="veil-check-report")
    own(page, report)
    ask = gr.Button("Check", variant="primary", interactive=False, elem_id="veil-check")
    answer = gr.HTML(elem_id="veil-answer")

    def ready(*photos: Arrival | None) -> gr.Button:
        return gr.Button(interactive=all(photos))

    def say(first: Arrival | None, second: Arrival | None, report: str | None) -> str:
        try:
            if report:
                page.rules.admit(report)
            found = compare(first, second, report)
            return matches.same_person(found) + ("" if report else unreported(first, second))
        except Exception as error:
            return html.problem(known(error))

    for arrived in (came, also_came):
        arrived.then(ready, [one, other], ask, **AT_ONCE)
    ask.click(say, [one, other, report], answer, concurrency_id="light", api_visibility="private")
    _endpoint(page)
    check_clips.section(page)
    _album(page)
    _link_endpoint(page)


SIDES = (("One photo", "veil-one"), ("The other photo", "veil-other"))


def _side(page: Page, label: str, group: str) -> tuple[gr.State, Any]:
    """One of the two photos; returns the state that holds its arrival, and the event of its coming."""
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
    arrived = photo.change(came, photo, [held, picture, face], **quiet)
    face.input(picked, [held, face], [held, picture], **quiet)
    return held, arrived


def compare(
    first: Arrival | None, second: Arrival | None, report: str | None = None
) -> list[checks.Comparison]:
    """What the recognisers make of the picked faces of two photos, of which a report may be that of one.

    Raises:
        BadPhoto: one is missing.
        BadSettings: the report is not that of one of them.
    """
    if not first or not second:
        raise BadPhoto("Two photos are needed.", "Drop one on each side, each showing a face.")
    one, other = (Sighting(open_photo(item.path), item.faces[item.picked[0]]) for item in (first, second))
    used = checks.used_as_reported(Path(report), [first.path, second.path]) if report else None
    return checks.same_person(one, other, used)


def unreported(*photos: Arrival | None) -> str:
    """What is not known of photos without a report that are protected by their names, in HTML."""
    named = [photo.name for photo in photos if photo and is_named_as_result(photo.path)]
    return html.note(
        f"Protected, by name: {some(named)}. No report was given: which recognisers were used is not known, "
        "and so not who is an honest judge."
    ) * bool(named)


def _endpoint(page: Page) -> None:
    """The endpoint `/check`."""
    first, second = gr.File(visible=False, label="first"), gr.File(visible=False, label="second")
    result, trigger = gr.JSON(visible=False, label="recognisers"), gr.Button(visible=False)

    def check(first: str, second: str, request: gr.Request) -> list[dict[str, Any]] | dict[str, Any]:
        visitor = page.visitors.of(request.session_hash, filter(None, (first, second)))
        clips = [is_clip(Path(path)) for path in (first, second) if path]
        if len(clips) == 2 and all(clips):
            return judged(visitor, first, second)
        if any(clips):
            raise BadSettings(
                "A clip is judged beside a clip.", "Give two clips, before and after, or photos."
            )
        one, other = (arrive(page, visitor, path) if path else None for path in (first, second))
        rows = compare(one, other)
        return [
            {
                "recogniser": row.recognizer,
                "similarity": row.similarity,
                "limit": row.threshold,
                "same": row.same,
            }
            for row in rows
        ]

    def judged(visitor: Visitor, before: str, after: str) -> dict[str, Any]:
        work = check_clips.judging(page, before, after)
        return page.drained(visitor, work).model_dump(mode="json", exclude=check_clips.UNKNOWN)

    trigger.click(
        plain(check, "check"),
        [first, second],
        result,
        api_name="check",
        concurrency_id=ENGINE,
        concurrency_limit=page.rules.concurrency,
        api_description="Would recognisers take the largest faces of two photos for one person? "
        "A list of {recogniser, similarity, limit, same}. Of two clips, before and after: the report as "
        "`veil assess` writes it, with what recognisers make of everybody, and what each still expresses.",
    )


def _album(page: Page) -> None:
    """The second part of the tab: could a machine link the photos of an album?"""
    gr.HTML(
        "<div class='veil-step'><h2>An album: could a machine link these photos and clips?</h2></div>"
        "<p class='veil-note'>The main face of each is compared with that of every other, whoever it "
        "shows. Where those that are linked are of one person, whoever knows one by name knows all. "
        f"{clip_checks.ONE_PICTURE}</p>"
    )
    photos = gr.File(
        label="Photos and clips of the album", file_count="multiple", height=150, elem_id="veil-link-photos"
    )
    limits(page)
    trouble = tell_at_once(page, photos)
    with gr.Row():
        start = gr.Button("Check the album", variant="primary", interactive=False, elem_id="veil-link")
        stop = gr.Button("Stop", interactive=False, elem_id="veil-link-stop")
    panel = gr.HTML(elem_id="veil-links", elem_classes="veil-hollow")

    def begin() -> Update:
        return {**getting_ready(panel, start, stop), trouble: ""}  # which is told with the rest

    def run(paths: list[str] | None, request: gr.Request) -> Iterator[str]:
        visitor = page.visitors.of(request.session_hash, paths or ())
        try:
            found = yield from page.watch(visitor, linking(page, paths or ()), str)
            yield links.shown(found)
        except Stopped:
            yield html.note("Stopped.")
        except Exception as error:
            yield html.problem(known(error))

    wait_for(page, [photos], start)
    started = start.click(begin, None, [panel, start, stop, trouble], **AT_ONCE)
    run_in_line(page, started, run, photos, panel, (panel, start, stop), [photos])


def linking(page: Page, paths: Sequence[str]) -> Steps[Linking]:
    """Judge whether photos and clips that were uploaded can be linked; what protected them is not known.

    Raises:
        BadPhoto: there are too many, or fewer than two that can be compared.
    """
    admit_album(page, paths)

    def opened(path: str) -> Steps[clip_checks.AlbumView]:
        try:
            if is_clip(Path(path)):
                arrived_clip(page, path)
            page.rules.admit(path)
            return (yield from clip_checks.album_view(Path(path)))
        except Exception as error:
            raise known(error) from error

    left = originals([*map(Path, paths)])
    judged = [path for path in paths if Path(path) not in left]
    left_out, names = [path.name for path in left], _told_apart(map(name_of, judged))
    return (yield from link(judged, opened, surrogates=(), originals=left_out, names=names))


def _told_apart(names: Iterable[str]) -> list[str]:
    """Names, with numbers where several are the same: their folders are this machine's."""
    met, apart = Counter[str](), list[str]()
    for name in names:
        met[name] += 1
        apart.append(f"{name} ({met[name]})" if met[name] > 1 else name)
    return apart


def _link_endpoint(page: Page) -> None:
    """The endpoint `/link`."""
    photos = gr.File(visible=False, label="photos", file_count="multiple")
    result, trigger = gr.JSON(visible=False, label="linking"), gr.Button(visible=False)

    def linked(photos: list[str], request: gr.Request) -> dict[str, Any]:
        visitor = page.visitors.of(request.session_hash, photos or ())
        unknown = {"judges": {"__all__": {"used_by_attack"}}}
        found = page.drained(visitor, linking(page, photos or ()))
        return found.model_dump(mode="json", exclude=unknown)

    trigger.click(
        no_mcp_tool(plain(linked, "link")),
        photos,
        result,
        api_name="link",
        concurrency_id=ENGINE,
        concurrency_limit=page.rules.concurrency,
        api_description="Could a machine link the photos and clips of an album, by the main face of each (of "
        "a clip by the picture that shows best who is shown most)? What it says in words, how many of the "
        "strong recognisers take each two for one person (matrix), the photos that hang together (groups, by "
        "number from 1) or show nearly the same picture (nearly_same), and the cosines of every recogniser.",
    )
