"""What a person expresses, in words: a table, and a page of its own."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from .figures import BEHAVIOURS, Behaviour, Figure

HEADING = "What you express"
COLUMNS = ("What", "Figure", "After", "Only coded again", "Unit", "Kept", "Weakest (only coded again)")
# In plain words what a blendshape does, by how its name begins.
PLAIN_BLENDSHAPES = {
    "browInner": "how the brows rise between the eyes",
    "brow": "how the {side} brow moves",
    "cheekPuff": "how the cheeks puff",
    "cheek": "how the {side} cheek rises",
    "eyeBlink": "how the {side} eye closes",
    "eyeLook": "where the {side} eye looks",
    "eyeSquint": "how the {side} eye narrows",
    "eyeWide": "how the {side} eye widens",
    "jaw": "how the jaw moves",
    "mouthSmile": "how the mouth smiles on the {side}",
    "mouthFrown": "how the mouth falls on the {side}",
    "mouthFunnel": "how the lips round",
    "mouthPucker": "how the lips purse",
    "mouth": "how the mouth moves",
    "nose": "how the nose wrinkles on the {side}",
}
SLIGHT = {"": 0.02, "of 1": 0.02, "of 255": 1.0, "ms": 20.0}  # by unit: errors that matter little; 2 % else
SLACK = 1.3  # times the error of the control, up to which an error is that of coding
TOO_FEW = "Less than 90 % of the frames show a face that could be read after: what follows is of the others."
TEMPLATES = Path(__file__).parents[1] / "templates"


def about(behaviour: Behaviour) -> str:
    """How the figures came about."""
    frames = "one photo" if behaviour.frames == 1 else f"{behaviour.frames} frames"
    return (
        f"Of {frames}; a face could be read in {100 * behaviour.read:.0f} % before and in "
        f"{100 * behaviour.read_after:.0f} % after. Both are read apart, by networks of MediaPipe that the "
        "engine does not use; it uses their first face mesh. Only coded again: the same figure of what was "
        "before, coded once more: what coding alone does. Kept: whether an error is at most "
        f"{SLACK} times that, a correlation at most .02 or a share at most 2 % lower."
    )


def kept(figure: Figure) -> bool | None:
    """Whether coding alone does as much; None where it cannot be told."""
    if figure.value is None or figure.control is None or not figure.better:
        return None
    if figure.better == "lower":
        return figure.value <= SLACK * figure.control
    return figure.value >= figure.control - (2 if figure.unit.startswith("%") else 0.02)


def plain(blendshape: str) -> str:
    """What a blendshape does, in plain words, such as "where the left eye looks"."""
    begins = max((name for name in PLAIN_BLENDSHAPES if blendshape.startswith(name)), key=len)
    return PLAIN_BLENDSHAPES[begins].format(side="left" if blendshape.endswith("Left") else "right")


def sentence(behaviour: Behaviour, whose: str = "", coding: str = "JPEG 75") -> str:
    """What a person who could be read before still expresses.

    Args:
        whose: is put in, such as " of face 2".
        coding: what the control is: the photo or clip before, coded so.
    """
    if behaviour.frames > 1 and behaviour.read_after:
        return _of_frames(behaviour, whose)
    moved = behaviour.figure("blendshapes", "error, the largest")
    same = behaviour.figure("emotion", "the same one")
    if moved is None or same is None:
        return f"What is expressed{whose} can no longer be read by the network that could before."
    most, read = moved.weak[0], "the same" if same.value else "another"
    return (
        f"What is expressed{whose}: {read} expression is read; of 51 movements, {plain(most.name)} differs "
        f"most, by {most.value:.2f} of 1 (by {most.control or 0:.2f} after {coding} alone)."
    )


def _of_frames(behaviour: Behaviour, whose: str) -> str:
    """The same of frames that follow one another: how much is kept, and what is kept the least."""
    told = [
        (verdict, aspect, figure)
        for aspect in behaviour.aspects
        for figure in aspect.figures
        if (verdict := kept(figure)) is not None
    ]
    lost = [(aspect, figure) for verdict, aspect, figure in told if not verdict]
    words = (
        f"What is expressed{whose}: over {behaviour.frames} pictures, {len(told) - len(lost)} of {len(told)} "
        "figures are as encoding alone leaves them"
    )
    if not lost:
        return f"{words}."
    aspect, figure = max(lost, key=lambda one: _lost(one[1]))
    part = figure.weak[0] if aspect.name == "blendshapes" and figure.weak else None
    what, one = (plain(part.name), part) if part else (BEHAVIOURS[aspect.name].plain, figure)
    unit = f" {figure.unit or 'of 1'}" if figure.unit != "cosine" else " of 1"
    off = "off by " if figure.better == "lower" else ""
    alone = f"; encoding alone {one.control:.2g}" if one.control is not None else ""
    return f"{words}; kept least: {what} ({off}{one.value:.2g}{unit}{alone})."


def _lost(figure: Figure) -> float:
    """An error in times that of the control; of shares and correlations, what they lack."""
    assert figure.value is not None
    assert figure.control is not None
    best = 0.0 if figure.better == "lower" else 100.0 if figure.unit.startswith("%") else 1.0
    slight = SLIGHT.get(figure.unit, 2.0)
    return abs(best - figure.value) / (abs(best - figure.control) + slight)


def rows(behaviour: Behaviour) -> list[list[str]]:
    """A row for each figure, below `COLUMNS`."""
    return [
        [*COLUMNS],
        *(
            [
                BEHAVIOURS[aspect.name].label,
                figure.name,
                _number(figure.value),
                _number(figure.control),
                figure.unit,
                {True: "yes", False: "no", None: ""}[kept(figure)],
                ", ".join(
                    f"{one.name} {_number(one.value)} ({_number(one.control)})" for one in figure.weak[:6]
                ),
            ]
            for aspect in behaviour.aspects
            for figure in aspect.figures
            if figure.value is not None
        ),
    ]


def html(behaviour: Behaviour, title: str) -> str:
    """The page of one clip or photo."""
    page = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True).get_template("report.html")
    return page.render(
        title=title,
        about="",
        warnings=[TOO_FEW] if behaviour.read_after < 0.9 * behaviour.read else [],
        pictures=[],
        tables=[(HEADING, about(behaviour), rows(behaviour))],
        manifest=behaviour.model_dump_json(indent=1),
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
