"""Photos of an album are kept apart from one another: the objective, who is whose, and where runs go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut
from typer.testing import CliRunner, Result

from veil.attacks import attacked, packaged, recognizer
from veil.attacks.ensemble import Ensemble, person_embedding, person_embeddings
from veil.attacks.faces.detection import find_faces
from veil.core.images import to_tensor
from veil.core.progress import finish
from veil.core.types import Photo, Sighting, Steps, Track
from veil.eval.benchmark import PICTURE, open_store, read, run
from veil.eval.datasets import checksum
from veil.privacy import Protected, protect
from veil.privacy.settings import Settings, settings
from veil.ui import album_links, earlier, workflow
from veil.ui.albums import Album, people_in
from veil.ui.cli import app
from veil.ui.commands import people
from veil.ui.endings import fell_short
from veil.ui.engine_hooks import ENGINE_HOOKS
from veil.ui.records import Record
from veil.ui.references import summed_up, told
from veil.ui.web.links import of_album
from veil.ui.wording import ON_LIMITS

PORTRAIT = astronaut()[20:260, 100:340]


def another(pixels: np.ndarray, side: int = 80) -> np.ndarray:
    """A coarser and darker photo (240, 240, 3), as if it were another one of the same person."""
    coarse = Image.fromarray(pixels).resize((side, side)).resize((240, 240))
    return (255 * (np.asarray(coarse) / 255) ** 1.6).astype(np.uint8)


DARKER = another(PORTRAIT)
BRIGHTER = (255 * (PORTRAIT[:, ::-1] / 255) ** 0.8).astype(np.uint8)


def test_the_objective_counts_what_the_album_shows() -> None:
    both = [recognizer("dlib"), recognizer("mobilefacenet")]
    shown = [(to_tensor(pixels), find_faces(pixels)[0]) for pixels in (PORTRAIT, BRIGHTER)]
    own = person_embeddings(both, shown[:1])
    elsewhere = [vector[None] for vector in person_embeddings(both, shown[1:])]
    nobody = [torch.zeros_like(vectors) for vectors in elsewhere]
    losses, margins = [], []
    for album in (nobody, elsewhere):
        objective = Ensemble(both, own, album=album)
        image = (0.6 * shown[0][0] + 0.4 * shown[0][0].flip(-2)).requires_grad_()
        loss = objective(image, shown[0][1])
        losses.append(float(loss.detach()))
        margins.append(objective.worst_margin)
        assert float(torch.autograd.grad(loss, image)[0].abs().max()) > 0
    assert losses[1] > losses[0] + 1
    assert margins[1] <= margins[0]
    objective = Ensemble(both, [torch.zeros_like(vector) for vector in own], album=elsewhere)
    objective.verdict(*shown[1])  # nobody by the own embedding, and the very person of the album
    assert objective.worst_margin < 0


def test_only_photos_of_the_same_person_are_kept_apart(faces: Path) -> None:
    stranger = np.asarray(Image.open(faces / "people" / "person-0" / "a.png").convert("RGB"))
    photo, other = Photo(PORTRAIT, "me.png"), Photo(stranger, "stranger.png")
    album = Album()
    own = find_faces(PORTRAIT)[:1]
    (track,) = album.tracks(photo, people_in(photo, own), own)
    assert track.album == ()
    for one in (photo, other):
        there = find_faces(one.pixels)[:1]
        album.add(people_in(one, there), one, there)
    pair = Photo(np.hstack([DARKER, another(stranger, 48)]), "pair.png")
    found = find_faces(pair.pixels)[:2]
    for track in album.tracks(pair, people_in(pair, found), found):
        (sighting,) = track.album
        assert sighting.frame.name == ("me.png" if track.key.face.box[0] < 240 else "stranger.png")
        left, top, right, bottom = sighting.face.box
        assert 0 <= left < right <= sighting.frame.size[0]
        assert 0 <= top < bottom <= sighting.frame.size[1]
    mirrored = Photo(BRIGHTER, "nearly the same picture.png")
    again = find_faces(BRIGHTER)[:1]
    (track,) = album.tracks(mirrored, people_in(mirrored, again), again)
    assert track.album == ()  # to keep it apart would lead back to the face as it was


@pytest.mark.slow
def test_an_album_keeps_a_photo_away_from_the_protected_one() -> None:
    """Beside a photo that the engine protected, the next one ends farther from it than without."""
    chosen = settings("strong", "quick", surrogates=("mobilefacenet", "dlib"))
    first = Sighting(Photo(PORTRAIT, "a.png"), find_faces(PORTRAIT)[0])
    second = Sighting(Photo(BRIGHTER, "b.png"), find_faces(BRIGHTER)[0])
    done = replace(first, frame=finish(protect([Track((first,))], chosen)).photo)
    seen = [recognizer(name) for name in chosen.surrogates]

    def cosine(result: Protected) -> float:
        pairs = [
            (to_tensor(photo.pixels), face)
            for photo, face in ((done.frame, done.face), (result.photo, second.face))
        ]
        return float(
            np.mean([person_embedding(one, pairs[:1]) @ person_embedding(one, pairs[1:]) for one in seen])
        )

    alone = finish(protect([Track((second,))], chosen))
    apart = finish(protect([Track((second,), (done,))], chosen))
    assert cosine(apart) < cosine(alone) - 0.1


def test_an_album_says_who_still_links_which_of_its_files(faces: Path, tmp_path: Path) -> None:
    """Only files of one person count, and of recognisers those that the protection has never met."""
    stranger = np.asarray(Image.open(faces / "people" / "person-0" / "a.png").convert("RGB"))
    album = Album()
    for name, pixels in (("a.png", PORTRAIT), ("b.png", DARKER), ("c.png", stranger)):
        photo, there = Photo(pixels, "one.png"), find_faces(pixels)[:1]
        album.add(people_in(photo, there), photo, there, tmp_path / name)
    found = finish(album_links.links(album.members, attacked()))
    (honest,) = found.judges
    assert found.words == (honest.words,)
    assert found.files == ("a.png", "b.png")
    assert (honest.recognizer, honest.used_by_attack) == ("sface", "no")
    assert (honest.pairs, honest.links, honest.groups) == (1, 1, (("a.png", "b.png"),))
    assert honest.different == album_links.Links(pairs=1, links=1, groups=honest.groups)
    assert honest.words.startswith(
        "Album: sface, which the protection has never met, still links the two files that show one person: "
        "a.png, b.png."
    )

    def words(pairs: int, links: int, alike: int = 0) -> str:
        different = album_links.Links(pairs=pairs, links=links, groups=honest.groups)
        return honest.model_copy(update={"pairs": pairs + alike, "different": different}).words

    assert "does not link the two files that show one person." in words(1, 0)
    assert "nothing to link" in words(0, 0)
    assert "still links 2 of the 3 pairs of files that show one person: a.png, b.png." in words(3, 2)
    assert "links none of the 3 pairs of files that show one person in different pictures." in words(3, 0, 1)
    everybody = finish(album_links.links(album.members, attacked(), strict=True))
    assert {one.recognizer for one in everybody.judges} == {*packaged()}
    counts = [one.links for one in everybody.judges]
    assert counts == sorted(counts, reverse=True)


def test_an_album_says_what_it_did_not_keep_apart_and_what_that_cost(faces: Path, tmp_path: Path) -> None:
    """The first two are nearly the same picture; of the last two one was hidden and the other is known."""
    stranger = np.asarray(Image.open(faces / "people" / "person-0" / "a.png").convert("RGB"))
    album = Album()
    for name, pixels in (("a.png", PORTRAIT), ("mirrored.png", BRIGHTER), ("b.png", DARKER)):
        photo, there = Photo(pixels, "one.png"), find_faces(pixels)[:1]
        album.add(people_in(photo, there), photo, there, tmp_path / name)
    somebody = Sighting(Photo(stranger, "hidden.png"), find_faces(stranger)[0])
    first, second, last = album.members
    found = finish(album_links.links([replace(first, shown=somebody), second, last], attacked()))
    assert found.nearly_same == (("a.png", "mirrored.png"),)
    (judge,) = found.judges
    assert judge.known_again == ("b.png",)  # the mirrored one was not kept apart
    assert (judge.links, judge.different.links) == (1, 1)  # the mirrored one and the last
    assert found.files == ("mirrored.png", "b.png")
    _, alike, cost = found.words
    assert alike.startswith("Nearly the same picture, ")
    assert "not kept apart: a.png, mirrored.png." in alike
    assert "cost protection of its own, and it is linked all the same: b.png." in cost
    assert "`veil protect FILE -o OTHER_FOLDER`" in cost
    hidden = replace(last, shown=somebody)
    apart = finish(album_links.links([first, hidden], attacked()))
    assert (apart.judges[0].pairs, apart.judges[0].links, apart.judges[0].known_again) == (1, 0, ())
    parted = finish(album_links.links([replace(first, shown=somebody), last], attacked()))
    assert parted.files == ()
    assert "cost protection of its own: b.png." in parted.words[-1]
    assert "but then be linked with the others: `veil protect FILE -o OTHER_FOLDER`" in parted.words[-1]


def test_people_who_are_in_one_photo_do_not_hang_together_by_it(faces: Path, tmp_path: Path) -> None:
    stranger = np.asarray(Image.open(faces / "people" / "person-0" / "a.png").convert("RGB"))
    album, both = Album(), np.hstack([DARKER, another(stranger, 48)])
    for name, pixels in (("me.png", PORTRAIT), ("both.png", both), ("stranger.png", stranger)):
        photo, there = Photo(pixels, name), find_faces(pixels)[:2]
        album.add(people_in(photo, there), photo, there, tmp_path / name)
    found = finish(album_links.links(album.members, attacked(), strict=True))
    assert {*found.linked} == {("me.png", "both.png"), ("both.png", "stranger.png")}
    assert found.files == ("me.png", "both.png", "stranger.png")
    worst = found.judges[0]
    assert (worst.links, worst.groups) == (2, found.linked)
    assert worst.words.endswith("Whoever can name the face in one can name it in all of that group.")


@pytest.mark.parametrize("same", [True, False])
def test_nearly_the_same_picture_is_one_statement_and_no_shortfall(same: bool, tmp_path: Path) -> None:
    """It links itself, whatever is done; where nothing else is there, nothing else is said."""
    album, pixels = Album(), {"a.png": PORTRAIT, "copy.png": PORTRAIT if same else BRIGHTER}
    for name, shown in pixels.items():
        Image.fromarray(shown).save(tmp_path / name)
        photo, there = Photo(shown, name), find_faces(shown)[:1]
        album.add(people_in(photo, there), photo, there, tmp_path / name)
    found = finish(album_links.links(album.members, attacked()))
    (judge,) = found.judges
    assert (judge.pairs, judge.links, judge.groups) == (1, 1, (("a.png", "copy.png"),))
    assert (found.files, found.linked, found.nearly_same) == ((), (), (("a.png", "copy.png"),))
    what = "the same file" if same else "nearly the same picture"
    assert found.words == (
        f"Album: {what}, which anybody links by sight, and so not kept apart: a.png, copy.png.",
    )
    assert found.words[0] in of_album(found, "photo")


def test_the_last_line_names_who_hangs_together_with_whom() -> None:
    groups = (("a.jpg", "b.jpg"), ("me.jpg", "x.jpg"))
    files = [("a.jpg", ("still recognised",)), *((name, ("linked",)) for group in groups for name in group)]
    said = fell_short(files, strict=False, linked=groups)
    assert "in 1 photo a recogniser that judges still knows a face (a.jpg)" in said
    assert "in 4 photos a recogniser that judges links a face with another of the album " in said
    assert said.endswith("(a.jpg, b.jpg; me.jpg, x.jpg).")


def veil(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def watched(
    monkeypatch: pytest.MonkeyPatch, part: Callable[[Track], Sequence[Sighting]]
) -> dict[str, list[str]]:
    """Stand in for the engine; what it is told of each photo that it is asked for, by names."""
    asked: dict[str, list[str]] = {}

    def engine(tracks: Sequence[Track], settings: Settings, target: Sighting | None) -> Steps[Protected]:
        (track,) = tracks
        photo = track.key.frame
        asked[photo.name] = [one.frame.name for one in part(track)]
        yield from ()
        return Protected((photo.with_pixels(255 - photo.pixels),), (track,), ({},), settings)

    monkeypatch.setattr(workflow, "protect", engine)
    monkeypatch.setattr(workflow, "assess", partial(workflow.assess, recognizers=("sface",)))
    return asked


def test_photos_of_a_folder_are_kept_apart_from_those_that_were_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = watched(monkeypatch, lambda track: track.album)
    for name, pixels in (("b.png", PORTRAIT), ("c.png", DARKER)):
        Image.fromarray(pixels).save(tmp_path / name)
    first = veil("protect", tmp_path, "--album", "--quiet")
    assert asked == {"b.png": [], "c.png": ["b.veiled.png"]}
    assert ("links a face with another of the album (b.png, c.png)" in first.stderr) == (first.exit_code == 3)
    *photos, whole = map(json.loads, veil("protect", tmp_path, "--album", "--json").stdout.splitlines())
    linked = {name for one in whole["links"] for group in one["groups"] for name in group}
    assert {one["photo"] for one in photos if "linked" in one["exit_because"]} == linked == {"b.png", "c.png"}
    asked.clear()
    Image.fromarray(PORTRAIT[10:]).save(tmp_path / "a.png")
    veil("protect", tmp_path, "--album", "--quiet")
    assert asked == {"a.png": ["c.veiled.png"]}  # b.png is nearly the same picture
    record = Record.model_validate_json((tmp_path / "a.veiled.json").read_text())
    assert record.origin
    assert record.origin.album
    alone = veil("protect", tmp_path / "a.png", "--quiet")  # another result, so the one that lies there stays
    assert alone.exit_code == 2
    assert "exists already" in alone.output


def test_an_album_goes_on_with_files_that_are_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are found beside those that are; what was protected without an album does not belong to one."""
    asked, out = watched(monkeypatch, lambda track: track.album), tmp_path / "out"
    photos = [tmp_path / name for name in ("alone.png", "b.png", "c.png", "d.png")]
    for photo, pixels in zip(photos, (BRIGHTER, PORTRAIT, DARKER, PORTRAIT[10:]), strict=True):
        Image.fromarray(pixels).save(photo)
    alone, first, second, third = photos
    veil("protect", alone, "-o", out)
    veil("protect", first, "-o", out, "--album")
    told = json.loads(veil("protect", second, "-o", out, "--album", "--json").stdout.splitlines()[-1])
    assert asked == {"alone.png": [], "b.png": [], "c.png": ["b.veiled.png"]}
    assert told["album"] == ["b.png", "c.png"]
    assert {one["pairs"] for one in told["links"]} == {1}
    first.unlink()
    Image.fromarray(BRIGHTER).save(second)  # another photo of this name
    said = veil("protect", third, "-o", out, "--album", "--quiet")
    assert asked["d.png"] == []
    assert "neither named nor beside those that are: b.png, c.png." in said.stderr
    assert "Nothing is kept apart from these now" in said.stderr
    told = json.loads(veil("protect", third, "-o", out, "--album", "--json").stdout.splitlines()[-1])
    assert (told["album"], told["missing"]) == (["d.png"], ["b.png", "c.png"])
    assert people.ALONE in veil("protect", third, "-o", out, "--album").stdout.replace("\n", " ")


