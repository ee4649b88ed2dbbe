"""The rows of an album, as HTML: everything that came from outside is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from .html import source


def outcomes(rows: Sequence[Sequence[str]]) -> str:
    """The album: a row for each photo or clip, of its kind, its name, its outcome, and HTML to look at."""
    body = "".join(
        f'<tr class="veil-{escape(kind)}"><td data-of="File">{escape(name)}</td>'
        f'<td data-of="Outcome">{escape(text)}{"".join(more)}</td></tr>'
        for kind, name, text, *more in rows
    )
    return (
        "<div class='veil-table'><table><thead><tr><th scope='col'>File</th>"
        f"<th scope='col'>Outcome</th></tr></thead><tbody>{body}</tbody></table></div>"
    )


def pair(small: Iterable[Path], whole: Iterable[Path], name: str) -> str:
    """A photo or clip before and after, small and side by side; each leads to the whole.

    Args:
        small, whole: the files before and after.
    """
    pictures = "".join(
        f'<a href="{source(file)}" target="_blank"><img loading="lazy" src="{source(picture)}" '
        f'alt="{escape(name)} {when}"><span>{when}</span></a>'
        for when, picture, file in zip(("before", "after"), small, whole, strict=True)
    )
    return f'<span class="veil-small-pair">{pictures}</span>'
