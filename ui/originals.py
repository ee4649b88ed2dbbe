"""Which files are originals, and which are results made from them, as the records beside these say."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ValidationError

from ..core.errors import BadSettings
from ..eval.datasets import checksum
from .pipes import is_clip, is_named_as_result
from .records import known_surrogates


class _Origin(BaseModel):
    """The checksum of the photo, or clip, that a result was made from."""

    photo: str = ""
    clip: str = ""


class _Made(BaseModel):
    """The part of a record that tells what was made from what."""

    picture_sha256: str
    origin: _Origin


def made_from(result: Path, record: Path | None = None) -> str:
    """The checksum of what a file was made from, as a record of just this file says, by default the one
    beside it; otherwise nothing."""
    with suppress(OSError, ValidationError):
        made = _Made.model_validate_json((record or result.with_suffix(".json")).read_bytes())
        if made.picture_sha256 == checksum(result):
            return made.origin.photo or made.origin.clip
    return ""


def swapped(before: Path, after: Path, record: Path | None = None) -> bool:
    """Whether of two files the first is the protected one, made from the second."""
    source = made_from(before, record)
    return bool(source) and source == _checksum(after)


def known_to_either(before: Path, after: Path) -> frozenset[str] | None:
    """The recognisers that made a protected photo or clip, as the record beside it says, or that of what it
    was before, which then was protected already; None where neither has one.

    Raises:
        BadSettings: the record beside `after` does not say it; see `records.known_surrogates`.
    """
    if (known := known_surrogates(after)) is not None:
        return known
    with suppress(BadSettings):
        return known_surrogates(before)
    return None


def originals(files: Sequence[Path]) -> list[Path]:
    """Those of some files of which a result is among them, too.

    A record beside a result tells by checksum; where there is none, the result's name does, NAME.veiled.jpg
    or the like, unless several files might be meant.
    """
    sources = {file: made_from(file) for file in files}
    by_record = set(filter(None, sources.values()))
    found = {file for file in files if by_record and _checksum(file) in by_record}
    for result in files:
        if not sources[result] and is_named_as_result(result):
            stem = result.name.partition(".veiled")[0]
            named = [one for one in files if one.stem == stem and is_clip(one) == is_clip(result)]
            found |= set(named) if len(named) == 1 else set()
    return [file for file in files if file in found]


def _checksum(file: Path) -> str:
    """The checksum of a file; nothing where it cannot be read, which whoever opens it complains of."""
    with suppress(OSError):
        return checksum(file)
    return ""
