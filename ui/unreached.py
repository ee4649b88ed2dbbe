"""What a protection did not reach, why, and what would hide more, in the words of both front ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..eval.report import Report
    from ..privacy.settings import Settings


def hides_most(used: Settings) -> bool:
    """Whether no strength changes more."""
    from ..privacy.settings import STRENGTHS

    return used.ceiling >= STRENGTHS["strong"]["ceiling"]


def stronger(settings: Settings) -> str:
    """What to do where a recogniser still knows somebody; nothing where no strength hides more."""
    if hides_most(settings):
        return ""
    return (
        "A recogniser still knows you. The strength strong hides you from most of them; people then see a "
        "relative or somebody else."
    )


def limits_met(report: Report, used: Settings | None = None) -> list[str]:
    """Which faces were not changed as much as their protection would have asked for, why, and what changes
    more than the settings that were used."""
    reasons = (
        (
            [face.number for face in report.faces if face.limited],
            "the limit on change was reached",
            used and _larger_change(used),
        ),
        (
            [face.number for face in report.faces if face.unfinished],
            "the search ended",
            used and _longer_search(used),
        ),
    )
    return [
        f"Face{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}: {reason} while a recogniser that "
        f"was used may still know the person, in the photo or in copies of it. {way_out or ''}".rstrip()
        for numbers, reason, way_out in reasons
        if numbers
    ]


def _larger_change(used: Settings) -> str:
    if hides_most(used):
        return (
            "No strength changes more. Other photos of you that are out already can be led away from, too "
            "(--me, on the page Other photos of you); beyond that, what is left is not to post this one."
        )
    return "Only a higher strength changes more, and then looks less like the person."


def _longer_search(used: Settings) -> str:
    from ..privacy.settings import EFFORTS

    steps = {values["steps"]: name for name, values in EFFORTS.items()}
    longer = [name for count, name in steps.items() if count > used.steps]
    if used.steps not in steps:  # of the paper, or chosen apart
        return ""
    return f"A longer one (effort {longer[0]}) may find more." if longer else "No effort searches for longer."
