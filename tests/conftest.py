"""The page, opened for tests, with a quick stand-in for the engine."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from veil.core.types import Face, Photo, Step, Work
from veil.privacy import Protected
from veil.privacy.settings import STRENGTHS, Settings, settings


@dataclass
class StandIn:
    """An engine that blurs faces coarsely; at strength `strong` it takes a minute, unless it is stopped."""

    begun: int = 0
    closed: int = 0
    running: int = 0
    most: int = 0
    fails: str = ""

    def __call__(
        self, photo: Photo, faces: Sequence[Face], settings: Settings, target: tuple[Photo, Face] | None
    ) -> Work[Protected]:
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
            pixels[top:bottom, left:right] = np.asarray(part.resize((9, 9)).resize(part.size))
        return Protected(photo.with_pixels(pixels), tuple(faces), ({},) * len(faces), settings)

    def _paint(self, photo: Photo, faces: Sequence[Face], settings: Settings) -> Work[None]:
        steps = 600 if settings.change == SLOW else 5
        left, top, right, bottom = faces[0].box.round().astype(int).clip(0)
        for done in range(1, steps + 1):
            time.sleep(0.1)
            yield Step("protecting", done, steps, 1.0, photo.pixels[top:bottom, left:right])


SLOW = settings("strong").change
assert SLOW != settings("balanced").change
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
    from dataclasses import replace

    from veil import privacy
    from veil.ui import app, hosting, jobs

    engine = StandIn()
    base = hosting.HOSTED if changes.pop("hosted", False) else hosting.LOCAL
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(privacy, "METHODS", {"veil": engine})
        patch.setattr(jobs, "assess", partial(jobs.assess, recognizers=("dlib", "mobilefacenet")))
        patch.setenv("GRADIO_TEMP_DIR", "")  # so that it is put back afterwards
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "")
        with app.opened(replace(base, **changes)) as (blocks, address):
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


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Generator[Opened]:
    """The page as strangers meet it, which keeps files only half a second."""
    from veil.ui import app

    monkeypatch.setattr(app, "SWEEP", 0.2)
    yield from open_page(hosted=True, keep=0.5)
