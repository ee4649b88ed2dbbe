"""Could a machine link the photos of an album: one person, strangers, and what is no photo of anybody."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from insightface.data import get_image
from PIL import Image
from skimage.data import astronaut
from typer.testing import CliRunner, Result

import veil
from veil.attacks import packaged
from veil.attacks.faces.detection import find_faces
from veil.attacks.person import VOTERS
from veil.core.errors import BadPhoto
from veil.core.progress import finish
from veil.core.types import Steps
from veil.eval.grouping import groups
from veil.eval.linking import Seen, Unusable, link
from veil.ui import linking as front
from veil.ui.cli import app
from veil.ui.clip_checks import AlbumView
from veil.ui.web import links
from veil.weights.registry import card

SAME = ("a.jpg", "b.png", "c.png")  # of one person
OTHERS = ("d.png", "e.png")


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos of the astronaut, two of strangers, one of nobody."""
    folder, whole = tmp_path_factory.mktemp("album"), astronaut()
    portrait = whole[0:260, 90:350]
    Image.fromarray(portrait).save(folder / "a.jpg")
    Image.fromarray(np.ascontiguousarray(whole[0:300, 60:380, :][:, ::-1])).save(folder / "b.png")
    Image.fromarray((255 * (portrait / 255) ** 0.7).astype(np.uint8)).save(folder / "c.png")
    group = get_image("t1")[..., ::-1].copy()
    for name, face in zip(OTHERS, find_faces(group)[:2], strict=True):
        left, top, right, bottom = (face.box + 0.25 * face.side * np.array([-1, -1, 1, 1])).astype(int)
        Image.fromarray(group[max(top, 0) : bottom, max(left, 0) : right]).resize((200, 240)).save(
            folder / name
        )
    Image.new("RGB", (80, 80), "grey").save(folder / "nobody.png")
    return folder


@pytest.fixture(scope="module")
def found(album: Path) -> veil.Linking:
    return veil.link(sorted(album.glob("*.*")))


def assess(*arguments: object) -> Result:
    command = ["assess", *map(str, arguments)]
    return CliRunner().invoke(app, command, env={"COLUMNS": "200"})


def seen(name: str, *vectors: float, others: bool = False) -> Seen:
    """A photo as two recognisers see it that agree."""
    unit = torch.nn.functional.normalize(torch.tensor(vectors, dtype=torch.float), dim=0)
    return Seen(name, {"dlib": unit, "sface": unit}, others)


def test_one_person_is_linked_and_strangers_are_not(found: veil.Linking) -> None:
    assert found.photos == (*SAME, *OTHERS)
    assert found.without_face == ("nobody.png",)
    assert found.groups == ((1, 2, 3),)
    assert found.nearly_same == ((1, 2, 3),)
    assert found.counted == VOTERS
    matrix = np.array(found.matrix)
    assert (matrix == matrix.T).all()
    assert (matrix[:3, :3] == len(VOTERS) * (1 - np.eye(3))).all()
    assert matrix[3:, :3].max() <= 1  # at FAR 1 % one may err
    assert {judge.recognizer for judge in found.judges} == {*packaged()}
    for judge in found.judges:
        cosines = np.array(judge.cosines)
        np.testing.assert_allclose(np.diag(cosines), 1, atol=1e-3)
        pairs = [(i, j) for i in range(5) for j in range(i) if cosines[i, j] > judge.threshold]
        assert judge.links == len(pairs) >= 3
        assert judge.threshold == card(judge.recognizer).thresholds["far1"]
    assert "nobody.png" in str(found)
    assert veil.Linking.model_validate_json(found.model_dump_json()) == found


def test_photos_hang_together_by_way_of_others() -> None:
    chain = np.zeros((6, 6), bool)
    for one, other in ((0, 1), (1, 2), (2, 3), (4, 5)):
        chain[one, other] = chain[other, one] = True
    assert groups(chain) == ((1, 2, 3, 4), (5, 6))
    assert groups(np.zeros((3, 3), bool)) == ()


def test_the_worst_recogniser_and_the_honest_one_are_named() -> None:
    photos = [seen("a", 1, 0, 0), seen("b", 1, 0.1, 0, others=True), seen("c", 0, 0, 1)]
    photos[1] = replace(photos[1], vectors={**photos[1].vectors, "sface": torch.tensor([0.0, 1.0, 0.0])})
    said = link(photos, surrogates={"dlib"})
    assert [judge.used_by_attack for judge in said.judges] == ["no", "yes"]
    assert (said.worst.recognizer, said.worst.groups) == ("dlib", ((1, 2),))
    assert said.words[0] == (
        "3 photos: dlib links 1 of the 3 pairs, by which 2 hang together, the most of 2 recognisers."
    )
    assert "Of those that no protection used, sface links none of the 3 pairs." in said.words
    assert "main face was compared of b," in str(said)
    assert "No honest judge is left" in str(link(photos, surrogates={"dlib", "sface"}))
    assert said.linked
    apart = link([seen("a", 1, 0), seen("b", 0, 1)])
    assert not apart.linked
    assert apart.words[0] == "2 photos: both recognisers link no pair."
    kinds = link(
        [seen("a.jpg", 1, 0), seen("b.mp4", 1, 0)], surrogates={"dlib"}, unreported=["a.jpg", "b.mp4"]
    )
    assert kinds.words[0] == "2 photos and clips: both recognisers link the two."
    assert "lies beside a.jpg, b.mp4: if veil made them" in kinds.words[1]
    assert "No honest judge" in str(link([seen("a", 1, 0)] * 2, surrogates={"dlib", "sface"}))


