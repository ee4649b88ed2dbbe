"""What recognisers say of faces, as tables in HTML: everything that came from outside is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ...eval.report import FaceReport
from ...eval.verification import Match, UsedByAttack, by_fairness
from .. import wording
from .checks import Comparison, Survival

JUDGE: dict[UsedByAttack, str] = {  # whether a recogniser was used, in HTML
    "no": '<span class="veil-judge">honest judge: the protection has never met it</span>',
    "related": '<span class="veil-used">a relative of it was used</span>',
    "yes": '<span class="veil-used">used to make the protection</span>',
}


def sentence(match: Match) -> str:
    """A match as a sentence, in HTML."""
    says = {
        "yes": "still recognises you",
        "no longer": "no longer recognises you",
        "not before": "did not recognise you before either",
    }[wording.verdict(match.recognised, match.still_recognised)]
    judge = JUDGE[match.used_by_attack]
    kind = "bad" if match.still_recognised else "good"
    before, after, threshold = wording.beside((match.before, match.after), match.threshold, 2)
    return (
        f'<b>{escape(match.recognizer)}</b>: <span class="veil-mark veil-{kind}">{says}</span><br>similarity '
        f"{before} → {after}, threshold {threshold} {judge}"
    )


def fairest_first(matches: Iterable[Match]) -> list[Match]:
    """The matches, those of recognisers that the protection did not use first."""
    return sorted(matches, key=lambda match: by_fairness(match.used_by_attack))


def table(face: FaceReport, survives: Survival) -> str:
    """What each recogniser says of a protected face, as it is and after what it `survives`."""
    heads = "".join(f"<th scope='col'>{escape(name)}</th>" for name in survives)
    rows = "".join(
        f'<tr><td data-of="Recogniser">{sentence(match)}</td>'
        + "".join(
            f'<td data-of="{escape(name)}">{_mark(said[face.number, match.recognizer])}</td>'
            for name, said in survives.items()
        )
        + "</tr>"
        for match in fairest_first(face.matches)
    )
    return (
        "<div class='veil-table'><table><thead><tr><th scope='col'>What recognisers say now</th>"
        f"{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _mark(said: Comparison) -> str:
    kind, words = ("bad", "recognises you") if said.same else ("good", "does not recognise you")
    similarity, _ = wording.beside([said.similarity], said.threshold, 2)
    return f'<span class="veil-mark veil-{kind}">{words}</span><br>{similarity}'


def same_person(rows: Iterable[Comparison]) -> str:
    """Check: what each recogniser says of two photos, honest judges first where they are known."""
    found = sorted(rows, key=lambda row: by_fairness(row.used or "no"))
    same, honest = sum(row.same for row in found), [row.same for row in found if row.used == "no"]
    take = f"recognisers take{'s' * (same < 2)} them for the same person"
    says = f"{wording.how_many(same, len(found)).capitalize()} {take}"
    if honest:
        says += f"; of those that the protection has never met, {wording.how_many(sum(honest), len(honest))}"
    elif found[0].used:
        says += "; no honest judge is left: every recogniser, or a relative of it, was used"
    body = "".join(
        f'<tr><td data-of="Recogniser"><b>{escape(row.recognizer)}</b>'
        f'{JUDGE[row.used] if row.used else ""}</td><td data-of="Says">'
        f'<span class="veil-mark veil-{"bad" if row.same else "good"}">'
        f"{'the same person' if row.same else 'two people'}</span></td>"
        '<td data-of="Similarity">{} <small>(threshold {})</small></td></tr>'.format(
            *wording.beside([row.similarity], row.threshold, 2)
        )
        for row in found
    )
    return (
        f'<section class="veil-verdict"><p class="veil-headline">{says}.</p>'
        "<div class='veil-table'><table><thead><tr>"
        "<th scope='col'>Recogniser</th>"
        "<th scope='col'>Says</th><th scope='col'>Similarity</th></tr></thead>"
        f"<tbody>{body}</tbody></table></div><p class='veil-note'>Above its threshold, which 1 % of the "
        "pairs of strangers exceed, a recogniser sees one person. Two strangers may pass for one, and one "
        "person for two.</p></section>"
    )
