"""The pieces of the page that veil draws itself, as HTML: everything that came from outside is escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from ...core.errors import VeilError
from ...core.types import Face
from ...eval.behaviour import page
from ...eval.report import FaceReport, Report
from ...privacy.settings import Settings
from ...weights.registry import cards
from .. import face_words, model_words, wording
from ..clip_records import ClipFace
from ..limits import LIMITS
from . import matches
from .checks import Survival
from .pictures import AMPLIFIED
from .research import Findings

PROMISE = (
    "<b>Nothing about your photo leaves this machine.</b> No account, no statistics, nothing fetched from "
    "elsewhere: you can pull the plug and the page still works."
)
PROMISE_HOSTED = (
    "<b>Your photo goes to this server and no further.</b> It is deleted when you close the page, and "
    "at the latest ten minutes after you last used it. To keep it to yourself altogether, run veil at home."
)


def header(hosted: bool) -> str:
    """What this is, and what happens to a photo."""
    return (
        '<header class="veil-header"><h1>veil</h1>'
        "<p>Hide who you are from face-recognition machines. People should still recognise you; today "
        "they may see a relative, or another person: compare before you share.</p>"
        f'<p class="veil-promise">{PROMISE_HOSTED if hosted else PROMISE}</p></header>'
    )


def note(text: str) -> str:
    """A quiet line."""
    return f'<p class="veil-note" role="status">{escape(text)}</p>'


def problem(*errors: VeilError) -> str:
    """What went wrong, each with its way out."""
    lines = "".join(
        f"<p><b>{escape(error.message)}</b> {escape(error.hint)}</p>" for error in errors if error.message
    )
    return f'<div class="veil-problem" role="alert">{lines}</div>' if lines else ""


def source(path: Path) -> str:
    """The address of a file of a visitor, relative to the page."""
    return escape("gradio_api/file=" + quote(path.as_posix()))


def faces(
    picture: Path,
    name: str,
    size: tuple[int, int],
    found: Mapping[int, Face],
    picked: Collection[int],
    group: str,
) -> str:
    """A photo with its faces as numbered buttons; those picked are pressed.

    The page's script turns a click into one on the input "Face N" of the element `group`.
    """
    wide, high = size
    buttons: list[str] = []
    for number, face in found.items():
        left, top, right, bottom = face.box
        place = (
            f"left:{100 * left / wide:.2f}%;top:{100 * top / high:.2f}%;"
            f"width:{100 * (right - left) / wide:.2f}%;height:{100 * (bottom - top) / high:.2f}%"
        )
        pressed = "true" if number in picked else "false"
        buttons.append(
            f'<button type="button" class="veil-face" data-face="{number}" '
            f'data-group="{group}" aria-pressed="{pressed}" '
            f'aria-label="Face {number}" style="{place}"><span>{number}</span></button>'
        )
    return (
        f'<div class="veil-photo"><img src="{source(picture)}" alt="{escape(name)} with its faces numbered">'
        f"{''.join(buttons)}</div>"
    )


def progress(title: str, share: float | None, detail: str, preview: str = "") -> str:
    """How far the work is: a bar, a line of words, and the picture as it is now."""
    value = "" if share is None else f' aria-valuenow="{round(100 * share)}"'
    width = 0 if share is None else 100 * share
    picture = f'<img src="{preview}" alt="The face as it is now">' if preview else ""
    return (
        f'<div class="veil-progress"><p class="veil-stage">{escape(title)}</p>'
        f'<div class="veil-bar" role="progressbar" aria-label="{escape(title)}" aria-valuemin="0" '
        f'aria-valuemax="100"{value}><span style="width:{width:.1f}%"></span></div>'
        f'<p class="veil-note">{escape(detail)}</p>{picture}</div>'
    )


def change(path: Path) -> str:
    """The change, amplified."""
    return (
        f'<figure class="veil-compare"><img src="{source(path)}" alt="The change, amplified">'
        f"<figcaption>The change, {AMPLIFIED} times as strong. Plain grey has not changed.</figcaption>"
        "</figure>"
    )


def compare(before: Path, after: Path, size: tuple[int, int], part: Sequence[int]) -> str:
    """Before and after under a slider that mouse, finger and keyboard move.

    Shown is a part (left, top, right, bottom) of photos of a size (width, height), at their own resolution.
    """
    left, top, right, bottom = part
    wide, high = right - left, bottom - top
    place = f"width:{100 * size[0] / wide:.3f}%;left:{-100 * left / wide:.3f}%;top:{-100 * top / high:.3f}%"
    return (
        f'<figure class="veil-compare"><div class="veil-pair" style="--at:50%;--ratio:{wide / high:.4f}">'
        f'<div class="veil-layer"><img src="{source(before)}" alt="Before" style="{place}"></div>'
        f'<div class="veil-layer veil-after"><img src="{source(after)}" alt="After" style="{place}"></div>'
        '<span class="veil-tag">before</span><span class="veil-tag veil-right">after</span>'
        '<span class="veil-line" aria-hidden="true"></span>'
        '<input type="range" min="0" max="100" value="50" step="0.5" '
        'aria-label="How much of the photo before is shown"></div>'
        f'<figcaption>Drag the line. At full size: <a href="{source(before)}" target="_blank">before</a>, '
        f'<a href="{source(after)}" target="_blank">after</a>.</figcaption></figure>'
    )


def verdict(report: Report, survives: Survival, made: str = "", used: Settings | None = None) -> str:
    """The report in plain words: the headline, what came of other photos of the person, how it was `made`, by
    the settings that were `used`, a table for each face, and how much has changed."""
    several = len(report.faces) > 1
    tables = "".join(
        (f"<h3>Face {face.number}</h3>" if several else "") + matches.table(face, survives)
        for face in report.faces
    )
    beside = report.beside_references()
    others = "".join(f'<p class="veil-beside">{escape(text)}</p>' for text in beside)
    said = (wording.similarities(report), wording.likeness(report), *wording.remarks(report, used))
    remarks = "".join(f"<li>{escape(text)}</li>" for text in said if text and text not in beside)
    way = "click it in the photo, and protect it again"
    left = left_out(
        (face.reason in face_words.BY_CHOICE, text)
        for face in report.unprotected
        for text in face_words.unprotected([face], way=way)
    )
    return (
        f'<section class="veil-verdict">{left}'
        f'<p class="veil-headline">{escape(wording.headline(report, figures=False))}</p>'
        f"{others}{note(made) if made else ''}"
        f"{tables}<ul>{remarks}</ul></section>{expressed(report.faces)}"
    )


def expressed(faces: Sequence[FaceReport] | Sequence[ClipFace]) -> str:
    """What each person expresses, in full, folded away."""
    several = len(faces) > 1
    return "".join(
        f"<details><summary>{page.HEADING}{f', face {face.number}' * several}</summary>"
        f"<p>{escape(page.about(face.behaviour))}</p>{plain_table(page.rows(face.behaviour))}</details>"
        for face in faces
        if face.behaviour
    )


def plain_table(rows: Sequence[Sequence[str]]) -> str:
    """A table of text whose first row names the columns."""
    heads = "".join(f"<th scope='col'>{escape(cell)}</th>" for cell in rows[0])
    lines = "".join(
        "<tr>"
        + "".join(
            f'<td data-of="{escape(of)}">{escape(cell)}</td>' for of, cell in zip(rows[0], row, strict=True)
        )
        + "</tr>"
        for row in rows[1:]
    )
    return (
        f"<div class='veil-table'><table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def left_out(said: Iterable[tuple[bool, str]]) -> str:
    """What is left as it was, or may be: a remark where somebody chose so, otherwise a warning.

    Args:
        said: of each sentence also whether somebody did.
    """
    every = [*said]
    lines = "".join(f"<p>{escape(text)}</p>" for chosen, text in every if not chosen)
    warning = f'<div class="veil-problem">{lines}</div>' if lines else ""
    return warning + "".join(note(text) for chosen, text in every if chosen)


def downloads(files: Iterable[tuple[str, Path]]) -> str:
    """Links to files, as buttons."""
    links = "".join(
        f'<a class="veil-button" href="{source(path)}" download="{escape(path.name)}">{escape(label)}</a>'
        for label, path in files
    )
    return f'<p class="veil-downloads">{links}</p>'


def limits(words: str = LIMITS) -> str:
    """What is not promised."""
    text = words.partition(": ")[2]
    return (
        '<aside class="veil-limits"><h3>What this does not promise</h3>'
        f"<p>{escape(text[0].upper() + text[1:])}</p></aside>"
    )


def findings(found: Findings, archive: Path) -> str:
    """Research: plots and tables of a benchmark, and the archive of both."""
    plots = "".join(
        f'<figure class="veil-plot"><figcaption>{escape(heading)}</figcaption><img alt="{escape(heading)}" '
        f'src="data:image/png;base64,{b64encode(data).decode()}"></figure>'
        for heading, data in found.plots
    )
    return (
        f'<section><p class="veil-note" role="status">{escape(found.about)}</p>'
        + downloads([("Download plots and tables (zip)", archive)])
        + problem(*(VeilError(text) for text in found.warnings))
        + f'<div class="veil-plots">{plots}</div>'
        + "".join(_figures(*table) for table in found.tables)
        + "</section>"
    )


def _figures(heading: str, words: str, rows: Sequence[Sequence[str]]) -> str:
    note = f"<h3>{escape(heading)}</h3><p class='veil-note'>{escape(words)}</p>"
    return note + figures(heading, rows)


def figures(heading: str, rows: Sequence[Sequence[str]]) -> str:
    """A table of figures, which scrolls where it is wide; the first row names the columns."""
    heads = "".join(f"<th scope='col'>{escape(cell)}</th>" for cell in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:])
    return (
        f"<div class='veil-figures' tabindex='0' role='region' aria-label='{escape(heading)}'>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def models(hosted: bool = False) -> str:
    """A card for each model; on one's own machine also how to get one that is not here."""
    states = {row[0]: row[4] for row in model_words.model_rows()}
    items: list[str] = []
    for card in cards().values():
        facts = {
            "Licence": card.licence,
            "Origin": " ".join(filter(None, (card.source.package, card.source.version))),
            "Trained on": card.training,
            "Size": f"{card.bytes / 1e6:.1f} MB",
        }
        lines = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
        state = {"yes": "here", "no": "not here"}.get(states[card.name], states[card.name])
        if state != "here" and not hosted:
            lines += f"<dt>To get it</dt><dd><code>veil fetch {escape(card.name)}</code> in a terminal</dd>"
        items.append(
            f'<article class="veil-card"><h3>{escape(card.name)}</h3><p class="veil-kind">'
            f"{escape(card.kind)}, "
            f'<span class="veil-mark veil-{"good" if state == "here" else "bad"}">{state}</span></p>'
            f"<dl>{lines}</dl></article>"
        )
    return f'<div class="veil-cards">{"".join(items)}</div>'
