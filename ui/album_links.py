"""What of an album can be linked still, as it is protected: which files of one person, and by whom."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from filecmp import cmp
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ..attacks import packaged
from ..attacks.person import OTHER, VOTERS, nearly_same, vote
from ..core.files import some, some_groups
from ..core.types import Stage, Step, Steps
from ..eval.grouping import Groups, cosines_of, groups
from ..eval.tracks import seen
from ..eval.verification import UsedByAttack, used_by
from ..weights.registry import card
from .albums import Member


class Links(BaseModel):
    """What a recogniser links of some pairs of files.

    pairs: how many show one person, by the vote of five recognisers on the files before.
    links: how many of these it takes for one person.
    groups: the files that hang together by these links, by name; one that shows two people may be in the
        groups of both.
    """

    model_config = ConfigDict(frozen=True)

    pairs: int
    links: int
    groups: tuple[tuple[str, ...], ...]


class JudgeLinks(Links):
    """What one recogniser links of all pairs of files of a protected album.

    used_by_attack: as in `eval.verification.Match`.
    threshold: of cosines, above which it links.
    different: the same without what shows nearly the same picture, which is not kept apart.
    known_again: those with a face that it knows as it was before, though not in a file that was protected
        earlier and shows the same person; of the recognisers that vote only.
    """

    recognizer: str
    used_by_attack: UsedByAttack
    threshold: float
    different: Links
    known_again: tuple[str, ...]

    @property
    def words(self) -> str:
        """What it links of different pictures, in a line or two."""
        pairs, links = self.different.pairs, self.different.links
        which = " in different pictures" * (pairs < self.pairs)
        if not pairs:
            return (
                f"Album: no two of its files show one person{which}, as far as veil can tell: nothing to "
                "link. What lies elsewhere was not compared."
            )
        met = "has never met" if self.used_by_attack == "no" else "has used"
        who = f"Album: {self.recognizer}, which the protection {met},"
        several = f"{pairs} pairs of files that show one person{which}"
        of = several if pairs > 1 else f"the two files that show one person{which}"
        if not links:
            return f"{who} links none of the {several}." if pairs > 1 else f"{who} does not link {of}."
        linked = f"{links} of the {several}" if pairs > 1 else of
        named = some_groups(self.different.groups)
        all_of = f"all{' of that group' * (len(self.different.groups) > 1)}"
        return (
            f"{who} still links {linked}: {named}. Whoever can name the face in one can name it in {all_of}."
        )


class AlbumLinks(BaseModel):
    """What can be linked of a protected album.

    judges: what each recogniser links, the one that links the most first.
    files: those of which a recogniser links a face with one in another picture of the album.
    linked: the groups in which they hang together by links of any recogniser, as in `Links`.
    nearly_same: groups of files that show nearly the same picture, by name; they are not kept apart.
    same_file: those groups of which all files are the same, byte for byte.
    """

    model_config = ConfigDict(frozen=True)

    judges: tuple[JudgeLinks, ...]
    files: tuple[str, ...]
    linked: tuple[tuple[str, ...], ...]
    nearly_same: tuple[tuple[str, ...], ...]
    same_file: tuple[tuple[str, ...], ...]

    @property
    def words(self) -> tuple[str, ...]:
        """What is linked, by whom the most, and what was not kept apart or only at a cost; a sentence or two
        each."""
        worst, alike = self.judges[0], self._alike()
        if alike and not worst.different.pairs:  # it is all that there is
            return (f"Album: {alike[0][0].lower()}{alike[0][1:]}", *alike[1:], *self._cost())
        return (worst.words, *alike, *self._cost())

    def _alike(self) -> list[str]:
        """What was not kept apart."""
        nearly = [group for group in self.nearly_same if group not in self.same_file]
        return [
            f"{what}, which anybody links by sight, and so not kept apart: {some_groups(files)}."
            for what, files in (("The same file", self.same_file), ("Nearly the same picture", nearly))
            if files
        ]

    def _cost(self) -> list[str]:
        """Which files the album may have cost protection, and what to do."""
        known = dict.fromkeys(file for judge in self.judges for file in judge.known_again)
        parted = [file for file in known if file not in self.files]
        linked = [file for file in known if file in self.files]
        step = "`veil protect FILE -o OTHER_FOLDER` at the same strength, on the page Protect or Clip"
        alone = "Protected alone it may be hidden better, but then be linked with the others"
        return [
            f"Keeping it apart may have cost protection of its own{too}: {some(files)}. A recogniser that "
            f"judges knows this face again, and not that of a file before. {then}."
            for too, files, then in (
                ("", parted, f"{alone}: {step}"),
                (
                    ", and it is linked all the same",
                    linked,
                    f"Better protect that file alone, which may hide it: {step}",
                ),
            )
            if files
        ]


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
    thresholds = {judge: card(judge).thresholds["far1"] for judge in judges}
    linked = {
        judge: cosines_of([row[judge][0] for row in rows]) > threshold
        for judge, threshold in thresholds.items()
    }

    def named(numbers: Iterable[int]) -> tuple[str, ...]:
        return tuple(name(files[number - 1]) for number in numbers)

    def together(pairs: NDArray[np.bool_]) -> Groups:
        """The files, by number, of faces that hang together: who else is in a file is nobody of a group."""
        found = [dict.fromkeys(1 + places[face - 1] for face in group) for group in groups(pairs)]
        return tuple(dict.fromkeys(map(tuple, found)))

    def known_again(judge: str) -> tuple[str, ...]:
        """The files of faces that are known as they were, unlike one of the person before."""
        if judge not in VOTERS:
            return ()
        cosines = [
            float(row[judge][0] @ member.person[judge]) for row, member in zip(rows, members, strict=True)
        ]
        known = np.array(cosines) > thresholds[judge]
        hidden_before = np.tril(same & ~alike & ~known[None]).any(1)
        return named(sorted({1 + places[face] for face in np.flatnonzero(known & hidden_before)}))

    def of(pairs: NDArray[np.bool_], judge: str) -> Links:
        every, found = (int(_of_files(one, places).sum()) // 2 for one in (pairs, pairs & linked[judge]))
        hang_together = map(named, together(pairs & linked[judge]))
        return Links(pairs=every, links=found, groups=tuple(hang_together))

    def linked_by(judge: str) -> JudgeLinks:
        return JudgeLinks(
            **dict(of(same, judge)),
            recognizer=judge,
            used_by_attack=used_by(judge, surrogates),
            threshold=thresholds[judge],
            different=of(same & ~alike, judge),
            known_again=known_again(judge),
        )

    nearly, by_any = together(alike), together(same & ~alike & np.any([*linked.values()], axis=0))
    return AlbumLinks(
        judges=tuple(sorted(map(linked_by, judges), key=lambda one: (-one.different.links, -one.links))),
        files=named(sorted({*chain(*by_any)})),
        linked=tuple(map(named, by_any)),
        nearly_same=tuple(map(named, nearly)),
        same_file=tuple(
            named(group) for group in nearly if _one_file([files[number - 1] for number in group])
        ),
    )


def _one_file(files: Sequence[Path]) -> bool:
    """Whether all files are the same, byte for byte."""
    with suppress(OSError):  # of some only the name is known
        return all(cmp(files[0], other, shallow=False) for other in files[1:])
    return False


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


def _of_files(pairs: NDArray[np.bool_], places: Sequence[int]) -> NDArray[np.bool_]:
    """Pairs of faces (N, N), each in the file at its place, as pairs of files."""
    found, at = np.zeros((max(places) + 1,) * 2, bool), np.array(places)
    one, other = np.nonzero(pairs)
    found[at[one], at[other]] = True
    return found
