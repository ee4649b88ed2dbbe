"""A photo goes out in the format it came in, at about its size; what is announced is there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image, ImageCms
from skimage.data import astronaut

from veil.core import images
from veil.core.errors import BadPhoto
from veil.core.images import open_photo
from veil.core.pillow import register_plugins
from veil.core.types import Pixels
from veil.core.writing import save_photo, suffix

register_plugins()

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, ARTIST = 0x0112, 0x013B
UPRIGHT = astronaut()[:240, 80:400]


def saved(path: Path, pixels: Pixels = UPRIGHT, **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def again(source: Path, folder: Path, **options: Any) -> Path:
    """A photo opened and saved in its own format."""
    photo = open_photo(source)
    path = folder / f"again{suffix(photo, 'keep')}"
    save_photo(photo, path, **options)
    return path


@pytest.mark.parametrize("quality", [40, 75, 95])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_jpeg_keeps_its_tables_and_size(tmp_path: Path, quality: int, subsampling: int) -> None:
    source = saved(tmp_path / "a.jpg", quality=quality, subsampling=subsampling)
    path = again(source, tmp_path)
    with Image.open(source) as before, Image.open(path) as after:
        assert after.quantization == before.quantization
        assert [layer[1:3] for layer in after.layer] == [layer[1:3] for layer in before.layer]
    assert 0.8 < path.stat().st_size / source.stat().st_size < 1.1
    difference = open_photo(path).pixels.astype(int) - open_photo(source).pixels
    assert np.abs(difference).mean() < 1


@pytest.mark.parametrize("name", ["a.webp", "a.avif", "a.heic"])
@pytest.mark.parametrize("quality", [50, 80])
def test_other_lossy_formats_keep_about_their_size(tmp_path: Path, name: str, quality: int) -> None:
    source = saved(tmp_path / name, quality=quality)
    path = again(source, tmp_path)
    assert path.suffix == source.suffix
    assert 0.9 < path.stat().st_size / source.stat().st_size < 1.5
    smaller = again(source, tmp_path, quality=10)
    assert smaller.stat().st_size < 0.7 * source.stat().st_size


def test_large_photos_are_sampled_to_find_their_quality(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = saved(tmp_path / "a.webp", astronaut(), quality=75)
    whole = again(source, tmp_path).stat().st_size
    monkeypatch.setattr("veil.core.writing.SAMPLE", 65_000)
    assert 0.8 < again(source, tmp_path).stat().st_size / whole < 1.25


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_exact_formats_stay_exact(tmp_path: Path, name: str) -> None:
    options = {"lossless": True, "exact": True} if name == "a.webp" else {}
    path = again(saved(tmp_path / name, **options), tmp_path)
    np.testing.assert_array_equal(open_photo(path).pixels, UPRIGHT)


@pytest.mark.parametrize("name", ["a.heic", "a.avif", "a.jxl", "a.tiff"])
def test_phones_files_come_upright_in_their_colours(tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[ARTIST] = 6, "private-author"
    turned = UPRIGHT if name == "a.jxl" else np.ascontiguousarray(np.rot90(UPRIGHT))  # its decoder turns
    source = saved(tmp_path / name, turned, exif=exif.tobytes(), icc_profile=SRGB)
    photo = open_photo(source)
    assert photo.size == (320, 240)
    assert np.abs(photo.pixels.astype(int) - UPRIGHT).mean() < 8
    if name != "a.jxl":  # Pillow's plugin writes its own profile
        assert photo.icc == SRGB
    path = again(source, tmp_path)
    assert b"private-author" not in path.read_bytes()
    assert open_photo(path).size == (320, 240)
    path = again(source, tmp_path, keep_metadata=True)
    assert b"private-author" in path.read_bytes()
    assert open_photo(path).size == (320, 240)


def turned_away(pixels: Pixels, orientation: int) -> Pixels:
    """What a camera stores that says by `orientation` how it is to be turned and mirrored."""
    quarters, mirrored = {
        1: (0, 0),
        2: (0, 1),
        3: (2, 0),
        4: (2, 1),
        5: (3, 1),
        6: (1, 0),
        7: (1, 1),
        8: (3, 0),
    }[orientation]
    stored = np.rot90(pixels, quarters)
    return np.ascontiguousarray(stored[:, ::-1] if mirrored else stored)


@pytest.mark.slow
@pytest.mark.parametrize("exif_says_it_too", [True, False])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_heic_is_turned_once_by_its_boxes(tmp_path: Path, orientation: int, exif_says_it_too: bool) -> None:
    """Its boxes irot and imir count (ISO/IEC 23008-12); EXIF may say the same, as iPhones do, or nothing."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    source = saved(tmp_path / "a.heic", turned_away(UPRIGHT, orientation), exif=exif.tobytes(), quality=90)
    data = source.read_bytes()
    assert (b"irot" in data, b"imir" in data) == (orientation not in (2, 4), orientation in (2, 4, 5, 7))
    says, nothing = (b"\x01\x12\0\x03\0\0\0\x01\0" + bytes([number]) for number in (orientation, 1))
    assert data.count(says) == 1
    source.write_bytes(data if exif_says_it_too else data.replace(says, nothing))
    for path in (source, again(source, tmp_path), again(source, tmp_path, keep_metadata=True)):
        photo = open_photo(path)
        assert photo.size == (320, 240)
        assert np.abs(photo.pixels.astype(int) - UPRIGHT).mean() < 8
    assert b"irot" not in path.read_bytes()


