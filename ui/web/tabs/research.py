"""The tab Research: a finished benchmark, its plots and tables for a choice of its rows, and their export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from ....core.errors import VeilError
from ....eval.summary import OUTCOMES
from .. import html, research
from ..page import Page, known
from ..research import UNDISTURBED, Query

Update = dict[Any, Any]
WORK: dict[str, Any] = {"concurrency_id": "research", "api_visibility": "private", "show_progress": "minimal"}


def tab(page: Page) -> None:
    """Fill the tab; a folder of this machine can be named only where the page is one's own."""
    gr.HTML(
        "<div class='veil-step'><h2>Read a finished benchmark</h2></div><p class='veil-note'>The rows that "
        "<code>veil benchmark</code> wrote, rows.parquet or rows.csv, one for each photo, recogniser and "
        "disturbance: choose what to compare, look at plots and tables, and take them with you. No other "
        "tables can be opened here.</p>"
    )
    opened = gr.State(None)
    with gr.Row():
        file = gr.File(label="rows.parquet or rows.csv", height=130, elem_id="veil-rows")
        folder = None if page.rules.hosted else _folder()
    trouble = gr.HTML(elem_classes="veil-hollow")
    with gr.Column(visible=False) as choices:
        outcome = gr.Radio(label="A photo counts as protected where it is", elem_id="veil-outcome")
        methods = gr.CheckboxGroup(label="Methods", elem_id="veil-methods")
        recognizers = gr.CheckboxGroup(label="Recognisers", elem_id="veil-recognizers")
        disturbances = gr.CheckboxGroup(
            label="Disturbances", info="Beside the photos as they were saved", elem_id="veil-disturbances"
        )
        other = gr.Dropdown(label="Compare methods with")
        show = gr.Button("Show", variant="primary", elem_id="veil-research-start")
    result = gr.HTML(elem_id="veil-findings", elem_classes="veil-hollow")
    chosen = [outcome, methods, recognizers, disturbances, other]

    def came(path: str | None, request: gr.Request) -> Update:
        page.visitors.of(request.session_hash, [path] if path else ())
        return open_run(path, sent=True)

    def open_run(place: str | None, sent: bool = False) -> Update:
        closed: Update = {opened: None, trouble: "", choices: gr.Column(visible=False), result: ""}
        if not place:
            return closed
        try:
            if sent:
                page.rules.admit(place)
            path = research.rows_file(place)
            whole = research.everything(path)
        except Exception as error:  # whoever names a folder may read its name again
            problem = error if isinstance(error, VeilError) and not sent else known(error)
            return {**closed, trouble: html.problem(problem)}
        more = [name for name in whole.disturbances if name != UNDISTURBED]
        questions = [(OUTCOMES[name], name) for name in whole.outcomes]
        return {
            **{opened: path, trouble: "", result: "", choices: gr.Column(visible=True)},
            outcome: gr.Radio(questions, value=whole.outcomes[0]),
            methods: gr.CheckboxGroup(whole.methods, value=whole.methods),
            recognizers: gr.CheckboxGroup(whole.recognizers, value=whole.recognizers),
            disturbances: gr.CheckboxGroup(more, value=more, visible=bool(more)),
            other: gr.Dropdown(whole.methods, value=whole.first, visible=len(whole.methods) > 1),
        }

    def look(request: gr.Request, path: Path | None, *values: Any) -> str:
        if path is None:  # what was wrong with the file has been said
            return ""
        try:
            findings = research.find(path, Query(*values))
            place = page.visitors.of(request.session_hash).path_for("benchmark.zip")
            return html.findings(findings, research.archive(findings, place))
        except Exception as error:
            return html.problem(known(error))

    results = [opened, trouble, choices, result, *chosen]
    ways = [file.change(came, file, results, **WORK)]
    if folder:
        ways.append(folder.submit(open_run, folder, results, **WORK))
    for way in (*(way.then for way in ways), show.click):
        way(look, [opened, *chosen], result, **WORK)


def _folder() -> gr.Textbox:
    """Where a run of this machine is named; only one's own page has it."""
    return gr.Textbox(
        label="Or the folder of a run on this machine",
        placeholder="runs/methods",
        info="Enter opens it",
        elem_id="veil-run",
    )