def test_results_of_an_album_are_found_by_whatever_name(tmp_path: Path) -> None:
    out, there = tmp_path / "out", tmp_path / "b [1].png"
    out.mkdir()
    there.write_bytes(b"before")

    def result(name: str, of: str = there.name, **origin: Any) -> Path:
        (picture := out / name).write_bytes(name.encode())
        made = {"photo": checksum(there), **origin}
        said = {"photo": of, "picture_sha256": checksum(picture), "origin": made}
        picture.with_suffix(".json").write_text(json.dumps(said))
        return picture

    named, usual = result("named.jpg", album=True), result("c [1].veiled.png", of="c.png", album=True)
    result("alone.veiled.png", album=False)
    result("changed.veiled.png", album=True).write_bytes(b"")
    taken = result("now.veiled.png", album=True).with_suffix(".json")
    (out / "notes.json").write_text("{")
    places = [out, tmp_path / "missing", out]
    found = earlier.results(places, [tmp_path / "d.png"], {str(taken.resolve())})
    assert [(one.result, one.name, one.source) for one in found] == [
        (usual, "c.png", None),
        (named, there.name, there),
    ]


def test_a_benchmark_keeps_the_other_photo_apart_from_the_first(faces: Path, tmp_path: Path) -> None:
    spec = read(faces / "six.toml")
    method = spec.methods[0].model_copy(
        update={"settings": {"steps": 1, "views": 0}, "knob": None, "album": True}
    )
    few: dict[str, Any] = {
        "methods": (method,),
        "match": None,
        "leave_out": "turns",
        "disturbances": ("none",),
    }
    asked = list[tuple[np.ndarray, ...]]()

    def watched(*arguments: Any) -> Photo:
        asked.append(tuple(photo.pixels for photo, _ in arguments[4]))
        return ENGINE_HOOKS.protect(*arguments)

    spec = spec.model_copy(update={**few, "pairings": True, "photos": 1})
    finish(run(spec, replace(ENGINE_HOOKS, protect=watched), faces, tmp_path, 0))
    (first,) = [
        path
        for path in (open_store(tmp_path).folder / method.name).glob(f"*{PICTURE}")
        if "probe" not in path.stem
    ]
    *before, (album,) = asked
    assert not any(before)
    assert np.array_equal(album, np.asarray(Image.open(first)))


