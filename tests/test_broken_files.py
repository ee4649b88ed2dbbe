"""Whatever bytes a picture file has: it is read, or refused in words, in bounded time and memory."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from veil.core import images
from veil.core.errors import VeilError
from veil.core.images import open_photo
from veil.core.types import Photo

EXAMPLES = int(os.environ.get("VEIL_EXAMPLES", "300"))  # many more are worth a night


def _written(format: str, image: Image.Image, **options: Any) -> bytes:
    image.save(buffer := BytesIO(), format, **options)
    return buffer.getvalue()


def _originals() -> list[bytes]:
    """One small file of each kind, with a profile and EXIF, and some of the odd ones."""
    rows, columns = np.mgrid[:40, :56]
    colour = Image.fromarray(np.stack([rows * 6, columns * 4, rows + columns], -1).astype(np.uint8))
    deep = Image.fromarray((rows * 100 + columns).astype(np.uint16))
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "somebody"
    more = {"exif": exif, "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()}
    return [
        *(_written(format, colour, **more) for format in ("JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF")),
        *(_written(format, colour) for format in ("GIF", "BMP", "PPM", "JXL")),
        _written("JXL", colour, use_container=True, exif=exif.tobytes()),
        _written(
            "JPEG", colour, progressive=True, xmp=b'<x xmlns:h="http://ns.adobe.com/hdr-gain-map/1.0/"/>'
        ),
        _written("JPEG", colour.convert("CMYK")),
        _written("PNG", deep),
        _written("PNG", colour.quantize(8), transparency=1),
        _written("TIFF", deep),
        _written("TIFF", Image.fromarray(np.asarray(deep, np.float32))),
        _written("TIFF", colour, compression="tiff_lzw"),
        _written("WEBP", colour, lossless=True),
        _written("GIF", colour, save_all=True, append_images=[colour.rotate(90)]),
    ]


ORIGINALS = _originals()


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A picture file with bytes changed, taken out, put in, repeated, cut off, or joined to another's."""
    data = bytearray(draw(st.sampled_from(ORIGINALS)))
    for _ in range(draw(st.integers(0, 8))):
        near = draw(st.booleans())  # to the beginning, where the headers are
        at = draw(st.integers(0, min(len(data), 200) if near else len(data)))
        kind = draw(st.sampled_from(("change", "change", "insert", "remove", "repeat", "cut", "join")))
        if kind == "change":
            new = draw(st.binary(min_size=1, max_size=4))
            data[at : at + len(new)] = new
        elif kind == "insert":
            data[at:at] = draw(st.binary(max_size=16))
        elif kind == "remove":
            del data[at : at + draw(st.integers(1, 32))]
        elif kind == "repeat":
            data[at:at] = data[at : at + 64]
        elif kind == "cut":
            del data[at:]
        else:
            data[at:] = draw(st.sampled_from(ORIGINALS))[at:]
    return bytes(data)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("broken") / "photo"


@pytest.mark.slow
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="VEIL_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=broken())
def test_broken_files_are_read_or_refused(place: Path, data: bytes) -> None:
    place.write_bytes(data)
    _read_or_refused(place)


def _read_or_refused(path: Path) -> Photo | None:
    try:
        photo = open_photo(path)
    except VeilError:
        return None
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.ndim == 3
    assert photo.pixels.shape[2] == 3
    assert photo.alpha is None or photo.alpha.shape == photo.pixels.shape[:2]
    return photo


@pytest.mark.parametrize("data", ORIGINALS, ids=range(len(ORIGINALS)))
def test_the_files_that_are_broken_are_whole_at_first(place: Path, data: bytes) -> None:
    place.write_bytes(data)
    photo = _read_or_refused(place)
    assert photo
    assert sorted(photo.size) == [40, 56]


def test_a_file_that_claims_to_be_huge_is_refused_before_it_is_decoded(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for data in ORIGINALS:
        place.write_bytes(data)
        with monkeypatch.context() as patch:
            patch.setattr(images, "NEED", 10**15)
            with pytest.raises(VeilError, match="million pixels"):
                open_photo(place)
