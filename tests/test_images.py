"""Photographs come in upright whatever the file, and go out with nothing but their pixels."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from veil.core.errors import BadPhoto
from veil.core.files import atomic_write, check_writable
from veil.core.images import open_photo, to_pixels, to_tensor
from veil.core.types import Photo, Pixels
from veil.core.writing import save_photo

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, ARTIST, EXIF, GPS, COMMENT, MAKER_NOTE = 0x0112, 0x013B, 0x8769, 0x8825, 0x9286, 0x927C
STORED: dict[int, Callable[[Pixels], Pixels]] = {  # what a camera stores to show the upright picture
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>private-xmp</a>%s</x:xmpmeta>'


def picture(high: int = 48, wide: int = 64) -> Pixels:
    """A smooth picture without symmetry, which survives JPEG well."""
    rows, columns = np.mgrid[:high, :wide]
    return np.stack([rows * 4, columns * 3, rows + 2 * columns], axis=-1).astype(np.uint8)


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def secrets(thumbnail: bytes) -> Image.Exif:
    """EXIF with a place, an author, a comment and maker's notes that hide a thumbnail."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[ARTIST] = "private-author"
    exif[EXIF] = {COMMENT: b"ASCII\0\0\0private-comment", MAKER_NOTE: thumbnail}
    exif[GPS] = {1: "N", 2: (47.0, 22.0, 33.0), 0x1D: "private-gps"}
    return exif


@pytest.fixture
def jpeg_with_secrets(tmp_path: Path) -> Path:
    thumbnail = BytesIO()
    Image.fromarray(picture(16, 16)).save(thumbnail, "JPEG")
    return saved(
        tmp_path / "secret.jpg",
        Image.fromarray(picture()),
        exif=secrets(thumbnail.getvalue()),
        xmp=XMP % b'<b tiff:Orientation="6"/>',
        comment=b"private-jpeg-comment",
        icc_profile=SRGB,
    )


