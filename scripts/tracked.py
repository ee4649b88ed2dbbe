"""The photos that `trackers.py` asks trackers about, and what it asks.

`Pairs` are of the people of a benchmark, judged by whom their cloak did not attack. `Roles` are
of people of lfw with four photos: what the tracker's album holds, what passed by, and what is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from veil.attacks import held_out
from veil.core.images import open_photo, to_tensor
from veil.core.types import Array, Face, Sighting
from veil.eval import CLEAN
from veil.eval.benchmark import PICTURE, ROWS, ResultKey, open_store, unpack
from veil.eval.datasets import album, checksum, main_face
from veil.eval.disturbances import DISTURBANCES
from veil.eval.identification import stacked
from veil.eval.trackers import Shot, Task
from veil.eval.trackers import run as ask
from veil.eval.trackers.rates import rejected
from veil.eval.verification import embedding
from veil.ui.engine_hooks import ENGINE_HOOKS
from veil.weights.registry import card

JUDGE = held_out()
PHOTOS = 4  # of each person of lfw
AGAIN = 1  # which of them is cloaked by several seeds
DISTRACTORS = 200
PRIOR = "purify-150"
Row = dict[str, Any]


# --- lfw: people with four photos -------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody of lfw whose photos the judge takes for one person, every two of them."""

    name: str
    paths: tuple[Path, ...]
    faces: tuple[Face, ...]
    vectors: tuple[Array, ...]

    def cloaked(self, run: Path, strength: str, place: int, seed: int = 0) -> Path:
        """Where the cloak of a photo lies."""
        return run / "lfw" / strength / self.name / f"{self.paths[place].stem}-{seed}.png"


def seen(judge: str, sighting: Sighting) -> Array:
    """A recogniser's unit vector (D,) of a face in a picture."""
    return embedding(judge, to_tensor(sighting.frame.pixels), sighting.face).double().numpy()


def photos_of(faces: Path) -> dict[str, list[Path]]:
    """The photos of everybody in lfw."""
    everyone: dict[str, list[Path]] = {}
    for name, path in album(faces / "lfw"):
        everyone.setdefault(name, []).append(path)
    return everyone


def people_of(faces: Path) -> Iterable[Person]:
    """Those with four photos, in the order of their names."""
    for name, paths in photos_of(faces).items():
        if len(paths) != PHOTOS:
            continue
        photos = [open_photo(path) for path in paths]
        found = [face for photo in photos if (face := main_face(photo.pixels))]
        if len(found) < PHOTOS:
            continue
        vectors = [seen(JUDGE, Sighting(*pair)) for pair in zip(photos, found, strict=True)]
        if (np.stack(vectors) @ np.stack(vectors).T).min() > card(JUDGE).thresholds["far1"]:
            yield Person(name, tuple(paths), tuple(found), tuple(vectors))


# --- what is asked of whom --------------------------------------------------------------------------------


def verdicts(name: str, task: Task, queries: Sequence[Row]) -> list[Row]:
    """What a tracker makes of a task: a row for each query, which `queries` says more about."""
    outcome = ask(name, task)
    about = {
        "tracker": name.partition(":")[0],
        "strength": "",
        "album": 1,
        "cloaked": 0,
        "passing": 0,
        "cloaks": 1,
    }
    cost = {"photos": outcome.photos, "others": outcome.others, "seconds": round(outcome.seconds, 4)}
    own = rejected(outcome, task.queries)
    return [{**about, **row, "rejected": one, **cost} for row, one in zip(queries, own, strict=True)]


