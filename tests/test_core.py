"""The vocabulary: errors, registries, long work, faces."""

from __future__ import annotations

import numpy as np
import pytest

from veil.core import errors
from veil.core.extras import needs
from veil.core.progress import WithResult, finish
from veil.core.registry import Registry
from veil.core.types import Face, Photo, Stage, Step, Steps, tracks_of


def test_every_error_is_a_veil_error_with_a_hint_and_is_drawn() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert len(kinds) == 11
    for kind in kinds:
        assert issubclass(kind, errors.VeilError)
        assert kind.__name__ in str(errors.__doc__)
        error = kind("what went wrong", "the way out")
        assert (error.message, error.hint, str(error)) == (
            "what went wrong",
            "the way out",
            "what went wrong",
        )


def test_a_registry_imports_on_demand_only() -> None:
    registry: Registry[object] = Registry("thing", {"square root": "math:sqrt", "lost": "no_such_module:x"})
    assert list(registry) == ["square root", "lost"]
    assert len(registry) == 2
    assert "lost" in registry
    assert registry["square root"](9) == 3  # type: ignore[operator]
    with pytest.raises(ModuleNotFoundError):
        registry["lost"]


@pytest.mark.parametrize(
    ("name", "hint"), [("squareroot", "Did you mean square root?"), ("x", "There are: ")]
)
def test_a_registry_helps_with_unknown_names(name: str, hint: str) -> None:
    registry: Registry[object] = Registry("thing", {"square root": "math:sqrt", "lost": "no_such_module:x"})
    with pytest.raises(errors.UnknownName, match=f"no thing called '{name}'") as error:
        registry.check(name)
    assert error.value.hint.startswith(hint)


def counting(closed: list[bool]) -> Steps[str]:
    try:
        for done in range(1, 4):
            yield Step(Stage.MEASURING, done, 3)
        return "counted"
    finally:
        closed.append(True)


def test_work_can_be_drained_and_followed() -> None:
    seen: list[Step] = []
    assert finish(counting([]), seen.append) == "counted"
    assert [step.done for step in seen] == [1, 2, 3]
    run = WithResult(counting([]))
    assert [step.total for step in run] == [3, 3, 3]
    assert run.result == "counted"


def test_work_is_closed_when_its_follower_stops() -> None:
    closed: list[bool] = []

    def stop(step: Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finish(counting(closed), stop)
    assert closed == [True]


def test_a_face_moves_with_its_image() -> None:
    face = Face(np.array([10.0, 20.0, 40.0, 60.0]), np.array([[15.0, 30.0]] * 5), 0.9)
    assert face.side == 30
    moved = face.transformed(2.0, 5.0, -5.0)
    np.testing.assert_allclose(moved.box, [25, 35, 85, 115])
    np.testing.assert_allclose(moved.points[0], [35, 55])
    assert moved.score == face.score


def test_a_face_of_a_photo_is_a_track_of_one_sighting() -> None:
    photo = Photo(np.zeros((4, 6, 3), np.uint8), "a")
    faces = [Face(np.full(4, value), np.zeros((5, 2))) for value in (1.0, 1.0)]
    tracks = tracks_of(photo, faces)
    assert [track.sightings for track in tracks] == [(track.key,) for track in tracks]
    assert [(track.key.frame, track.key.face) for track in tracks] == [(photo, face) for face in faces]
    assert faces[0] != faces[1]  # two that lie in one place stay two


def test_other_pixels_keep_what_must_survive() -> None:
    photo = Photo(np.zeros((4, 6, 3), np.uint8), "a", format="JPEG", icc=b"profile")
    assert photo.size == (6, 4)
    other = photo.with_pixels(np.ones((4, 6, 3), np.uint8))
    assert (other.name, other.format, other.icc) == ("a", "JPEG", b"profile")
    assert other.pixels.all()


def test_what_is_broken_is_not_called_missing() -> None:
    with pytest.raises(errors.BadSettings, match="no_such_module is not installed") as missing:
        with needs("ocr"):
            import no_such_module.part  # type: ignore[import-not-found]  # noqa: F401
    assert missing.value.hint == "Run `pip install '.[ocr]'` in veil's folder."
    for broken in (
        ImportError("libGL.so.1: cannot open shared object file"),
        OSError("libGL.so.1: cannot open"),
    ):
        with pytest.raises(errors.BadSettings, match=r"does not load: libGL\.so\.1: cannot open") as error:
            with needs("ocr"):
                raise broken
        assert "not installed" not in error.value.message
        assert "--force-reinstall" in error.value.hint
