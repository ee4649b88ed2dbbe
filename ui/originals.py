"""Which files are originals, and which are results made from them, as the records beside these say."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ValidationError

from ..eval.datasets import checksum
from .pipes import is_clip, is_named_as_result


class _Files(BaseModel):
    """A photo or clip: its name, or its checksum."""

    photo: str = ""
    clip: str = ""

    @property
    def either(self) -> str:
        """Of the one that it is."""
        return self.photo or self.clip


class _Origin(_Files):
    """What a result was made from, and whether it belongs to an album."""

    album: bool = False


class Made(_Files):
    """The part of a record that tells what was made from what."""

    picture_sha256: str = ""
    origin: _Origin = _Origin()


def read(record: Path) -> Made:
    """What a record says of that; nothing where there is none, or it does not."""
    with suppress(OSError, ValidationError):
        return Made.model_validate_json(record.read_bytes())
    return Made()


def name_in(record: Path) -> str:
    """The name of the photo or clip that a record is of; nothing where there is none, or it does not say."""
    return read(record).either


def is_of(record: Path, source: Path) -> bool:
    """Whether a record says that its result was made from just this photo or clip."""
    return bool(origin := read(record).origin.either) and origin == _checksum(source)


def made_from(result: Path, record: Path | None = None) -> str:
    """The checksum of what a file was made from, as a record of just this file says, by default the one
    beside it; otherwise nothing."""
    made = read(record or result.with_suffix(".json"))
    return made.origin.either if made.picture_sha256 and made.picture_sha256 == _checksum(result) else ""


def swapped(before: Path, after: Path, record: Path | None = None) -> bool:
    """Whether of two files the first is the protected one, made from the second."""
    source = made_from(before, record)
    return bool(source) and source == _checksum(after)


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