@dataclass(frozen=True)
class Pairs:
    """The pictures of a finished benchmark, each judged by the recogniser that was left out in its turn.

    of: what the tables call it; methods: whose pictures.
    """

    of: str
    run: Path
    methods: tuple[str, ...]

    @property
    def key(self) -> str:
        """Where is kept what was measured of it: other pictures lie elsewhere."""
        return f"{self.of}-{checksum(self.run / 'manifest.json')[:8]}"

    def judges(self) -> dict[str, list[str]]:
        """The people of whom each recogniser was left out."""
        people: dict[str, list[str]] = {}
        for file in sorted((self.run / "photos" / self.methods[0]).glob(f"*{PICTURE}")):
            identity, judge, _ = file.stem.rsplit("-", 2)
            people.setdefault(judge, []).append(identity)
        return people

    def shot(self, identity: str, condition: str, judge: str) -> Shot:
        """The photo of a person, as it was or cloaked; the face as it lies in the clean one."""
        left_out, method = ("all", CLEAN) if condition == "clean" else (judge, condition)
        key = str(ResultKey(identity, method, left_out, "", 0))
        store = open_store(self.run)
        vector = stacked([unpack(store.path(key, ROWS))[1][f"none/{judge}"]])[0]
        picture = Sighting(open_photo(store.path(key, PICTURE)), self.face(identity))
        return Shot(identity, vector, (picture,))

    def known(self, identity: str, judge: str) -> Shot:
        """The other photo of a person."""
        key = str(ResultKey(identity, CLEAN, "all", "", 0))
        return Shot(identity, stacked([unpack(open_store(self.run).path(key, ROWS))[1][f"probe/{judge}"]])[0])

    def face(self, identity: str) -> Face:
        """Where the face of a person lies in the photo."""
        return _face(open_store(self.run).path(str(ResultKey(identity, CLEAN, "all", "", 0)), PICTURE))

    def ask(self, name: str, judge: str) -> list[Row]:
        """One tracker that has one recogniser: a gallery of everybody's other photo, as it was."""
        people = self.judges()
        everyone = [identity for some in people.values() for identity in some]
        asked = [
            (identity, condition) for identity in people[judge] for condition in ("clean", *self.methods)
        ]
        task = Task(
            gallery=[self.known(identity, judge) for identity in everyone],
            queries=[self.shot(identity, condition, judge) for identity, condition in asked],
            threshold=card(judge).thresholds["far1"],
            see=partial(seen, judge),
            restore=ENGINE_HOOKS.disturbances[PRIOR],
        )
        about = [{"identity": one, "query": condition, "judge": judge} for one, condition in asked]
        return verdicts(name, task, [{"of": self.of, **row} for row in about])

    def detect(self, name: str, disturbance: str) -> list[Row]:
        """What a detector says of everybody's photo, clean and cloaked, after a disturbance."""
        asked = [
            (identity, condition, self.shot(identity, condition, judge))
            for judge, people in self.judges().items()
            for identity in people
            for condition in ("clean", *self.methods)
        ]
        disturb = DISTURBANCES[disturbance]
        queries = [_disturbed(shot, disturb) for _, _, shot in asked]
        outcome = ask(name, Task([], queries))
        return [
            {"of": "detector", "identity": identity, "query": condition, "disturbance": disturbance,
             "score": float(score[0]), "others": outcome.others, "seconds": round(outcome.seconds, 4)}
            for (identity, condition, _), score in zip(asked, outcome.scores, strict=True)
        ]  # fmt: skip


@cache
def _face(path: Path) -> Face:
    face = main_face(open_photo(path).pixels)
    assert face, f"no face in {path}"
    return face


def _disturbed(shot: Shot, disturb: Callable[..., Any]) -> Shot:
    picture = shot.pictures[0]
    frame = picture.frame.with_pixels(disturb(picture.frame.pixels))
    return Shot(shot.person, shot.vector, (Sighting(frame, picture.face),))


