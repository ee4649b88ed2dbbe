"""The HTML of clips: two players that run in step, and what recognisers say."""

from __future__ import annotations

from html import escape
from pathlib import Path

from .. import clip_words, wording
from ..clip_records import ClipRecord, ClipReport
from ..face_words import BY_CHOICE
from ..limits import CLIP_LIMITS
from . import html

# The one with the sound leads; the other is told when to play and where to be.
_OTHER = "const o=this.closest('figure').querySelectorAll('video')[0];"
_STEP = {
    "onplay": _OTHER + "o.currentTime=this.currentTime;o.play()",
    "onpause": _OTHER + "o.pause();o.currentTime=this.currentTime",
    "onseeked": _OTHER + "o.currentTime=this.currentTime",
    "onratechange": _OTHER + "o.playbackRate=this.playbackRate",
    "ontimeupdate": _OTHER + "if(Math.abs(o.currentTime-this.currentTime)>.08)o.currentTime=this.currentTime",
}


def players(before: Path, after: Path) -> str:
    """A clip before and after, side by side; the controls of the one after move both."""
    events = " ".join(f'{name}="{escape(code)}"' for name, code in _STEP.items())
    return (
        '<figure class="veil-players"><div>'
        f'<span class="veil-tag">before</span><video src="{html.source(before)}" muted playsinline '
        'preload="auto" aria-label="Before" tabindex="-1"></video></div><div>'
        f'<span class="veil-tag">after</span><video src="{html.source(after)}" controls playsinline '
        f'preload="auto" aria-label="After" {events}></video></div>'
        "<figcaption>Both run in step, where the browser can show them. Do people still see the same "
        "person?</figcaption></figure>"
    )


def sheet(picture: Path) -> str:
    """The faces of a clip, with their numbers."""
    return f'<img class="veil-sheet" src="{html.source(picture)}" alt="The faces of the clip, numbered">'


def verdict(record: ClipReport, reported: bool = True) -> str:
    """What recognisers say of the people of a clip, what these still express, and what is not promised.

    Args:
        reported: whether it is known which recognisers were used.
    """
    made = wording.made(record.strength, record.effort) if isinstance(record, ClipRecord) else ""
    said = (*clip_words.legend(record), *clip_words.remarks(record))
    left = html.left_out(
        (face.left in BY_CHOICE, text) for face in record.faces for text in clip_words.unprotected([face])
    )
    remarks = "".join(f"<li>{escape(text)}</li>" for text in said)
    rows = [clip_words.TRACK_COLUMNS, *clip_words.match_rows(record)]
    if not reported:
        used = rows[0].index("Used")
        rows[1:] = [(*row[:used], "not known", *row[used + 1 :]) for row in rows[1:]]
    return (
        f'<section class="veil-verdict">{left}'
        + f'<p class="veil-headline">{escape(clip_words.headline(record))}</p>'
        + (html.note(made) if made else "")
        + f'<div class="veil-wide">{html.plain_table(rows)}</div>'
        + f"<ul>{remarks}</ul></section>{html.expressed(record.faces)}{html.limits(CLIP_LIMITS)}"
    )