def test_the_honest_judge_is_told_of_once_and_the_five_by_what_they_are() -> None:
    """Two people, each with nearly the same picture twice, whom one recogniser that was not used chains."""
    people = {"a": (1.0, 0.0, 0.0), "b": (1.0, 0.1, 0.0), "c": (0.0, 0.0, 1.0), "d": (0.0, 0.1, 1.0)}

    def by_all(name: str, *vector: float) -> Seen:
        unit = seen(name, *vector).vectors["dlib"]
        chain = seen(name, vector[0], 1, vector[2]).vectors["sface"]
        return Seen(name, {**dict.fromkeys(packaged(), unit), "sface": chain}, False)

    photos = [by_all(name, *vector) for name, vector in people.items()]
    said = link(photos, surrogates={*packaged()} - {"sface"})
    assert (said.worst.recognizer, said.worst.links, said.worst.pairs) == ("sface", 6, 6)
    assert (said.groups, said.nearly_same) == (((1, 2), (3, 4)), ((1, 2), (3, 4)))
    verdict, alike, chance = said.words
    assert verdict == (
        "4 photos: sface, which no protection used, links 6 of the 6 pairs, by which 4 hang together, the "
        f"most of {len(packaged())} recognisers. More than half of the five strong recognisers (dlib, "
        "mobilefacenet, faceres, faceplugin, sface) link 2 of the 6 pairs, by which 2 and 2 hang together."
    )
    assert alike == "Nearly the same picture, which anybody links by sight: a, b; c, d."
    assert "veil does not know here who is who" in chance
    assert "knows one by name knows all" in chance.partition("Where they are of one person, ")[2]
    assert front.link_rows(said)[0][2:] == ("6 of 6", "a, b, c, d")
    assert "6 of 6 pairs" in links.shown(said)


def test_two_photos_are_the_least() -> None:
    bad = Unusable(photo="x.jpg", error="", hint="")
    with pytest.raises(BadPhoto, match="Only 1 of 3 photos") as error:
        link([seen("a", 1, 0)], without_face=["nobody.png"], unusable=[bad])
    assert "nobody.png, x.jpg" in error.value.hint
    with pytest.raises(BadPhoto, match="Only 0 of 0"):
        link([])


