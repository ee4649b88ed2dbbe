"""What of an album can be linked still, as it is protected: which files of one person, and by whom."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ..attacks import packaged
from ..attacks.person import OTHER, vote
from ..core.types import Stage, Step, Steps
from ..eval.linking import cosines_of, groups, some
from ..eval.tracks import seen
from ..eval.verification import UsedByAttack, used_by
from ..weights.registry import card
from .albums import Member


class AlbumLinks(BaseModel):
    """What one recogniser links of a protected album.

    used_by_attack: as in `eval.verification.Match`.
    pairs: how many pairs of files show one person, by the vote of five recognisers on the files before.
    links: how many of these it takes for one person, above `threshold`.
    groups: the files that hang together by these links, by name.
    """

    model_config = ConfigDict(frozen=True)

    recognizer: str
    used_by_attack: UsedByAttack
    threshold: float
    pairs: int
    links: int
    groups: tuple[tuple[str, ...], ...]

    @property
    def words(self) -> str:
        """What it links, in a line or two."""
        if not self.pairs:
            return "Album: no two files show one person, as far as veil can tell: there is nothing to link."
        met = "has never met" if self.used_by_attack == "no" else "has used"
        who = f"Album: {self.recognizer}, which the protection {met},"
        several = f"{self.pairs} pairs of files that show one person"
        of = several if self.pairs > 1 else "the two files that show one person"
        if not self.links:
            return f"{who} links none of the {several}." if self.pairs > 1 else f"{who} does not link {of}."
        linked = f"{self.links} of the {several}" if self.pairs > 1 else of
        named = "; ".join(some(group) for group in self.groups)
        return f"{who} still links {linked}: {named}. Whoever knows one of them by name knows the others."


def links(
    members: Sequence[Member],
    surrogates: Collection[str],
    strict: bool = False,
    name: Callable[[Path], str] = lambda path: path.name,
) -> Steps[tuple[AlbumLinks, ...]]:
    """What recognisers can link of an album, those first that link the most; yields a step a face.

    Args:
        surrogates: the recognisers that the protection used.
        strict: whether all are asked, and not only those that the protection has never met; where there is
            no such one, all are.
        name: what to call a file.
    """
    honest = [one for one in packaged() if used_by(one, surrogates) == "no"]
    judges = packaged() if strict or not honest else tuple(honest)
    rows = list[dict[str, torch.Tensor]]()
    for number, member in enumerate(members, 1):
        rows.append(seen([(member.shown.frame.pixels, member.shown.face)], judges))
        yield Step(Stage.EMBEDDING, number, len(members))
    files = list(dict.fromkeys(member.source for member in members))
    places = [files.index(member.source) for member in members]
    same = _same_person(members)

    def linked_by(judge: str) -> AlbumLinks:
        threshold = card(judge).thresholds["far1"]
        alike = cosines_of([row[judge][0] for row in rows]) > threshold
        linked = _of_files(same & alike, places)
        return AlbumLinks(
            recognizer=judge,
            used_by_attack=used_by(judge, surrogates),
            threshold=threshold,
            pairs=int(_of_files(same, places).sum()) // 2,
            links=int(linked.sum()) // 2,
            groups=tuple(tuple(name(files[one - 1]) for one in group) for group in groups(linked)),
        )

    return tuple(sorted(map(linked_by, judges), key=lambda one: -one.links))


def _same_person(members: Sequence[Member]) -> NDArray[np.bool_]:
    """Which faces (N, N) may be of one person, as `albums.Album` has it, in two files."""
    known = {name: torch.stack([one.person[name] for one in members]) for name in members[0].person}
    alike = vote(known, {name: vectors.T for name, vectors in known.items()}).numpy() >= OTHER
    files = np.array([str(one.source) for one in members])
    return alike & (files[:, None] != files)


def _of_files(pairs: NDArray[np.bool_], places: Sequence[int]) -> NDArray[np.bool_]:
    """Pairs of faces (N, N), each in the file at its place, as pairs of files."""
    found, at = np.zeros((max(places) + 1,) * 2, bool), np.array(places)
    one, other = np.nonzero(pairs)
    found[at[one], at[other]] = True
    return found
