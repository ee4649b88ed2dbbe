"""Where several tests begin: an open page with a quick stand-in for the engine, and a finished benchmark."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut
from typer.testing import CliRunner

from veil.core.registry import Registry
from veil.core.types import Face, Photo, Pixels, Sighting, Stage, Step, Steps, Track
from veil.privacy import Protected
from veil.privacy.settings import STRENGTHS, Settings, settings

if TYPE_CHECKING:
    from veil.attacks.faces.tracks import MeshTrack, Tracks
    from veil.core.video import Clip


@dataclass
class StandIn:
    """An engine that blurs faces coarsely; at strength `strong` it takes a minute, unless it is stopped."""

    begun: int = 0
    closed: int = 0
    running: int = 0
    most: int = 0
    fails: str = ""

    def __call__(
        self, tracks: Sequence[Track], settings: Settings, target: Sighting | None
    ) -> Steps[Protected]:
        photo, faces = tracks[0].key.frame, [track.key.face for track in tracks]
        self.begun, self.running = self.begun + 1, self.running + 1
        self.most = max(self.most, self.running)
        try:
            if self.fails:
                raise RuntimeError(self.fails)
            yield from self._paint(photo, faces, settings)
        finally:
            self.closed, self.running = self.closed + 1, self.running - 1
        pixels = photo.pixels.copy()
        for face in faces:
            left, top, right, bottom = face.box.round().astype(int).clip(0)
            part = Image.fromarray(pixels[top:bottom, left:right])
            pixels[top:bottom, left:right] = np.asarray(part.resize((12, 12)).resize(part.size))
        return Protected((photo.with_pixels(pixels),), tuple(tracks), ({},) * len(tracks), settings)

    def _paint(self, photo: Photo, faces: Sequence[Face], settings: Settings) -> Steps[None]:
        steps = 600 if settings.penalty_scale == SLOW else 5
        left, top, right, bottom = faces[0].box.round().astype(int).clip(0)
        for done in range(1, steps + 1):
            time.sleep(0.1)
            yield Step(Stage.PROTECTING, done, steps, 1.0, photo.pixels[top:bottom, left:right])


TOML = """
title = "Four people"
dataset = "people"
judges = ["mobilefacenet", "mobileface"]
pool = ["mobilefacenet", "mobileface"]
disturbances = ["none", "jpeg-75", "blazeface"]

[match]
value = 34.0
photos = 1

[[methods]]
name = "pgd"
method = "pgd"
settings = { steps = 2, views = 0 }
knob = { setting = "epsilon", low = 0.01, high = 0.2 }

[[methods]]
name = "random-noise"
method = "random-noise"
attacks = false
settings = { steps = 1 }
knob = { setting = "epsilon", low = 0.01, high = 0.2 }
"""

SLOW = settings("strong").penalty_scale
assert SLOW != settings("balanced").penalty_scale
assert "strong" in STRENGTHS


@dataclass
class Opened:
    """An open page: its address, its folder, the engine's stand-in."""

    address: str
    folder: Path
    engine: StandIn
    page: Any


@pytest.fixture(scope="session")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-image's astronaut, with a place and an author that must not survive."""
    exif = Image.Exif()
    exif[0x013B] = "private-author"
    path = tmp_path_factory.mktemp("photos") / "astronaut.jpg"
    Image.fromarray(astronaut()).save(path, exif=exif, quality=95)
    return path