def test_one_photo_is_open_at_a_time_and_embedded_once(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gc
    import weakref

    from veil.eval import linking

    asked: list[str] = []
    embed: Callable[..., Any] = linking.embedding
    monkeypatch.setattr(linking, "embedding", lambda name, *rest: (asked.append(name), embed(name, *rest))[1])
    opened: list[weakref.ref[veil.Photo]] = []

    def once(path: Path) -> Steps[AlbumView]:
        gc.collect()
        assert sum(one() is not None for one in opened) <= 1  # the last, until the next is there
        photo = veil.open_photo(path)
        opened.append(weakref.ref(photo))
        yield from ()
        return AlbumView(photo)

    said = finish(front.link([album / name for name in SAME] * 2, once, ["dlib", "sface"]))
    assert said.groups == ((1, 2, 3, 4, 5, 6),)
    assert asked == ["dlib", "sface"] * 6


def test_records_tell_what_was_used(album: Path, tmp_path: Path) -> None:
    """By the record beside it; one of another picture tells nothing, and ends nothing."""
    for name in SAME:
        (tmp_path / name).write_bytes((album / name).read_bytes())
    for name, of in (("a", "a.jpg"), ("b", "a.jpg")):
        digest = sha256((tmp_path / of).read_bytes()).hexdigest()
        record = {"picture_sha256": digest, "settings": {"surrogates": ["dlib"]}}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    asked = ("--album", tmp_path, "--judges", "dlib,sface")
    result = assess(*asked, "--json")
    said = json.loads(result.stdout)
    used = {judge["recognizer"]: judge["used_by_attack"] for judge in said["judges"]}
    assert used == {"sface": "no", "dlib": "yes"}
    assert next(iter(used)) == "sface"
    assert said["unreported"] == ["b.png", "c.png"]
    said = json.loads(assess(*asked, "--json", "--seen", "sface").stdout)
    assert {judge["recognizer"]: judge["used_by_attack"] for judge in said["judges"]}["dlib"] == "no"
    assert said["unreported"] == []


def test_originals_whose_results_lie_beside_them_are_left_out(album: Path, tmp_path: Path) -> None:
    """As `veil protect FOLDER` leaves a folder: what is posted is judged."""
    for name, of in (("a.jpg", "a.jpg"), ("a.veiled.png", "c.png"), ("b.png", "b.png")):
        (tmp_path / name).write_bytes((album / of).read_bytes())
    asked = ("--album", tmp_path, "--judges", "dlib,sface")
    result = assess(*asked, "--json")
    said = json.loads(result.stdout)
    assert said["photos"] == ["a.veiled.png", "b.png"]
    assert said["originals"] == ["a.jpg"]
    assert said["unreported"] == ["a.veiled.png", "b.png"]
    words = "1 original whose result lies beside it was left out: a.jpg."
    assert words in said["words"]
    assert words in " ".join(assess(*asked).stdout.split())
    (tmp_path / "b.png").unlink()
    assert words in assess(*asked).stderr  # which is why there is too little
    (tmp_path / "a.veiled.png").rename(tmp_path / "c.png")
    assert json.loads(assess(*asked, "--json").stdout)["originals"] == []


def test_the_command_line(album: Path, tmp_path: Path) -> None:
    for name in (SAME[0], SAME[2], OTHERS[0], "nobody.png"):
        (tmp_path / name).write_bytes((album / name).read_bytes())
    (tmp_path / "a.jpg").rename(tmp_path / "a.veiled.jpg")  # results are what is to be judged
    asked = ("--album", tmp_path, "--judges", "dlib,sface")
    result = assess(*asked)
    assert result.exit_code == 0, result.output
    assert "3 photos: " in result.stdout
    assert "a.veiled.jpg, c.png" in result.stdout
    assert "nobody.png" in result.stdout
    assert assess(*asked, "--fail-if-recognised").exit_code == 3
    (tmp_path / "broken.jpg").write_text("no picture")
    result = assess(*asked, "--fail-if-recognised", "--json")
    assert result.exit_code == 2
    assert "broken.jpg is not a picture" in result.stderr
    said = json.loads(result.stdout)  # one object
    assert said["photos"] == ["a.veiled.jpg", "c.png", OTHERS[0]]
    assert [one["photo"] for one in said["unusable"]] == ["broken.jpg"]


def test_what_cannot_be_asked_is_told(album: Path, tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes((album / "b.png").read_bytes())
    photo, empty = album / "a.jpg", tmp_path / "empty"
    empty.mkdir()
    for arguments, words in (
        ((), "takes two photos"),
        ((photo,), "takes two photos"),
        ((photo, photo, "--album", album), "takes two photos"),
        (("--album", album, "--probe", photo), "takes two photos"),
        (("--album", tmp_path / "nowhere"), "cannot be read"),
        (("--album", empty), "Name another folder.\n"),  # and no option that there is not
        (("--album", album, "--judges", "nobody"), "nobody"),
        (("--album", album, "--judges", "facenet"), "facenet"),
        (("--album", tmp_path, "--judges", "dlib"), "Only 1 of 1 photos"),
    ):
        result = assess(*arguments)
        assert result.exit_code == 2, arguments
        assert words in result.stderr
        assert not result.stdout


def test_what_concerns_several_photos_is_told_once(found: veil.Linking) -> None:
    bad = [
        Unusable(photo=name, error=error, hint="")
        for name, error in (("a", "No."), ("b", "No."), ("c", "c."))
    ]
    told = front.problems(found.model_copy(update={"unusable": tuple(bad)}))
    assert [one.message for one in told] == ["No.", "c."]


def test_bad_photos_are_left_out_in_python(album: Path) -> None:
    photos = [album / "a.jpg", astronaut(), np.zeros((3, 3)), Path("nowhere.jpg")]
    said = veil.link(photos, recognizers=["dlib"], surrogates=())
    assert said.photos == ("a.jpg", "photo 2")
    assert [one.photo for one in said.unusable] == ["photo 3", "nowhere.jpg"]
    with pytest.raises(veil.VeilError, match="Only 1 of 1"):
        veil.link(photos[:1], recognizers=["dlib"])


def test_the_table_of_the_page_has_figures_and_heads(found: veil.Linking) -> None:
    shown = links.shown(found)
    assert shown.count("<th scope='row'>") == len(found.photos)
    assert shown.count("<td>–</td>") == len(found.photos)
    assert shown.count('<td class="veil-bad">5</td>') == 6
    assert "<caption>" in shown
    evil = found.model_copy(update={"photos": ("<script>",) * 5, "without_face": ("<script>",)})
    assert "<script" not in links.shown(evil)
    many = link([seen(str(number), 1, number) for number in range(links.MATRIX + 1)])
    assert "<caption>" not in links.shown(many)