def test_references_are_of_the_same_person_and_not_the_photo_itself(faces: Path) -> None:
    stranger = np.asarray(Image.open(faces / "people" / "person-0" / "a.png").convert("RGB"))
    photos = {"me.png": PORTRAIT, "darker.png": DARKER, "brighter.png": BRIGHTER, "stranger.png": stranger}
    album = Album.of_references(Photo(pixels, name) for name, pixels in photos.items())
    for name, others in (
        ("me.png", ["darker.png"]),
        ("darker.png", ["me.png", "brighter.png"]),
        ("stranger.png", []),
    ):
        photo, own = Photo(photos[name], name), find_faces(photos[name])[:1]
        people = people_in(photo, own)
        (track,) = album.tracks(photo, people, own)
        assert [one.frame.name for one in track.references] == others
        album.add(people, photo, own)
        assert track.album == ()  # results are not to be kept apart here


def test_references_join_the_embedding_that_is_attacked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def embeddings(surrogates: Sequence[Any], shown: Sequence[Any]) -> list[torch.Tensor]:
        seen.append(len(shown))
        return person_embeddings(surrogates, shown)

    monkeypatch.setattr("veil.privacy.engine.person_embeddings", embeddings)
    first, second = (
        Sighting(Photo(pixels, "a.png"), find_faces(pixels)[0]) for pixels in (PORTRAIT, BRIGHTER)
    )
    chosen = settings("strong", "quick", surrogates=("mobilefacenet",), steps=1)
    alone, known = (finish(protect([Track((first,), (), others)], chosen)) for others in ((), (second,)))
    assert seen == [1, 2]
    assert not np.array_equal(alone.photo.pixels, known.photo.pixels)


