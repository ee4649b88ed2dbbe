"""Who links which photos of an album, as HTML: everything that came from outside is escaped."""

from __future__ import annotations

from html import escape
from pathlib import Path

from ...core.files import some_groups
from ...eval.grouping import Groups
from ...eval.linking import Linking
from ..album_links import AlbumLinks
from ..clip_checks import ONE_PICTURE
from ..linking import problems
from ..pipes import is_clip
from . import html

MATRIX = 40  # photos: larger tables of every pair nobody reads
TOGETHER = (
    "Hang together: the files that a recogniser links with one another, some of them perhaps only by way of "
    "a third."
)


def shown(found: Linking) -> str:
    """Check: who links which photos of an album, the table of every two, and the groups in words."""
    verdict, *more = found.model_copy(update={"unusable": ()}).words  # told above them, with what is wrong
    groups = "".join(
        f'<tr><td data-of="Recogniser"><b>{escape(judge.recognizer)}</b></td><td data-of="Links">'
        f'<span class="veil-mark veil-{"bad" if judge.links else "good"}">'
        f"{judge.links} of {judge.pairs} pair{'s' * (judge.pairs > 1)}</span></td>"
        f'<td data-of="Hang together">{escape(_together(found, judge.groups))}</td></tr>'
        for judge in found.judges
    )
    more += [ONE_PICTURE] if any(is_clip(Path(name)) for name in found.photos) else []
    more.append(TOGETHER)
    remarks = "".join(f"<li>{escape(text)}</li>" for text in more)
    return (
        f'<section class="veil-verdict">{html.problem(*problems(found))}'
        f'<p class="veil-headline" role="status">{escape(verdict)}</p>{_matrix(found)}'
        "<div class='veil-table'><table><thead><tr><th scope='col'>Recogniser</th><th scope='col'>Links</th>"
        f"<th scope='col'>Hang together</th></tr></thead><tbody>{groups}</tbody></table></div>"
        f"<ul>{remarks}</ul></section>"
    )


def of_album(found: AlbumLinks, kind: str) -> str:
    """Album: what of it can be linked still, by whom the most, and in which files; `kind` names one."""
    verdict, *more = found.words
    if found.files:
        count = len(found.files)
        more.append(
            f"In {count} {kind}s a recogniser that judges links a face with another of the album "
            f"({some_groups(found.linked)})."
        )
    notes = "".join(html.note(text) for text in more)
    return f'<section class="veil-verdict"><p class="veil-headline">{escape(verdict)}</p>{notes}</section>'


def _together(found: Linking, groups: Groups) -> str:
    return "; ".join(found.named(group) for group in groups) or "no two"


def _matrix(found: Linking) -> str:
    """How many recognisers link every two photos: in figures, and the more the redder."""
    if len(found.photos) > MATRIX:
        return html.note(f"A table of every two is shown for up to {MATRIX}.")
    count, title = len(found.counted), "How many recognisers take each two for one person"

    def cell(row: int, column: int) -> str:
        if row == column:
            return "<td>–</td>"
        linked = found.matrix[row][column]
        kind = "bad" if 2 * linked > count else "some" if linked else "good"
        return f'<td class="veil-{kind}">{linked}</td>'

    everyone = range(len(found.photos))
    heads = "".join(f"<th scope='col'>{number + 1}</th>" for number in everyone)
    rows = "".join(
        f"<tr><th scope='row'>{row + 1} {escape(found.photos[row])}</th>"
        + "".join(cell(row, column) for column in everyone)
        + "</tr>"
        for row in everyone
    )
    return (
        f"<div class='veil-figures veil-matrix' tabindex='0' role='region' aria-label='{title}'><table>"
        f"<caption>{title}: of {count} ({escape(', '.join(found.counted))})</caption>"
        f"<thead><tr><th scope='col'>File</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
