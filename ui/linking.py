"""Could a machine link the photos of an album: from where they come to the verdict, and its table."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ..attacks import packaged, recognizer
from ..core.errors import BadSettings, VeilError
from ..core.files import printable
from ..core.types import Photo, Stage, Step, Steps
from ..eval.linking import Linking, Seen, Unusable, see
from ..eval.linking import link as judge
from ..weights.registry import card
from .beside import known_surrogates
from .clip_checks import AlbumView
from .terminal import known
from .wording import Row

Source = TypeVar("Source")

LINK_COLUMNS = ("Recogniser", "Used", "Pairs linked", "Hang together")


def link(
    sources: Sequence[Source],
    opened: Callable[[Source], Steps[AlbumView]],
    recognizers: Iterable[str] | None = None,
    surrogates: Collection[str] | None = None,
    originals: Sequence[str] = (),
    names: Sequence[str] | None = None,
) -> Steps[Linking]:
    """Open photos one after the other, compare every two. One that cannot be used does not stop the others.

    Yields a step a photo, and those of opening it.

    Args:
        opened: opens a source, which may be anything, in steps; of a path the record beside it is read, too.
        recognizers: who judges; by default all that are packaged.
        surrogates: the recognisers that protections used; by default those that the records name.
        originals: the names of those that were left out, since their results are among the sources.
        names: what to call the sources; as `called` has it where None.

    Raises:
        BadPhoto: fewer than two photos can be compared.
        BadSettings: a recogniser has no thresholds.
        UnknownName, WeightsMissing, WeightsCorrupt: as `attacks.recognizer` does.
    """
    judges = tuple(dict.fromkeys(recognizers or packaged()))
    for name in judges:  # before the work, and not once a photo
        recognizer(name)
        _ = card(name).thresholds["far1"]
    used, seen = set(surrogates or ()), list[Seen]()
    without_face, unusable, unreported = list[str](), list[Unusable](), list[str]()
    for number, (name, source) in enumerate(zip(names or called(sources), sources, strict=True), 1):
        try:
            shown = yield from opened(source)
            if one := see(shown.photo, judges):
                seen.append(replace(one, name=name, others=one.others or shown.others))
            else:
                without_face.append(name)
            if one and surrogates is None:
                reported = _reported(source)
                used |= reported or set()
                unreported += [name] * (reported is None)
        except Exception as error:
            problem = known(error, name)
            unusable.append(Unusable(photo=name, error=problem.message, hint=problem.hint))
        yield Step(Stage.EMBEDDING, number, len(sources))
    left = {"without_face": without_face, "unreported": unreported, "originals": originals}
    return judge(seen, surrogates=used, unusable=unusable, **left)


def problems(found: Linking) -> list[VeilError]:
    """What went wrong with the photos that could not be used; what concerns several, once."""
    return [VeilError(*said) for said in dict.fromkeys((one.error, one.hint) for one in found.unusable)]


def link_rows(found: Linking) -> list[Row]:
    """One row for each recogniser, those first that no protection used, as `LINK_COLUMNS` names them."""
    return [
        (
            judge.recognizer,
            judge.used_by_attack,
            f"{judge.links} of {judge.pairs}",
            "; ".join(found.named(group) for group in judge.groups) or "none",
        )
        for judge in found.judges
    ]


def _reported(source: object) -> frozenset[str] | None:
    """The recognisers that made a photo, where it is a file and a record of just this file says so."""
    if not isinstance(source, str | os.PathLike):
        return None
    try:
        return known_surrogates(Path(source))
    except BadSettings:
        return None


def called(sources: Sequence[object]) -> list[str]:
    """What to call sources: files of one name with their folders; what has no name of its own by number."""
    names = [_name(source) for source in sources]

    def longer(number: int) -> str:
        source = sources[number - 1]
        return printable(Path(source)) if isinstance(source, str | os.PathLike) else f"photo {number}"

    return [
        name if name and names.count(name) == 1 else longer(number) for number, name in enumerate(names, 1)
    ]


def _name(source: object) -> str:
    """The name of a source; nothing where it has none."""
    if isinstance(source, str | os.PathLike):
        return printable(Path(source).name)
    return source.name if isinstance(source, Photo) else ""
