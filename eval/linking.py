"""Linking: could a machine take the photos of an album for photos of one person?

Of each photo its main face counts, the one that the photo is of (`datasets.main_face`): one in a hundred
pairs of strangers is linked by chance, so that all who stand by would soon chain any album together. Photos
that show others, too, are named.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, computed_field
from torch import Tensor

from ..attacks import packaged
from ..attacks.faces.detection import search
from ..attacks.faces.found import SMALLEST
from ..attacks.faces.sampling import cut_around
from ..attacks.person import NEARLY, VOTERS
from ..core.errors import BadPhoto
from ..core.files import some, some_groups
from ..core.types import Photo
from ..core.video import ENDINGS
from ..weights.registry import card
from .datasets import main_face
from .grouping import Groups, above, cosines_of, groups, in_words, pairs_of
from .verification import UsedByAttack, by_fairness, embedding, used_by


@dataclass(frozen=True, eq=False)
class Seen:
    """What recognisers see of a photo: unit vectors (D,) of its main face, by recogniser.

    others: whether it shows other faces that are large enough, too.
    """

    name: str
    vectors: Mapping[str, Tensor]
    others: bool


class Linker(BaseModel):
    """What one recogniser makes of an album of N photos.

    used_by_attack: as in `Match`; by the protection of any of the photos.
    cosines: (N, N), of every two photos; above `threshold`, which 1 % of the pairs of strangers exceed, it
        links them: it takes them for one person.
    links: how many pairs it links; groups: the photos that hang together by these links.
    """

    model_config = ConfigDict(frozen=True)

    recognizer: str
    used_by_attack: UsedByAttack
    threshold: float
    cosines: tuple[tuple[float, ...], ...]
    links: int
    groups: Groups

    @property
    def pairs(self) -> int:
        """How many pairs of photos there are."""
        return pairs_of(len(self.cosines))

    @property
    def words(self) -> str:
        """What it links."""
        return in_words(self.links, self.pairs, self.groups)


class Unusable(BaseModel):
    """A photo that could not be used: its name, what went wrong, and the way out."""

    model_config = ConfigDict(frozen=True)

    photo: str
    error: str
    hint: str


class Linking(BaseModel):
    """Whether machines could link the N photos of an album.

    photos: their names; everything below goes by their order, and numbers of photos begin with 1.
    judges: what each recogniser says, those first that no protection used.
    counted: the recognisers that `matrix` counts: the strong ones, and of those that share a trunk one.
    matrix: (N, N), how many of these take two photos for one person; 0 for a photo and itself.
    groups: the photos that hang together by links on which more than half of them agree.
    nearly_same: photos that show nearly the same picture, where all of `attacks.person.VOTERS` judge.
    with_others: photos that show other large faces, too, which were not compared.
    without_face, unusable: photos that were left out. unreported: those of which it is not known how they
        were protected, if they were. originals: those that were left out, since their results are there.
    """

    model_config = ConfigDict(frozen=True)

    photos: tuple[str, ...]
    judges: tuple[Linker, ...]
    counted: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]
    groups: Groups
    nearly_same: Groups = ()
    with_others: tuple[str, ...] = ()
    without_face: tuple[str, ...] = ()
    unusable: tuple[Unusable, ...] = ()
    unreported: tuple[str, ...] = ()
    originals: tuple[str, ...] = ()

    @property
    def worst(self) -> Linker:
        """The recogniser by whose links the most photos hang together."""
        return _worst(self.judges)

    @property
    def linked(self) -> bool:
        """Whether any recogniser links any two photos."""
        return any(judge.links for judge in self.judges)

    @computed_field
    @property
    def words(self) -> tuple[str, ...]:
        """What it says, a sentence or two each: the verdict, who judges, what was left out."""
        return (
            f"{so_many(self.photos)}: {self._worst_words()}. {self._majority()}".rstrip(),
            *self._beside(),
            *self._left_out(),
            self._chance(),
        )

    def __str__(self) -> str:
        return "\n".join(self.words)

    def named(self, group: Iterable[int]) -> str:
        """The photos of a group by name; of many the first, and how many more there are."""
        return some([self.photos[number - 1] for number in group])

    @property
    def _all_alike(self) -> bool:
        """Whether all of several recognisers link the same."""
        return len(self.judges) > 1 and len({(judge.links, judge.groups) for judge in self.judges}) == 1

    @property
    def _honest(self) -> Linker | None:
        """The worst of those that no protection used."""
        honest = [judge for judge in self.judges if judge.used_by_attack == "no"]
        return _worst(honest) if honest else None

    def _worst_words(self) -> str:
        several = len(self.judges)
        if self._all_alike:
            return f"{'both' if several == 2 else f'all {several}'} recognisers link {self.worst.words}"
        some_used = any(judge.used_by_attack != "no" for judge in self.judges)
        unmet = ", which no protection used," * (some_used and self.worst == self._honest)
        most = f", the most of {several} recognisers" * (several > 1)
        return f"{self.worst.recognizer}{unmet} links {self.worst.words}{most}"

    def _majority(self) -> str:
        if len(self.counted) < 3 or (self._all_alike and self.groups == self.worst.groups):
            return ""
        links = int((2 * np.array(self.matrix) > len(self.counted)).sum()) // 2
        which = (
            "the five strong recognisers" if self.counted == VOTERS else f"{len(self.counted)} recognisers"
        )
        words = in_words(links, self.worst.pairs, self.groups)
        return f"More than half of {which} ({', '.join(self.counted)}) link {words}."

    def _beside(self) -> list[str]:
        """What is nearly the same picture, and what the honest judge says where that is not said yet."""
        alike = some_groups([[self.photos[number - 1] for number in group] for group in self.nearly_same])
        said = [f"Nearly the same picture, which anybody links by sight: {alike}."] if alike else []
        if (honest := self._honest) is None:
            return [*said, "No honest judge is left: every recogniser, or a relative of it, was used."]
        if self._all_alike or honest == self.worst:
            return said
        return [*said, f"Of those that no protection used, {honest.recognizer} links {honest.words}."]

    def _left_out(self) -> list[str]:
        said = {
            f"No face of {SMALLEST:.0f} pixels or more was found in {{}}: not compared, though a machine may "
            "find one.": self.without_face,
            "Could not be used: {}.": [one.photo for one in self.unusable],
            "Only the main face was compared of {}, since others there would be linked by chance; who stands "
            "by tells who you are, too.": self.with_others,
            "No report of veil, NAME.json, lies beside {}: if veil made "
            f"{'them' if len(self.unreported) > 1 else 'it'}, the recognisers that were used are not known, "
            "and count as if they had never met the protection; others may link more.": self.unreported,
        }
        left = [originals_left(self.originals)] if self.originals else []
        return left + [words.format(some(names)) for words, names in said.items() if names]

    def _chance(self) -> str:
        pairs = pairs_of(len(self.photos))
        here = f", about {pairs / 100:.0f} of {pairs} if no two here showed one person" * (pairs >= 50)
        return (
            "Every pair counts, since veil does not know here who is who: a recogniser links 1 % of the "
            f"pairs of strangers by chance{here}, and one such link makes the photos of two people hang "
            "together. Where they are of one person, whoever knows one by name knows all. That nothing is "
            "linked is no proof: other recognisers may."
        )


@torch.no_grad()
def see(photo: Photo, names: Iterable[str]) -> Seen | None:
    """What recognisers see of a photo; None where it shows no face that is large enough.

    Raises:
        UnknownName, WeightsMissing, WeightsCorrupt: as `attacks.recognizer` does.
    """
    found = search(photo.pixels)
    large = [found.numbered[number] for number in found.protectable]
    face = main_face(photo.pixels, lambda _: large)
    if face is None:
        return None
    (image,), (there,) = cut_around((photo.pixels,), (face,))
    vectors = {name: embedding(name, image, there) for name in names}
    return Seen(photo.name, vectors, len(large) > 1)


def link(
    seen: Sequence[Seen],
    *,
    surrogates: Collection[str] = (),
    without_face: Sequence[str] = (),
    unusable: Sequence[Unusable] = (),
    unreported: Sequence[str] = (),
    originals: Sequence[str] = (),
) -> Linking:
    """Compare every two photos, as all the same recognisers have `see`n them.

    Args:
        surrogates: the recognisers that the protection of any of the photos used.
        without_face, unusable, unreported, originals: what to say of photos; see `Linking`.

    Raises:
        BadPhoto: there are fewer than two photos.
        BadSettings: a recogniser has no thresholds.
    """
    if len(seen) < 2:
        left = [*without_face, *(one.photo for one in unusable)]
        every = [*(one.name for one in seen), *left]
        hint = f"It takes two. Left out: {some(left)}." if left else "Give two or more."
        raise BadPhoto(
            f"Only {len(seen)} of {so_many(every)} shows a face that can be compared.",
            " ".join((hint, originals_left(originals))) if originals else hint,
        )
    names = tuple(seen[0].vectors)
    cosines = {name: cosines_of([one.vectors[name] for one in seen]) for name in names}
    links = {name: above(cosines[name], card(name).thresholds["far1"]) for name in names}
    counted = _counted(names)
    matrix = np.sum([links[name] for name in counted], axis=0)
    judges = [
        Linker(
            recognizer=name,
            used_by_attack=used_by(name, surrogates),
            threshold=card(name).thresholds["far1"],
            cosines=tuple(map(tuple, cosines[name].tolist())),
            links=int(links[name].sum()) // 2,
            groups=groups(links[name]),
        )
        for name in names
    ]
    return Linking(
        photos=tuple(one.name for one in seen),
        judges=tuple(sorted(judges, key=lambda one: by_fairness(one.used_by_attack))),
        counted=counted,
        matrix=tuple(map(tuple, matrix.tolist())),
        groups=groups(2 * matrix > len(counted)),
        nearly_same=_nearly_same(cosines),
        with_others=tuple(one.name for one in seen if one.others),
        without_face=tuple(without_face),
        unusable=tuple(unusable),
        unreported=tuple(unreported),
        originals=tuple(originals),
    )


def _nearly_same(cosines: Mapping[str, NDArray[np.float64]]) -> Groups:
    """The photos of nearly the same picture, by the cosines (N, N) of recognisers; none where not all of the
    voters are among these."""
    if not {*VOTERS} <= {*cosines}:
        return ()
    return groups(above(np.mean([cosines[name] for name in VOTERS], axis=0), NEARLY))


def _counted(names: Sequence[str]) -> tuple[str, ...]:
    """The recognisers that are counted: the strong ones where all that are packaged judge; otherwise the
    first of every trunk."""
    if set(names) == set(packaged()):
        return VOTERS
    return tuple({card(name).trunk: name for name in reversed(names)}.values())[::-1]


def _worst(judges: Iterable[Linker]) -> Linker:
    return max(judges, key=lambda one: (max(map(len, one.groups), default=0), one.links))


def so_many(names: Sequence[str]) -> str:
    """How many photos and clips names are of, such as "6 photos and clips"."""
    clips = sum(Path(name).suffix.lower() in ENDINGS for name in names)
    kinds = ["photos"] * (clips < len(names) or not names) + ["clips"] * (clips > 0)
    return f"{len(names)} {' and '.join(kinds)}"


def originals_left(names: Sequence[str]) -> str:
    """That originals were left out, and why."""
    if len(names) == 1:
        return f"1 original whose result lies beside it was left out: {names[0]}."
    return f"{len(names)} originals whose results lie beside them were left out: {some(names)}."
