"""How the page looks: one calm theme of system fonts, light and dark, and the little script it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CSS = Path(__file__).with_name("page.css")

HEAD = """<meta name="viewport" content="width=device-width, initial-scale=1">
<script>
document.documentElement.lang = "en";
new MutationObserver(() => {  // gradio nests the button that adds files in another one, which has no name
  for (const outer of document.querySelectorAll('button[aria-label="common.upload"]')) {
    outer.setAttribute("aria-label", "Add files");
    outer.setAttribute("title", "Add files");
    outer.setAttribute("role", "group");
    outer.tabIndex = -1;
  }
}).observe(document.documentElement, {childList: true, subtree: true});
document.addEventListener("click", event => {  // a face on the photo is its checkbox
  const face = event.target.closest("[data-face]");
  if (!face) return;
  for (const label of document.querySelectorAll("#" + face.dataset.group + " label"))
    if (label.textContent.trim() === "Face " + face.dataset.face) label.querySelector("input").click();
});
let groups = 0;
new MutationObserver(() => {  // gradio names each radio apart, so that arrow keys would do nothing
  for (const group of document.querySelectorAll("fieldset:has(input[type=radio])")) {
    group.dataset.radios ??= `veil-radios-${groups++}`;
    for (const radio of group.querySelectorAll("input[type=radio]"))
      if (radio.name !== group.dataset.radios) radio.name = group.dataset.radios;
  }
}).observe(document.documentElement, {childList: true, subtree: true, attributeFilter: ["name"]});
const veil = {
  whenEnabled(id, then, tries = 40) {  // gradio shows what an event returned a moment later
    const button = document.getElementById(id);
    if (button && !button.disabled) then(button);
    else if (tries) setTimeout(() => veil.whenEnabled(id, then, tries - 1), 50);
  },
  toStop(id) {  // the button that was pressed is disabled, and would leave the focus nowhere
    veil.whenEnabled(id, stop => { if (veil.nowhere()) stop.focus({preventScroll: true}); });
  },
  toResult(start, stop) {  // or back to the button, where there is none
    veil.whenEnabled(start, button => {
      if (!veil.nowhere(document.getElementById(stop)) || !button.offsetParent) return;
      const tab = button.closest("[role=tabpanel]");
      const result = [...tab.querySelectorAll(".veil-name, .veil-headline")].find(one => one.offsetParent);
      if (!result) return button.focus({preventScroll: true});
      result.tabIndex = -1;
      result.style.outline = 'none';  // it is where to read on, and nothing to press
      result.focus({preventScroll: true});
      result.scrollIntoView({block: innerWidth < 900 ? "start" : "nearest", behavior: "smooth"});
    });
  },
  nowhere(...also) {  // whether nobody has moved the focus to where something else is done
    const now = document.activeElement;
    return !now || now === document.body || now.disabled || also.includes(now);
  },
};
const working = () => document.querySelector(".veil-progress") !== null;
addEventListener("beforeunload", event => {  // a job is lost with the page, so the browser asks first
  if (working()) event.preventDefault();
});
const abort = AbortController.prototype.abort;
AbortController.prototype.abort = function(...why) {  // gradio hangs up before the answer, which may be no
  if (window.event?.type !== "beforeunload" || !working()) abort.apply(this, why);
};
document.addEventListener("input", event => {  // before and after
  if (event.target.matches(".veil-pair input"))
    event.target.parentNode.style.setProperty("--at", event.target.value + "%");
});
</script>"""


def theme() -> Any:
    """Gradio's base theme in veil's colours; system fonts only, so that nothing is fetched."""
    from gradio.themes import Base
    from gradio.themes.utils import colors, fonts

    system = [fonts.Font(name) for name in ("system-ui", "-apple-system", "Segoe UI", "sans-serif")]
    mono = [fonts.Font(name) for name in ("ui-monospace", "Consolas", "monospace")]
    accent = "#0f5c63"
    return Base(primary_hue=colors.teal, neutral_hue=colors.slate, font=system, font_mono=mono).set(
        body_background_fill="#f5f6f4",
        body_background_fill_dark="#12181d",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1a2229",
        block_border_color="#dfe3e6",
        block_border_color_dark="#34404a",
        block_label_text_color="#3d4851",
        block_label_text_color_dark="#c5ced5",
        block_info_text_color="#55606a",
        block_info_text_color_dark="#aab6bf",
        body_text_color="#1d262d",
        body_text_color_dark="#e8edf0",
        body_text_color_subdued="#55606a",
        body_text_color_subdued_dark="#aab6bf",
        block_radius="10px",
        button_primary_background_fill=accent,
        button_primary_background_fill_hover="#0b474d",
        button_primary_background_fill_dark="#1f7f88",
        button_primary_background_fill_hover_dark="#1a6d75",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        checkbox_background_color_selected=accent,
        checkbox_background_color_selected_dark="#1f7f88",
        checkbox_border_color_selected=accent,
        checkbox_label_background_fill_selected="#e3f0f0",
        checkbox_label_background_fill_selected_dark="#20393d",
        checkbox_label_text_color_selected="#12343a",
        checkbox_label_text_color_selected_dark="#e8edf0",
        checkbox_label_background_fill="#ffffff",
        checkbox_label_background_fill_dark="#1a2229",
        checkbox_label_background_fill_hover="#f0f4f4",
        checkbox_label_background_fill_hover_dark="#222d35",
        checkbox_label_border_color="#cfd6da",
        checkbox_label_border_color_dark="#3d4a55",
        checkbox_label_border_color_selected=accent,
        checkbox_label_border_color_selected_dark="#2a939d",
        checkbox_label_border_width="1px",
        checkbox_label_border_width_dark="1px",
        block_label_background_fill="#ffffff",
        block_label_background_fill_dark="#1a2229",
        table_even_background_fill="#ffffff",
        table_even_background_fill_dark="#1a2229",
        table_odd_background_fill="#f5f6f4",
        table_odd_background_fill_dark="#222d35",
        input_background_fill="#f5f6f4",
        input_background_fill_dark="#222d35",
        link_text_color=accent,
        link_text_color_dark="#7cc9cf",
        slider_color=accent,
    )
