"""Whose face it is: packaged recognisers find one person in photos, and what they doubt is protected."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from veil.attacks import independent, packaged, person
from veil.attacks.faces.detection import find_faces
from veil.attacks.person import Person
from veil.core.errors import BadPhoto, NoFace
from veil.core.images import open_photo
from veil.core.types import Photo
from veil.ui import workflow
from veil.ui.outputs import Output
from veil.ui.selection import Whom

PORTRAIT = astronaut()[20:260, 100:340]
OTHER_PHOTO = Photo((255 * (PORTRAIT[:, ::-1] / 255) ** 0.8).astype(np.uint8), "me.png")


@pytest.fixture(scope="module")
def me() -> Person:
    """The astronaut, known by a mirrored and brighter photo."""
    return Person([OTHER_PHOTO])


@pytest.fixture(scope="module")
def pair(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of the astronaut, on the left, and somebody else."""
    path = tmp_path_factory.mktemp("album") / "pair.png"
    other = Image.open(faces / "people" / "person-0" / "a.png").resize((240, 240))
    Image.fromarray(np.hstack([PORTRAIT, np.asarray(other)])).save(path)
    return path


def prepared(photo: Path, whom: Whom) -> workflow.Job:
    job = workflow.prepare(photo, Output(), whom, set())
    assert isinstance(job, workflow.Job)
    return job


def test_voters_are_packaged_and_no_kin() -> None:
    assert set(person.VOTERS) <= set(packaged())
    assert all(independent(one, other) for one, other in combinations(person.VOTERS, 2))


@pytest.mark.slow
def test_people_are_told_apart(faces: Path) -> None:
    photos = sorted((faces / "people").glob("*/b.png"))
    assert len(photos) == 4
    for number in range(2):
        somebody = Person([open_photo(photos[number].with_name("a.png"))])
        shown = [open_photo(path).pixels for path in photos]
        verdicts = [somebody.verdict(pixels, find_faces(pixels)[0]) for pixels in shown]
        assert verdicts == ["same" if own == number else "other" for own in range(4)]


@pytest.mark.parametrize(("spare", "reason"), [(False, "another person"), (True, "spared")])
def test_one_person_is_protected_or_spared(pair: Path, me: Person, spare: bool, reason: str) -> None:
    job = prepared(pair, Whom(person=me, spare=spare))
    (face,), (left,) = job.faces.values(), job.choice.unprotected
    assert (face.box[0] > 240, left.box[0] > 240) == (spare, not spare)
    assert left.reason == reason
    assert (job.choice.doubtful, job.notes) == ((), ())


@pytest.mark.parametrize("spare", [False, True])
def test_whoever_is_doubtful_is_protected_and_named(
    pair: Path, me: Person, spare: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person, "OTHER", -99.0)
    monkeypatch.setattr(person, "SAME", 99.0)
    job = prepared(pair, Whom(person=me, spare=spare))
    assert (list(job.faces), job.choice.doubtful, job.choice.unprotected) == ([1, 2], (1, 2), ())
    assert [f"face {number}" in note for number, note in enumerate(job.notes, 1)] == [True, True]


@pytest.mark.slow
def test_of_numbered_faces_the_person_is_chosen(pair: Path, me: Person) -> None:
    (own,) = prepared(pair, Whom(person=me)).faces
    other = 3 - own
    assert list(prepared(pair, Whom(frozenset((1, 2)), me)).faces) == [own]
    nobody = workflow.prepare(pair, Output(), Whom(frozenset((other,)), me), set())
    assert isinstance(nobody, workflow.PassedOver)
    assert {left.number: left.reason for left in nobody.unprotected} == {
        own: "not chosen",
        other: "another person",
    }


@pytest.mark.slow
def test_the_reference_that_is_most_alike_counts(pair: Path, me: Person, faces: Path) -> None:
    pixels = open_photo(pair).pixels
    both = find_faces(pixels)
    stranger = Person([open_photo(faces / "people" / "person-0" / "b.png")])
    either = Person([OTHER_PHOTO, open_photo(faces / "people" / "person-0" / "b.png")])
    for face in both:
        alone = [one.similarity(pixels, face) for one in (me, stranger)]
        assert either.similarity(pixels, face) == pytest.approx(max(alone), abs=1e-4)
        assert either.verdict(pixels, face) == "same"


@pytest.mark.slow
def test_a_reference_shows_one_person_who_is_large_enough(pair: Path) -> None:
    blank = Photo(np.full((200, 200, 3), 128, np.uint8), "blank.png")
    small = Photo(np.asarray(Image.fromarray(PORTRAIT).resize((72, 72))), "small.png")
    for photo, error, words in (
        (blank, NoFace, "No face of 32 pixels"),
        (small, NoFace, "No face of 32 pixels"),
        (open_photo(pair), BadPhoto, "shows 2 faces"),
    ):
        with pytest.raises(error, match=words) as caught:
            Person([OTHER_PHOTO, photo])
        assert photo.name in caught.value.message
        assert caught.value.hint


def test_a_photo_without_faces_is_passed_over_where_one_person_is_asked_for(
    me: Person, tmp_path: Path
) -> None:
    Image.new("RGB", (300, 200), "green").save(tmp_path / "meadow.png")
    passed = workflow.prepare(tmp_path / "meadow.png", Output(), Whom(person=me), set())
    assert isinstance(passed, workflow.PassedOver)
    assert passed.why == "shows no face"
    with pytest.raises(NoFace):
        workflow.prepare(tmp_path / "meadow.png", Output(), Whom(), set())
