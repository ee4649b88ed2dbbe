"""What of an album can be linked still, as it is protected: which files of one person, and by whom."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ..attacks import packaged
from ..attacks.person import OTHER, VOTERS, vote
from ..core.files import some
from ..core.types import Stage, Step, Steps
from ..eval.linking import cosines_of, groups
from ..eval.tracks import seen
from ..eval.verification import UsedByAttack, used_by
from ..weights.registry import card
from .albums import Member, nearly_same


class JudgeLinks(BaseModel):
    """What one recogniser links of a protected album.

    used_by_attack: as in `eval.verification.Match`.
    pairs: how many pairs of files show one person, by the vote of five recognisers on the files before.
    links: how many of these it takes for one person, above `threshold`.
    groups: the files that hang together by these links, by name.
    known_again: those with a face that it knows as it was before, though not in a file that was protected
        earlier and shows the same person; of the recognisers that vote only.
    """

    model_config = ConfigDict(frozen=True)

    recognizer: str
    used_by_attack: UsedByAttack
    threshold: float
    pairs: int
    links: int
    groups: tuple[tuple[str, ...], ...]
    known_again: tuple[str, ...]

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
        return f"{who} still links {linked}: {named}. Whoever can name the face in one can name it in all."


class AlbumLinks(BaseModel):
    """What can be linked of a protected album.

    judges: what each recogniser links, the one that links the most first.
    nearly_same: groups of files that show nearly the same picture, by name; they are not kept apart.
    """

    model_config = ConfigDict(frozen=True)

    judges: tuple[JudgeLinks, ...]
    nearly_same: tuple[tuple[str, ...], ...]

    @property
    def files(self) -> tuple[str, ...]:
        """Those of which a recogniser links a face with another one of the album."""
        named = (file for judge in self.judges for group in judge.groups for file in group)
        return tuple(dict.fromkeys(named))

    @property
    def words(self) -> tuple[str, ...]:
        """What is linked, by whom the most, and what was not kept apart or only at a cost; a sentence or two
        each."""
        known = dict.fromkeys(file for judge in self.judges for file in judge.known_again)
        alike = "; ".join(some(group) for group in self.nearly_same)
        return (
            self.judges[0].words,
            *[f"Nearly the same picture, which anybody sees, and so not kept apart: {alike}."] * bool(alike),
            *[
                f"Keeping it apart may have cost protection of its own: {some(tuple(known))}. A recogniser "
                "that judges knows this face again, and not that of a file before. Protected without the "
                "album it may be hidden better, and be linked."
            ]
            * bool(known),
        )


def links(
    members: Sequence[Member],
    surrogates: Collection[str],
    strict: bool = False,
    name: Callable[[Path], str] = lambda path: path.name,
) -> Steps[AlbumLinks]:
    """What recognisers can link of an album; yields a step a face.

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
    same, alike = _same_person(members), _nearly_same(members)

    def named(numbers: Iterable[int]) -> tuple[str, ...]:
        return tuple(name(files[number]) for number in numbers)

    def known_again(judge: str, threshold: float) -> tuple[str, ...]:
        """The files of faces that are known as they were, unlike one of the person before."""
        if judge not in VOTERS:
            return ()
        known = np.array(
            [
                float(row[judge][0] @ member.person[judge]) > threshold
                for row, member in zip(rows, members, strict=True)
            ]
        )
        hidden_before = np.tril(same & ~alike & ~known[None]).any(1)
        return named(sorted({places[face] for face in np.flatnonzero(known & hidden_before)}))

    def linked_by(judge: str) -> JudgeLinks:
        threshold = card(judge).thresholds["far1"]
        linked = _of_files(same & (cosines_of([row[judge][0] for row in rows]) > threshold), places)
        return JudgeLinks(
            recognizer=judge,
            used_by_attack=used_by(judge, surrogates),
            threshold=threshold,
            pairs=int(_of_files(same, places).sum()) // 2,
            links=int(linked.sum()) // 2,
            groups=_named_groups(linked, named),
            known_again=known_again(judge, threshold),
        )

    return AlbumLinks(
        judges=tuple(sorted(map(linked_by, judges), key=lambda one: -one.links)),
        nearly_same=_named_groups(_of_files(alike, places), named),
    )


def _same_person(members: Sequence[Member]) -> NDArray[np.bool_]:
    """Which faces (N, N) may be of one person, as `albums.Album` has it, in two files."""
    known = {name: torch.stack([one.person[name] for one in members]) for name in members[0].person}
    alike = vote(known, {name: vectors.T for name, vectors in known.items()}).numpy() >= OTHER
    files = np.array([str(one.source) for one in members])
    return alike & (files[:, None] != files)


def _nearly_same(members: Sequence[Member]) -> NDArray[np.bool_]:
    """Which faces (N, N) are of nearly the same picture, in two files."""
    return np.array(
        [
            [one.source != other.source and nearly_same(one.person, other.person) for other in members]
            for one in members
        ]
    )


def _named_groups(
    pairs: NDArray[np.bool_], named: Callable[[Iterable[int]], tuple[str, ...]]
) -> tuple[tuple[str, ...], ...]:
    """The files that hang together by pairs (N, N), by name."""
    return tuple(named(one - 1 for one in group) for group in groups(pairs))


def _of_files(pairs: NDArray[np.bool_], places: Sequence[int]) -> NDArray[np.bool_]:
    """Pairs of faces (N, N), each in the file at its place, as pairs of files."""
    found, at = np.zeros((max(places) + 1,) * 2, bool), np.array(places)
    one, other = np.nonzero(pairs)
    found[at[one], at[other]] = True
    return found