def test_exif_alone_turns_no_heic(tmp_path: Path) -> None:
    """As the standard has it, and as phones show such files."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    source = saved(tmp_path / "a.heic", exif=exif.tobytes(), quality=90)
    data = bytearray(source.read_bytes())
    turn = data.index(b"irot") + 4
    assert data[turn] == 3
    data[turn] = 0
    source.write_bytes(data)
    assert np.abs(open_photo(source).pixels.astype(int) - UPRIGHT).mean() < 8


@pytest.mark.parametrize("name", ["a.heic", "a.avif", "a.webp", "a.jpg", "a.png"])
def test_transparency_and_grey_are_written_where_the_format_can(tmp_path: Path, name: str) -> None:
    Image.fromarray(UPRIGHT[..., 0]).save(tmp_path / name)
    pixels = open_photo(again(tmp_path / name, tmp_path)).pixels.astype(int)
    assert np.abs(np.diff(pixels)).max() <= (4 if name == "a.webp" else 0)  # it has no grey
    if name != "a.jpg":
        layers = np.dstack([UPRIGHT, UPRIGHT[..., 1]])
        Image.fromarray(layers).save(tmp_path / name)
        photo = open_photo(again(tmp_path / name, tmp_path))
        assert photo.alpha is not None
        assert np.abs(photo.alpha.astype(int) - layers[..., 3]).mean() < 8


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("colour", [True, False])
def test_deep_tiffs_are_not_black(tmp_path: Path, bits: int, colour: bool) -> None:
    pixels = UPRIGHT if colour else UPRIGHT[..., 1]
    deep = np.round(pixels / 255 * (2**bits - 1)).astype(np.uint16)
    tags = [(ORIENTATION, "H", 1, 3, True)]
    tifffile.imwrite(
        tmp_path / "a.tif", np.rot90(deep, 2), photometric="rgb" if colour else None, extratags=tags
    )
    photo = open_photo(tmp_path / "a.tif")
    assert photo.grey != colour
    np.testing.assert_array_equal(photo.pixels, UPRIGHT if colour else np.dstack([pixels] * 3))
    assert suffix(photo, "keep") == ".png"


@pytest.mark.parametrize("white", [1, 255, 65535])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_floating_point_tiffs_are_read(tmp_path: Path, white: int, planar: str) -> None:
    values = (UPRIGHT / 255 * white).astype(np.float32)
    values[0, 0] = np.nan, np.inf, 3 * white  # what is brighter than white is cut
    laid = values if planar == "contig" else np.moveaxis(values, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", laid, photometric="rgb", planarconfig=planar, iccprofile=SRGB)
    photo = open_photo(tmp_path / "a.tif")
    np.testing.assert_array_equal(photo.pixels[1:], UPRIGHT[1:])
    np.testing.assert_array_equal(photo.pixels[0, 0], (0, 255, 255))
    assert photo.icc == SRGB


GAIN_MAP = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"
 xmlns:Container="http://ns.google.com/photos/1.0/container/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:Item="http://ns.google.com/photos/1.0/container/item/" dc:source="private-source">
<Container:Directory><rdf:Seq><rdf:li><Container:Item Item:Semantic="GainMap" Item:Length="12345"/></rdf:li>
</rdf:Seq></Container:Directory></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""
MOTION = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1"
 GCamera:MicroVideoOffset="4321" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="private-source"/>
</rdf:RDF></x:xmpmeta>"""
APPLE = MOTION.replace(b"photos/1.0/camera/", b"x").replace(
    b"ns.google.com/x", b"ns.apple.com/HDRGainMap/1.0/"
)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.png", "a.heic"])
@pytest.mark.parametrize(
    ("xmp", "word", "gone"),
    [
        (GAIN_MAP, "The gain map", (b"hdr-gain-map", b"GainMap", b"Container")),
        (MOTION, "The video", (b"MotionPhoto", b"MicroVideo")),
        (APPLE, "The gain map", (b"HDRGainMap",)),
    ],
    ids=["Ultra HDR", "motion photo", "Apple"],
)
def test_kept_metadata_announces_nothing_that_is_gone(
    tmp_path: Path, name: str, xmp: bytes, word: str, gone: tuple[bytes, ...]
) -> None:
    photo = open_photo(saved(tmp_path / "a.jpg", xmp=xmp))
    assert any(warning.startswith(word) for warning in photo.warnings)
    save_photo(photo, tmp_path / f"b{name}", keep_metadata=True)
    data = (tmp_path / f"b{name}").read_bytes()
    assert b"private-source" in data
    for words in gone:
        assert words not in data
    assert open_photo(tmp_path / f"b{name}").warnings == ()