@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_gives_the_same_upright_pixels(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = np.ascontiguousarray(STORED[orientation](picture()))
    photo = open_photo(saved(tmp_path / "turned.png", Image.fromarray(stored), exif=exif))
    np.testing.assert_array_equal(photo.pixels, picture())


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_lossless_formats_return_the_same_photo(tmp_path: Path, name: str) -> None:
    alpha = picture()[..., 2] | 1
    save_photo(Photo(picture(), name, alpha=alpha, icc=SRGB), tmp_path / name)
    photo = open_photo(tmp_path / name)
    np.testing.assert_array_equal(photo.pixels, picture())
    np.testing.assert_array_equal(photo.alpha, alpha)
    assert photo.icc == SRGB
    assert photo.warnings == ()


def test_jpeg_keeps_colour_at_full_resolution_and_lays_transparency_on_white(tmp_path: Path) -> None:
    alpha = np.full((48, 64), 255, np.uint8)
    alpha[:16, :16] = 0
    save_photo(Photo(picture(), "a", alpha=alpha), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
    photo = open_photo(tmp_path / "a.jpg")
    assert photo.pixels[:8, :8].min() > 250
    assert np.abs(photo.pixels[24:].astype(int) - picture()[24:]).mean() < 1


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.avif", "a.heic"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_was_cut_out_does_not_come_back(tmp_path: Path, name: str, mode: str) -> None:
    """Colours under full transparency go when a photo is opened, with a word, and when it is written."""
    layers = np.dstack([picture(), np.full((48, 64), 255, np.uint8)])
    layers[:16, :, 3] = 0
    photo = open_photo(saved(tmp_path / "cut.png", Image.fromarray(layers).convert(mode)))
    assert "What is fully transparent in cut.png has lost its colours" in " ".join(photo.warnings)
    assert (photo.pixels[:16] == 255).all()
    touched = photo.with_pixels(picture())
    save_photo(touched, tmp_path / name)
    with Image.open(tmp_path / name) as written:
        bare, alpha = np.asarray(written.convert("RGB")), np.asarray(written.getchannel("A"))
    assert alpha[:8].max() == 0
    assert bare[:8].min() >= (255 if name in ("a.png", "a.webp") else 250)
    assert np.ptp(bare[20:]) > 100
    if name in ("a.png", "a.webp"):  # nothing is lost by opening it once more
        assert open_photo(tmp_path / name).warnings == ()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_grey_stays_grey(tmp_path: Path, name: str) -> None:
    photo = open_photo(saved(tmp_path / "grey.png", Image.fromarray(picture()[..., 1])))
    assert photo.grey
    assert photo.pixels.shape == (48, 64, 3)
    save_photo(photo, tmp_path / name)
    again = open_photo(tmp_path / name)
    assert again.grey == (name != "a.webp")  # WebP has no grey
    assert np.abs(again.pixels.astype(int) - photo.pixels).max() <= (6 if name == "a.jpg" else 0)


def test_grey_with_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(np.ascontiguousarray(picture()[..., :2] | np.uint8([0, 1])), "LA")
    photo = open_photo(saved(tmp_path / "a.png", image))
    assert photo.grey
    save_photo(photo, tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as written:
        np.testing.assert_array_equal(np.asarray(written), np.asarray(image))


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    deep = picture()[..., 1].astype(np.uint16) * 257
    photo = open_photo(saved(tmp_path / "deep.png", Image.fromarray(deep)))
    np.testing.assert_array_equal(photo.pixels[..., 0], picture()[..., 1])


def test_cmyk_goes_through_its_profile_and_survives_without_one(tmp_path: Path) -> None:
    cmyk = Image.fromarray(picture()).convert("CMYK")
    plain = open_photo(saved(tmp_path / "plain.jpg", cmyk, quality=95))
    odd = open_photo(saved(tmp_path / "odd.jpg", cmyk, quality=95, icc_profile=b"no profile at all"))
    assert np.abs(plain.pixels.astype(int) - picture()).mean() < 6
    np.testing.assert_array_equal(plain.pixels, odd.pixels)
    assert plain.icc is None
    assert odd.icc is None


def test_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    palette = Image.fromarray(picture()).quantize(16)
    photo = open_photo(saved(tmp_path / "a.png", palette, transparency=3))
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha == 0, np.asarray(palette) == 3)


def test_only_the_first_picture_of_an_animation_is_read(tmp_path: Path) -> None:
    first, second = Image.fromarray(picture()), Image.fromarray(255 - picture())
    photo = open_photo(
        saved(tmp_path / "a.webp", first, save_all=True, append_images=[second], lossless=True)
    )
    np.testing.assert_array_equal(photo.pixels, picture())
    assert "Of the 2 pictures" in photo.warnings[0]


def test_a_profile_of_another_colour_space_is_left_out(tmp_path: Path) -> None:
    grey_profile = SRGB[:16] + b"GRAY" + SRGB[20:]
    save_photo(Photo(picture(), "a", icc=grey_profile), tmp_path / "a.png")
    assert open_photo(tmp_path / "a.png").icc is None


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_metadata_is_gone(tmp_path: Path, jpeg_with_secrets: Path, name: str) -> None:
    photo = open_photo(jpeg_with_secrets)
    assert photo.size == (48, 64)
    save_photo(photo, tmp_path / name)
    assert b"private" not in (tmp_path / name).read_bytes()
    with Image.open(tmp_path / name) as image:
        assert not image.getexif()
        assert set(image.info) <= {"icc_profile", "jfif", "jfif_version", "jfif_unit", "jfif_density"} | {
            *("background", "loop", "timestamp", "duration", "gamma")
        }
        assert image.info["icc_profile"] == SRGB


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_kept_metadata_is_upright_and_hides_no_picture(
    tmp_path: Path, jpeg_with_secrets: Path, name: str
) -> None:
    save_photo(open_photo(jpeg_with_secrets), tmp_path / name, keep_metadata=True)
    data = (tmp_path / name).read_bytes()
    for secret in (b"private-author", b"private-comment", b"private-gps", b"private-xmp"):
        assert secret in data
    assert (b"private-jpeg-comment" in data) == (name != "a.webp")
    assert b"JFIF" not in data[20:]  # neither in the maker's notes nor as a thumbnail
    assert b"tiff:Orientation" not in data
    with Image.open(tmp_path / name) as image:
        assert image.getexif()[ORIENTATION] == 1
        assert not image.getexif().get_ifd(1)
    assert open_photo(tmp_path / name).size == (48, 64)


def test_png_texts_and_pictures_in_xmp(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "private-author")
    texts.add_text("comment", "as ImageMagick calls it")
    texts.add_itxt("XML:com.adobe.xmp", (XMP % b"<xmpGImg:image>face</xmpGImg:image>").decode())
    photo = open_photo(saved(tmp_path / "a.png", Image.fromarray(picture()), pnginfo=texts))
    save_photo(photo, tmp_path / "b.png")
    assert b"private" not in (tmp_path / "b.png").read_bytes()
    save_photo(photo, tmp_path / "c.png", keep_metadata=True)
    assert b"private-author" in (tmp_path / "c.png").read_bytes()
    assert b"xmpGImg" not in (tmp_path / "c.png").read_bytes()


def test_an_embedded_thumbnail_is_dropped(tmp_path: Path) -> None:
    """EXIF written by hand: Pillow writes no thumbnail directory."""
    directory = b"\0\x01\x01\x12\0\x03\0\0\0\x01\0\x01\0\0"  # one entry: orientation 1
    thumbnails = b"\0\x02\x02\x01\0\x04\0\0\0\x01\0\0\0\x38\x02\x02\0\x04\0\0\0\x01\0\0\0\x0a\0\0\0\0"
    exif = b"Exif\0\0MM\0\x2a\0\0\0\x08" + directory + b"\0\0\0\x1a" + thumbnails + b"\xff\xd8old-face"
    path = saved(tmp_path / "a.jpg", Image.fromarray(picture()), exif=exif)
    assert b"old-face" in path.read_bytes()
    save_photo(open_photo(path), tmp_path / "b.jpg", keep_metadata=True)
    assert b"old-face" not in (tmp_path / "b.jpg").read_bytes()


def _bomb(path: Path) -> None:
    path.write_bytes(b"P5 300000 300000 255\n")


def _truncated(path: Path) -> None:
    data = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(data, "JPEG")
    path.write_bytes(data.getvalue()[:-900])


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "There is no file"),
    "directory": (lambda path: path.mkdir(), "is a folder"),
    "empty": (lambda path: path.touch(), "zero bytes"),
    "no image": (lambda path: path.write_text("hello"), "not a picture"),
    "truncated": (_truncated, "damaged or incomplete"),
    "bomb": (_bomb, "million pixels"),
    "device": (lambda path: os.mkfifo(path), "is not a file"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files(tmp_path: Path, kind: str) -> None:
    make, message = BAD_FILES[kind]
    make(tmp_path / "photo.jpg")
    with pytest.raises(BadPhoto, match=message) as error:
        open_photo(tmp_path / "photo.jpg")
    assert error.value.hint


def test_an_unknown_ending_and_a_failing_write_leave_nothing(tmp_path: Path) -> None:
    photo = Photo(picture(), "a")
    with pytest.raises(BadPhoto, match="does not write"):
        save_photo(photo, tmp_path / "a.tiff")
    with pytest.raises(BadPhoto, match="cannot be written"):
        save_photo(Photo(np.zeros((1, 17000, 3), np.uint8), "wide"), tmp_path / "a.webp")
    with pytest.raises(BadPhoto, match="cannot be written"):
        save_photo(photo, tmp_path / "no folder" / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_files_written_beside_appear_together_or_not_at_all(tmp_path: Path) -> None:
    paths = tmp_path / "a", tmp_path / "b"

    def write(stop: bool) -> None:
        with atomic_write(*paths) as parts:
            parts[0].write_text("new")
            if stop:
                raise KeyboardInterrupt
            parts[1].write_text("new")

    with pytest.raises(KeyboardInterrupt):
        write(stop=True)
    assert list(tmp_path.iterdir()) == []
    write(stop=False)
    assert sorted(tmp_path.iterdir()) == list(paths)


def test_folders_are_checked_before_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BadPhoto, match="no folder"):
        check_writable(tmp_path / "missing")
    monkeypatch.setattr(os, "mkdir", _refuse)  # as root, nothing is read-only
    with pytest.raises(BadPhoto, match="Nothing can be written"):
        check_writable(tmp_path)


def _refuse(*_: object) -> None:
    raise PermissionError("read-only")


def test_tensors_are_exact_inverses() -> None:
    tensor = to_tensor(picture())
    assert tensor.shape == (1, 3, 48, 64)
    assert 0 <= float(tensor.min()) <= float(tensor.max()) <= 1
    np.testing.assert_array_equal(to_pixels(tensor), picture())
    np.testing.assert_array_equal(to_pixels(tensor + 2), np.full((48, 64, 3), 255))


def test_metadata_that_cannot_be_read_is_not_kept_and_harms_nothing(
    jpeg_with_secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Any:
        raise ValueError

    assert "exif" in open_photo(jpeg_with_secrets).metadata
    monkeypatch.setattr("veil.core.metadata._exif", broken)
    monkeypatch.setattr("veil.core.metadata._described", broken)
    assert not {"exif", "xmp"} & set(open_photo(jpeg_with_secrets).metadata)
