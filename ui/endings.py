"""Why a run ends as it does: its last line."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..core.files import some, some_groups


def fell_short(
    files: Sequence[tuple[str, Collection[str]]],
    strict: bool,
    kind: str = "photo",
    linked: Sequence[Sequence[str]] = (),
) -> str:
    """Why the exit code is 3: in which files, named with their reasons, was a face left or is still known;
    those that are `linked` are named by groups that hang together."""
    judge = "a recogniser" if strict else "a recogniser that judges"
    said = {
        "no face found": "no face was found",
        "face left": "a face stayed as it was, too small to be protected",
        "still recognised": f"{judge} still knows a face",
        "linked": f"{judge} links a face with another of the album",
    }
    counted = [
        f"in {len(short)} {kind}{'s' * (len(short) > 1)} {words} "
        f"({some_groups(linked) if reason == 'linked' else some(short)})"
        for reason, words in said.items()
        if (short := [name for name, reasons in files if reason in reasons])
    ]
    return f"exit code 3, since {', and '.join(counted)}."


def failed(names: Sequence[str], of: int, left: Sequence[str] = (), what: str = "protected") -> str:
    """Why the exit code is 2: which of so many files could not be protected, or whatever was to be done, and
    of which a result of other settings was left."""
    counted = [
        f"{len(files)} of {of} {words} ({some(files)})"
        for files, words in (
            (names, f"could not be {what}"),
            (left, "already had a result of other settings, which is left as it is"),
        )
        if files
    ]
    return f"exit code 2, since {', and '.join(counted)}."
