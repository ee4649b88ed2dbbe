"""The tab Models: which models there are, where they come from and what they may be used for."""

from __future__ import annotations

import gradio as gr
from gradio.events import api

from ...model_words import MODEL_COLUMNS, model_rows
from .. import html
from ..page import Page


def tab(page: Page) -> None:
    """Fill the tab."""
    fetched = (
        "This page fetches nothing."
        if page.rules.hosted
        else "The page fetches nothing itself: <code>veil fetch NAME</code>, in a terminal on this machine, "
        "shows the licence of another one, and downloads it once you accept that."
    )
    gr.HTML(
        "<div class='veil-step'><h2>The models veil works with</h2></div><p class='veil-note'>Recognisers "
        "judge photos, and some help to protect them; the prior draws the change. What is here works "
        f"offline. {fetched}</p>"
    )
    gr.HTML(html.models(page.rules.hosted))

    def models() -> list[dict[str, str]]:
        return [dict(zip(MODEL_COLUMNS, row, strict=True)) for row in model_rows()]

    api(
        models, api_name="models", api_description="Every model: kind, licence, size, and whether it is here."
    )