def test_xmp_that_declares_entities_is_dropped(tmp_path: Path) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + GAIN_MAP.partition(b"?>")[2]
    assert "xmp" not in open_photo(saved(tmp_path / "a.jpg", xmp=bomb)).metadata


def test_a_video_behind_the_picture_is_named_and_not_written(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.jpg")
    source.write_bytes(source.read_bytes() + b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + b"private-video" * 9)
    assert "The video in a.jpg" in open_photo(source).warnings[0]
    assert b"private-video" not in again(source, tmp_path, keep_metadata=True).read_bytes()


def test_the_pictures_beside_the_picture_in_a_heic_are_not_written(tmp_path: Path) -> None:
    file = pillow_heif.from_pillow(Image.fromarray(UPRIGHT))
    file.add_from_pillow(Image.fromarray(255 - UPRIGHT))
    file.save(tmp_path / "a.heic", quality=90)
    photo = open_photo(tmp_path / "a.heic")
    assert np.abs(photo.pixels.astype(int) - UPRIGHT).mean() < 8
    assert "Of the 2 pictures" in photo.warnings[0]
    assert open_photo(again(tmp_path / "a.heic", tmp_path)).warnings == ()


def test_metadata_that_a_jpeg_cannot_hold_does_not_lose_the_photo(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ARTIST] = "a" * 70_000
    photo = open_photo(saved(tmp_path / "a.png", exif=exif))
    save_photo(photo, tmp_path / "b.jpg", keep_metadata=True)
    assert open_photo(tmp_path / "b.jpg").size == photo.size


@pytest.mark.slow
def test_a_large_photo_is_opened_where_memory_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ninety million pixels, more than Pillow's own bound lets through without a word."""
    Image.new("L", (10_000, 9_000)).save(tmp_path / "a.png")
    assert open_photo(tmp_path / "a.png").size == (10_000, 9_000)
    monkeypatch.setattr(images, "BYTES_PER_PIXEL", 10**15)
    with pytest.raises(BadPhoto, match="90 million pixels, which take"):
        open_photo(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.jxl", "a.heic", "a.avif", "a.jpg"])
def test_a_size_is_told_by_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Of a JPEG XL too, which Pillow decodes as soon as it opens it: a page must know before."""
    source = saved(tmp_path / name)
    monkeypatch.setattr("pillow_jxl.JpegXLImagePlugin.Decoder", None)
    assert images.size_of(source) == (320, 240)


def test_threads_that_open_photos_do_not_lift_each_others_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow's limit belongs to the process: of two threads, one put back what the other had set."""
    limit = Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr(images, "BYTES_PER_PIXEL", 10**6)
    small, bomb, passed = saved(tmp_path / "a.png", UPRIGHT[:8, :8]), tmp_path / "b.ppm", list[str]()
    bomb.write_bytes(b"P5 300000 300000 255\n")

    def opening() -> None:
        for _ in range(200):
            open_photo(small)
            try:
                open_photo(bomb)
            except BadPhoto as error:
                if "million pixels" not in error.message:
                    passed.append(error.message)

    threads = [threading.Thread(target=opening) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed == []
    assert limit == Image.MAX_IMAGE_PIXELS  # other users of Pillow in this process have theirs again


def test_to_import_veil_changes_nothing_in_pillow() -> None:
    code = (
        "import warnings, numpy, psutil, tifffile; from PIL import Image; Image.init()\n"
        "def state(): return Image.MAX_IMAGE_PIXELS, [*Image.OPEN], [*Image.SAVE], [*warnings.filters]\n"
        "before = state(); import veil.core.images, veil.core.writing; assert state() == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_that_are_not_text_are_told_as_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"bad\xff\xfe.png")
    buffer = BytesIO()
    Image.fromarray(UPRIGHT).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())
    assert open_photo(path).name == "bad\\xff\\xfe.png"
    path.write_bytes(b"hello")
    with pytest.raises(BadPhoto) as error:
        open_photo(path)
    assert error.value.message.encode()