@dataclass(frozen=True)
class Roles:
    """People of lfw whose photos have roles: the album that a tracker has, what passes by, and a query.

    strength: of the cloaks; everybody of whom there are all takes part.
    """

    faces: Path
    run: Path
    strength: str

    @property
    def people(self) -> list[Person]:
        """Those whose photos are all cloaked."""
        begun = len(list((self.run / "lfw" / self.strength).iterdir()))
        return [
            one
            for one in _everyone(self.faces, begun)
            if all(one.cloaked(self.run, self.strength, place).exists() for place in range(PHOTOS))
        ]

    def shot(self, person: Person, place: int, cloaked: bool, seeds: Sequence[int] = (0,)) -> Shot:
        """A photo of a person, as it was or cloaked, by several seeds perhaps."""
        if not cloaked:
            return Shot(person.name, person.vectors[place])
        files = tuple(person.cloaked(self.run, self.strength, place, seed) for seed in seeds)
        return _shot(person, place, files)

    def ask(self, name: str, album: int, cloaked: int, passing: int) -> list[Row]:
        """A tracker with an album of so many photos of everybody, of which some are cloaked, who saw so many
        other photos pass by, all cloaked. Each photo is the query in turn, as it was and cloaked."""
        rows: list[Row] = []
        for place in range(PHOTOS):
            rest = [other for other in range(PHOTOS) if other != place]
            known, passed = rest[:album], rest[album : album + passing]
            assert len(known) == album
            assert len(passed) == passing
            gallery = [
                self.shot(one, other, cloaked=index >= album - cloaked)
                for one in self.people
                for index, other in enumerate(known)
            ]
            asked = [(one, kind) for one in self.people for kind in ("clean", self.strength)]
            task = Task(
                gallery=[*gallery, *_distractors(self.faces)],
                queries=[self.shot(one, place, kind != "clean") for one, kind in asked],
                passing=[self.shot(one, other, True) for other in passed for one in self.people],
                threshold=card(JUDGE).thresholds["far1"],
                see=partial(seen, JUDGE),
            )
            about = {
                "of": "lfw",
                "strength": self.strength,
                "album": album,
                "cloaked": cloaked,
                "passing": passing,
                "judge": JUDGE,
            }
            rows += verdicts(
                name, task, [{**about, "identity": one.name, "query": kind} for one, kind in asked]
            )
        return rows

    def average(self, name: str, seeds: int) -> list[Row]:
        """A tracker that has several cloaks of a photo, of those people of whom there are as many."""
        last = seeds_of(self.run, self.strength) - 1
        people = [one for one in self.people if one.cloaked(self.run, self.strength, AGAIN, last).exists()]
        task = Task(
            gallery=[*(self.shot(one, 0, False) for one in people), *_distractors(self.faces)],
            queries=[self.shot(one, AGAIN, True, range(seeds)) for one in people],
            threshold=card(JUDGE).thresholds["far1"],
            see=partial(seen, JUDGE),
        )
        about = {"of": "lfw, one photo", "strength": self.strength, "cloaks": seeds, "judge": JUDGE}
        return verdicts(
            name, task, [{**about, "identity": one.name, "query": self.strength} for one in people]
        )


def seeds_of(run: Path, strength: str) -> int:
    """By how many seeds a photo is cloaked at most."""
    return 1 + max(int(path.stem.rsplit("-", 1)[1]) for path in (run / "lfw" / strength).rglob("*.png"))


@cache
def _shot(person: Person, place: int, files: tuple[Path, ...]) -> Shot:
    pictures = tuple(Sighting(open_photo(file), person.faces[place]) for file in files)
    return Shot(person.name, seen(JUDGE, pictures[0]), pictures)


@cache
def _everyone(faces: Path, count: int) -> list[Person]:
    return list(islice(people_of(faces), count))


@cache
def _distractors(faces: Path) -> list[Shot]:
    """A photo each of people who have not as many."""
    shots: list[Shot] = []
    for name, paths in photos_of(faces).items():
        photo = open_photo(paths[0])
        if len(paths) < PHOTOS and len(shots) < DISTRACTORS and (face := main_face(photo.pixels)):
            shots.append(Shot(name, seen(JUDGE, Sighting(photo, face))))
    return shots
