"""Which of several files are originals, by the records beside results, and by their names."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from veil.core.errors import BadSettings
from veil.ui.beside import known_to_either
from veil.ui.originals import originals, swapped


def put(path: Path, content: str = "") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content or path.name)
    return path


def record(result: Path, source: Path, kind: str = "photo") -> Path:
    """The part of a record that tells what a result was made from."""
    digest, of = (sha256(path.read_bytes()).hexdigest() for path in (result, source))
    said = {"picture_sha256": digest, "origin": {kind: of}, "settings": {"surrogates": ["dlib"]}}
    return put(result.with_suffix(".json"), json.dumps(said))


def test_originals_are_known_by_the_records_of_their_results(tmp_path: Path) -> None:
    photo, clip, other = (put(tmp_path / name) for name in ("a.jpg", "a.mp4", "b.jpg"))
    results = [put(tmp_path / name) for name in ("a.veiled.jpg", "a-2.veiled.mp4", "other name.png")]
    files = [photo, clip, other, *results]
    record(results[0], photo)
    record(results[1], clip, "clip")
    assert originals(files) == [photo, clip]
    record(results[2], other)
    assert originals(files) == [photo, clip, other]
    put(other, "edited since")
    assert originals(files) == [photo, clip]
    put(results[2], "another picture than that of the record")
    assert originals([photo, other]) == []
    again = put(tmp_path / "a.veiled.veiled.jpg")
    record(again, results[0])
    assert originals([photo, results[0], again]) == [photo, results[0]]


def test_without_a_record_originals_are_known_by_name(tmp_path: Path) -> None:
    """As uploads lie, each in a folder of its own."""
    photo, result = put(tmp_path / "1" / "a.jpg"), put(tmp_path / "2" / "a.veiled.png")
    clip, other = put(tmp_path / "3" / "a.mp4"), put(tmp_path / "4" / "b.jpg")
    assert originals([photo, clip, other, result]) == [photo]
    assert originals([photo, put(tmp_path / "5" / "a.png"), result]) == []  # of which one it is not known
    assert originals([photo, other, tmp_path / "gone.jpg"]) == []
    record(result, other)
    assert originals([photo, other, result]) == [other]  # a record knows better


def test_the_protected_one_of_two_is_known_on_either_side(tmp_path: Path) -> None:
    before, after = put(tmp_path / "a.jpg"), put(tmp_path / "a.veiled.jpg")
    assert known_to_either(before, after) is None
    camera = put(before.with_suffix(".json"), "words of a camera")
    assert known_to_either(before, after) is None
    camera.unlink()
    kept = record(after, before)
    assert known_to_either(before, after) == known_to_either(after, before) == {"dlib"}
    assert swapped(after, before)
    assert not swapped(before, after)
    edited = put(tmp_path / "edited.jpg")  # of the protected one, which then is what was before
    assert known_to_either(after, edited) == {"dlib"}
    assert not swapped(after, edited)
    put(after, "changed since")
    assert not swapped(after, before)
    with pytest.raises(BadSettings, match="another picture"):
        known_to_either(before, after)
    elsewhere = put(tmp_path / "upload" / "report.json", kept.read_text())
    put(after, after.name)
    kept.unlink()
    assert swapped(after, before, elsewhere)
    assert not swapped(after, before)