def open_page(**changes: Any) -> Generator[Opened]:
    """Open a page with the stand-in, and two judges instead of five."""
    from veil import privacy
    from veil.ui import workflow
    from veil.ui.web import policy, server

    engine = StandIn()
    base = policy.HOSTED if changes.pop("hosted", False) else policy.LOCAL
    mcp = bool(changes.pop("mcp", False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "stand_in", SimpleNamespace(engine=engine))
        methods = privacy.METHODS | Registry("method", {"veil": "stand_in:engine"})
        patch.setattr(privacy, "METHODS", methods)
        patch.setattr(workflow, "assess", partial(workflow.assess, recognizers=("dlib", "sface")))
        patch.setenv("GRADIO_TEMP_DIR", "")  # so that it is put back afterwards
        with server.opened(replace(base, **changes), mcp=mcp) as (blocks, address):
            page: Any = getattr(blocks, "veil")  # noqa: B009
            yield Opened(address, page.visitors.root, engine, page)


@pytest.fixture(scope="module")
def opened() -> Generator[Opened]:
    """The page as it is on one's own machine."""
    yield from open_page()


@pytest.fixture(scope="module")
def hosted() -> Generator[Opened]:
    """The page as strangers meet it."""
    yield from open_page(hosted=True, line=3, longest=2000, heaviest=2_000_000)


@pytest.fixture(scope="module")
def served() -> Generator[Opened]:
    """The page as strangers meet it, with MCP."""
    yield from open_page(hosted=True, mcp=True, longest=2000, heaviest=2_000_000)


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Generator[Opened]:
    """The page as strangers meet it, which keeps files only half a second."""
    from veil.ui.web import server

    monkeypatch.setattr(server, "SWEEP", 0.2)
    yield from open_page(hosted=True, keep=0.5)


def people(folder: Path) -> None:
    """The four people of insightface's group photo, twice: as they are, and mirrored and brighter."""
    from veil.attacks.faces.detection import find_faces

    package = find_spec("insightface")
    assert package
    assert package.origin
    group = np.asarray(Image.open(Path(package.origin).parent / "data" / "images" / "t1.jpg").convert("RGB"))
    for number, face in enumerate(find_faces(group)[:4]):
        left, top, right, bottom = np.clip(
            face.box + 0.5 * face.side * np.array([-1, -1, 1, 1]), 0, group.shape[1::-1] * 2
        ).astype(int)
        photo = Image.fromarray(group[top:bottom, left:right]).resize((200, 200))
        (folder / f"person-{number}").mkdir(parents=True)
        photo.save(folder / f"person-{number}" / "a.png")
        other = (255 * (np.asarray(photo)[:, ::-1] / 255) ** 0.8).astype(np.uint8)
        Image.fromarray(other).save(folder / f"person-{number}" / "b.png")


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, people/, and a benchmark of it, six.toml."""
    folder = tmp_path_factory.mktemp("faces")
    people(folder / "people")
    (folder / "six.toml").write_text(TOML)
    return folder


@pytest.fixture(scope="session")
def done(faces: Path) -> Path:
    """A finished run, by the command line, on one thread: attacks differ a little on two."""
    import torch

    from veil.ui.cli import app

    options = ["--faces", str(faces), "-o", str(faces / "run"), "--workers", "0"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    result = CliRunner().invoke(app, ["benchmark", str(faces / "six.toml"), *options])
    torch.set_num_threads(threads)
    assert result.exit_code == 0, result.output
    assert "report.html" in result.stdout
    return faces / "run"


@pytest.fixture(scope="session")
def rows(done: Path) -> Any:
    """The scored rows of the finished run."""
    from veil.eval import summary

    return summary.read(done / "rows.parquet")


@pytest.fixture(scope="module")
def one_thread() -> Generator[None]:
    """Small crops gain nothing from threads, and lose much where others use the cores too."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def verdicts() -> Any:
    """Scored rows of ten people: `a` escapes sface less often than dlib, and the same photo less often."""
    import pandas as pd

    lines = [
        {
            **{"identity": str(person), "method": method, "curve": method, "recognizer": name, "seed": 0},
            **{"left_out": name, "disturbance": kind, "psnr": 30.0 + person, "likeness": 0.1 * person},
            **{"threshold": 0.5, "threshold_far1": 0.5, "threshold_far01": 0.7},
            **{"probe": cosine, "same": cosine + 0.2, "found": True},
            **dict.fromkeys(("gender", "race", "age"), ""),
        }
        for method, shift in (("identity", 1.0), ("a", 0.0))
        for name, lift in (("dlib", 0.0), ("sface", 0.2))
        for kind, more in (("none", 0.0), ("jpeg-75", 1.0))
        for person in range(10)
        for cosine in [person / 10 + lift + shift + more + 0.05]
    ]
    return pd.DataFrame(lines)


def drifting(number: int, size: tuple[int, int] = (192, 192)) -> Any:
    """A picture of the clips that `film` makes: scikit-image's astronaut, drifting."""
    wide, high = size
    return np.ascontiguousarray(astronaut()[number : number + high, 130 + 2 * number :][:, :wide])


@dataclass(frozen=True)
class Film:
    """Makes clips.

    times: of the pictures, in units of `unit` seconds. sound: when it begins, in seconds; None for none.
    """

    size: tuple[int, int] = (192, 192)
    times: Sequence[int] = tuple(range(0, 12 * 512, 512))
    unit: Fraction = Fraction(1, 15360)
    encoder: str = "libx264"
    pixel_format: str = "yuv420p"
    transfer: int = 1
    sound: float | None = None
    sound_first: bool = False
    subtitles: bool = False
    rotation: int = 0
    tags: dict[str, str] = field(default_factory=dict[str, str])

    def __call__(self, path: Path, **changes: Any) -> Path:
        """Make a clip at `path`, whose ending says in which container."""
        return replace(self, **changes)._make(path)

    def _make(self, path: Path) -> Path:
        import av

        quicktime = path.suffix in (".mp4", ".mov")
        options = {"movie_timescale": "48000"} if quicktime else {}
        with av.open(str(path), "w", container_options=options) as out:
            sound = (
                out.add_stream("aac", 48000, {"flags": "+bitexact"})
                if self.sound is not None and self.sound_first
                else None
            )
            pictures: Any = out.add_stream(self.encoder, 30, {"g": "5"}, time_base=self.unit)
            pictures.width, pictures.height = self.size
            pictures.pix_fmt, pictures.color_trc = self.pixel_format, self.transfer
            if self.rotation:
                pictures.set_display_rotation(self.rotation)
            if self.sound is not None and sound is None:
                sound = out.add_stream("aac", 48000, {"flags": "+bitexact"})
            text = out.add_mux_stream("mov_text" if quicktime else "subrip") if self.subtitles else None
            out.metadata.update(self.tags)
            packets = [*self._pictures(pictures), *(self._sound(sound) if sound else [])]
            if text:
                packet = av.Packet(b"\0\5hello" if quicktime else b"hello")
                packet.stream, packet.pts, packet.dts, packet.duration = text, 0, 0, 200
                packet.time_base = Fraction(1, 1000)
                packets.append(packet)
            out.mux(sorted(packets, key=lambda packet: (packet.dts or 0) * packet.time_base))
        return path

    def _pictures(self, stream: Any) -> Generator[Any]:
        import av

        for number, when in enumerate(self.times):
            frame = av.VideoFrame.from_ndarray(drifting(number, self.size))
            frame.pts, frame.time_base = when, self.unit
            yield from stream.encode(frame)
        yield from stream.encode(None)

    def _sound(self, stream: Any) -> Generator[Any]:
        import av

        for number in range(20):
            tone = np.sin(np.arange(1024) * 0.05 * (number + 1)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(np.stack([tone, tone]), "fltp", "stereo")
            frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
            frame.pts = 1024 * number + round(48000 * (self.sound or 0))
            yield from stream.encode(frame)
        yield from stream.encode(None)


@pytest.fixture
def film() -> Film:
    """Makes clips; skips where PyAV is not installed."""
    pytest.importorskip("av")
    return Film()


def square_mesh(person: int, number: int, small: bool = False) -> Any:
    """A mesh that fills a square which moves as the clips of `film` do."""
    rows, columns = np.mgrid[:18, :26] / np.array([17, 25])[:, None, None]
    scale = 20 if small else 80
    left, top = (60 - 2 * number, 20) if person == 1 else (5, 150 - scale // 2)
    return np.stack([left + scale * columns, top + scale * rows], -1).reshape(468, 2).astype(np.float32)


def track_of_a_square(
    person: int, frames: Sequence[int], small: bool = False, carried: Sequence[int] = ()
) -> MeshTrack:
    from veil.attacks.faces.tracks import MeshTrack  # which loads torch

    points = np.stack([square_mesh(person, number, small) for number in frames])
    indexes = np.array(frames)
    return MeshTrack(person, 0, indexes, points, ~np.isin(indexes, carried))


@dataclass
class Change:
    """A stand-in for what the engine finds: it makes one person's square bluer."""

    tracks: Tracks
    margins: tuple[float, ...] = (1.5,)

    def between(self, start: int, stop: int) -> Change:
        return replace(self, tracks=self.tracks.between(start, stop))

    def save(self, path: Path) -> None:
        path.write_text("found")

    @classmethod
    def load(cls, path: Path, tracks: Tracks) -> Change:
        if path.read_text() != "found":
            raise ValueError
        return cls(tracks)


@dataclass
class Work:
    """What stands in for following, solving, drawing and judging, and how often each was done.

    stops: the picture before which drawing is stopped once.
    apart: from what each person was kept apart, each time.
    """

    followed: int = 0
    found: int = 0
    drawn: int = 0
    stops: int = -1
    tracks: tuple[MeshTrack, ...] = ()
    apart: list[dict[int, Any]] = field(default_factory=list[dict[int, Any]])

    def follow(self, frames: Any, total: int) -> Steps[Tracks]:
        from veil.attacks.faces.tracks import Tracks

        assert sum(1 for _ in frames) == total
        self.followed += 1
        yield Step(Stage.FOLLOWING, total, total)
        return Tracks(self.tracks, (0,), total)

    def find_changes(
        self,
        frames_of: Any,
        tracks: Tracks,
        settings: Any,
        known: Any,
        album: Any = None,
        references: Any = None,
    ) -> Steps[Change]:
        assert [number for number, _ in frames_of([3, 1])] == [1, 3]
        self.found += 1
        self.apart.append(album)
        yield Step(Stage.PROTECTING, 1, 1)
        return Change(tracks)

    def render(self, pixels: Pixels, number: int, change: Change) -> Pixels:
        if number == self.stops:
            self.stops = -1
            raise KeyboardInterrupt
        self.drawn += 1
        (one,) = change.tracks.tracks
        face = one.face(number)
        if face is None:
            return pixels
        left, top, right, bottom = face.box.round().astype(int).clip(0)
        result = pixels.copy()
        result[top:bottom, left:right, 2] = 255
        return result

    def judge(self, before: Clip, after: Clip, tracks: Tracks, *more: Any) -> Steps[dict[int, Any]]:
        from veil.eval.behaviour import Behaviour
        from veil.eval.clip_report import PersonReport
        from veil.eval.tracks import Flicker, match

        yield Step(Stage.JUDGING, 0, 1)
        (track,) = tracks.tracks
        rows = [
            self.seen(((pixels, face) for at, pixels in clip.frames() if (face := track.face(at))), ())
            for clip in (before, after)
        ]
        flicker = Flicker(own=2.0, after=2.2, change=1.0, movement=0.0)
        behaviour = Behaviour(frames=12, read=1, read_after=1, aspects=())
        return {track.person: PersonReport(matches=match(*rows), flicker=flicker, behaviour=behaviour)}

    def seen(self, frames: Any, names: Any) -> dict[str, Any]:
        import torch

        rows = [face.box[:2] for _, face in frames]
        return {"sface": torch.nn.functional.normalize(torch.tensor(np.array(rows), dtype=torch.float32))}


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """What stands in for the work on clips."""
    from veil.ui import clip_checks, clip_drawing, clips

    work = Work(
        tracks=(track_of_a_square(1, range(12)), track_of_a_square(2, range(3, 9), small=True, carried=(8,)))
    )
    for name in ("follow", "find_changes", "seen", "judge"):
        monkeypatch.setattr(clips, name, getattr(work, name))
    monkeypatch.setattr(clip_drawing, "render", work.render)
    monkeypatch.setattr(clips, "ClipChange", Change)
    for name in ("follow", "judge"):
        monkeypatch.setattr(clip_checks, name, getattr(work, name))
    for module in (clips, clip_checks):
        monkeypatch.setattr(module, "packaged", lambda: ("sface",))
    monkeypatch.setattr(clip_drawing, "LENGTH", 5)
    return work