@pytest.mark.parametrize(
    ("names", "album", "exits"),
    [
        (["missing.png", "bad.png"], [], [2, 2, 2]),
        (["nobody.png", "none.png"], [], [3, 3, 0]),  # of an album it tells what is linked
        (["bad.png", "me.png"], ["me.png"], [2, None, 2]),
    ],
)
def test_the_line_of_an_album_comes_last_whatever_becomes_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], album: list[str], exits: list[int]
) -> None:
    watched(monkeypatch, lambda track: track.album)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    for name, pixels in (("me.png", PORTRAIT), ("nobody.png", 0 * PORTRAIT), ("none.png", 0 * PORTRAIT)):
        Image.fromarray(pixels).save(tmp_path / name)
    result = veil("protect", *(tmp_path / name for name in names), "--album", "--json", "-q")
    *photos, whole = map(json.loads, result.stdout.splitlines())
    assert [one["photo"] for one in photos] == names
    assert {"album", "missing", "exit", "exit_because", "links", "nearly_same"} == {*whole}
    assert whole["album"] == album
    assert whole["exit_because"] == ["error"] * (whole["exit"] == 2)
    told = [one["exit"] for one in (*photos, whole)]
    assert [code for code, exit in zip(told, exits, strict=True) if exit is not None] == [
        exit for exit in exits if exit is not None
    ]


