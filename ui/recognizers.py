"""Which recognisers are meant where people name some; knowing that loads no torch."""

from __future__ import annotations

from ..attacks import RECOGNIZERS, attacked, packaged
from ..core.errors import BadSettings


def names(listed: str | None) -> tuple[str, ...]:
    """The names in "dlib,faceres"."""
    return tuple(name.strip() for name in listed.split(",")) if listed else ()


def judges(listed: str | None, option: str) -> tuple[str, ...]:
    """The names that an option lists; none where it was not given.

    Raises:
        BadSettings: it was given, and lists none, by which nobody would judge.
    """
    if listed is not None and not listed.strip(" ,"):
        raise BadSettings(f"{option} names none.", "Leave it away for all that are packaged.")
    return names(listed)


def surrogates(named: str | None, everyone: bool, left_out: str | None) -> tuple[str, ...]:
    """The recognisers that the protection uses: those named, or every one, or all but one and its kin.

    Raises:
        BadSettings: more than one of the three is asked for.
        UnknownName: no recogniser has this name.
    """
    if sum(map(bool, (named, everyone, left_out))) > 1:
        raise BadSettings(
            "--surrogates, --all-surrogates and --leave-out exclude each other.", "Give one of them."
        )
    if everyone:
        return packaged()
    if named:
        return tuple(RECOGNIZERS.check(name) for name in names(named))
    return attacked(left_out)