def test_photos_of_me_are_references(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said for whom each counted, and whether the result is still matched with those that did."""
    asked = watched(monkeypatch, lambda track: track.references)
    stranger = np.asarray(Image.open(faces / "people" / "person-0" / "a.png").convert("RGB"))
    for name, pixels in (("b.png", PORTRAIT), ("c.png", DARKER), ("other.png", stranger)):
        Image.fromarray(pixels).save(tmp_path / name)
    me = [part for name in ("b.png", "c.png", "other.png") for part in ("--me", tmp_path / name)]
    result = veil("protect", tmp_path / "b.png", *me)
    assert result.exit_code in (0, 3), result.output
    assert asked == {"b.png": ["c.png"]}
    record = Record.model_validate_json((tmp_path / "b.veiled.json").read_text())
    assert record.notes == (
        "Who face 1 is was also learnt from 1 other photo (c.png).",
        "b.png is this very photo, or nearly the same picture: it counted for no face.",
    )
    assert all(f"Note: {note}" in result.stderr for note in record.notes)
    ignored = "other.png shows nobody who is protected in b.png: it counted for no face."
    assert record.ignored == (ignored,)
    assert result.stdout.startswith(ignored)
    assert record.origin
    assert len(record.origin.references) == 3
    references = record.report.faces[0].references
    assert references
    assert references.photos == ("c.png",)
    (match,) = references.matches
    seen = [recognizer("sface").embed(recognizer("sface").align(*shown)) for shown in _of(PORTRAIT, DARKER)]
    assert match.before == pytest.approx(float(seen[0][0] @ seen[1][0]), abs=0.03)
    still = int(match.still_recognised)
    said = (
        "Face 1 against the other photo of you: the one recogniser that the protection has never met "
        f"{'still' if still else 'no longer'} matches the two."
    )
    assert said in " ".join(result.stdout.split())
    again = veil("protect", tmp_path / "b.png", *me)
    assert "was done before" in again.stderr
    verdict, _, _ = result.stdout.partition("What this does not promise")
    assert again.stdout.split() == f"{verdict}{ON_LIMITS}".split()  # the same verdict, from the record
    assert ignored in veil("protect", tmp_path / "b.png", *me, "-q").stderr
    assert json.loads(veil("protect", tmp_path / "b.png", *me, "--json").stdout)["ignored"] == [ignored]
    turned = [part for path in me[:0:-2] for part in ("--me", path)]
    assert "was done before" in veil("protect", tmp_path / "b.png", *turned).stderr  # in another order
    fewer = veil("protect", tmp_path / "b.png", "--album", "--strength", "strong")
    assert "made with other settings: at strength balanced, effort normal, without --album, with --me." in (
        fewer.stderr
    )


def test_of_several_photos_it_is_said_once_which_other_photo_shows_nobody(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched(monkeypatch, lambda track: track.references)
    stranger = faces / "people" / "person-0" / "a.png"
    for name in ("b.png", "c.png"):
        Image.fromarray(PORTRAIT).save(tmp_path / name)
    for options in (("--json",), ("-q",), ()):  # done, and then told again
        run = veil("protect", tmp_path, "--me", stranger, *options)
        said = run.stderr if options else run.stdout
        assert said.count("counted for no face") == 1
        line = "a.png shows nobody who is protected in 2 photos (b.png, c.png): it counted for no face.\n"
        assert line in said
        for one in map(json.loads, run.stdout.splitlines() if options == ("--json",) else ()):
            alone = f"a.png shows nobody who is protected in {one['photo']}: it counted for no face."
            assert one["ignored"] == [alone]


def test_notes_name_their_photo_where_there_are_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched(monkeypatch, lambda track: track.references)
    photos = [tmp_path / name for name in ("b.png", "c.png", "d.png")]
    for photo, pixels in zip(photos, (PORTRAIT, DARKER, BRIGHTER), strict=True):
        Image.fromarray(pixels).save(photo)
    run = veil("protect", photos[0], photos[2], "--me", photos[1])
    for name in ("b.png", "d.png"):
        assert f"Note: {name}: Who face 1 is was also learnt from 1 other photo (c.png)." in run.stderr


def _of(*pictures: np.ndarray) -> list[tuple[torch.Tensor, Any]]:
    return [(to_tensor(pixels), find_faces(pixels)[0]) for pixels in pictures]


def test_doubtful_and_surplus_photos_count_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    album, person = Album(), {"sface": torch.ones(1)}
    monkeypatch.setattr("veil.ui.albums.MOST", 1)
    for name, like in (("a.png", 3.5), ("b.png", 3.2), ("c.png", 2.5), ("d.png", 1.0)):
        shown = Sighting(Photo(PORTRAIT, name), find_faces(PORTRAIT)[0])
        album.known.append(({"sface": torch.tensor([like / 4])}, shown))
    monkeypatch.setattr("veil.ui.albums.vote", lambda known, shown: 4 * known["sface"][0])
    said = told(album, {2: person}, "e.mp4", "clip")
    assert [note.partition(":")[0] for note in (*said.notes, *said.ignored)] == [
        "Who face 2 is was also learnt from 1 other photo (a.png).",
        "b.png comes after 8 others, and more are not looked at",
        "c.png may show somebody who is protected in e.mp4, but that is not sure enough",
        "d.png shows nobody who is protected in e.mp4",
    ]
    assert len(said.ignored) == 2
    lines = summed_up(((one, "e.mp4", f"{place}/e.mp4") for place in "xy" for one in said.ignored), "clip")
    assert lines == [
        f"{what} in 2 clips (x/e.mp4, y/e.mp4){but}: it counted for no face."
        for what, but in (
            ("c.png may show somebody who is protected", ", but that is not sure enough"),
            ("d.png shows nobody who is protected", ""),
        )
    ]
    album.known = [({"sface": torch.ones(1)}, shown)]
    assert told(album, {2: person}, "e.mp4", "clip").notes == (
        "d.png is a picture of this very clip, or nearly the same picture: it counted for no face.",
    )
