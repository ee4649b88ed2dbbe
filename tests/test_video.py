"""Clips: pictures, times, sound and subtitles come through; places, times and makers do not."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from veil.core.errors import BadClip, BadPhoto, UnknownName, VeilError
from veil.core.types import Pixels
from veil.core.video import Clip, open_clip
from veil.core.video_joining import check_sound, join
from veil.core.video_writing import codec_for, encode, result_ending, rewrite

av = pytest.importorskip("av")
CLIPS = Path(__file__).parents[1] / "../shared/clips"
PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"meta", b"edts", b"ilst", b"dinf"}
EXAMPLES = int(os.environ.get("VEIL_EXAMPLES", "150"))


def atoms(data: bytes, path: str = "") -> Iterator[tuple[str, bytes]]:
    """The atoms of an MP4 or QuickTime file, with where they lie."""
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if length == 1:
            (length,), header = struct.unpack_from(">Q", data, at + 8), 16
        length = length or len(data) - at
        assert length >= header
        body = data[at + header : at + length]
        here = f"{path}/{kind.decode('latin-1')}"
        yield here, body
        if kind in PARENTS:
            full = kind == b"meta" and body[4:8] != b"hdlr"
            yield from atoms(body[4:] if full else body, here)
        at += length


def copied(path: Path) -> dict[int, tuple[str, list[tuple[Fraction, bytes]]]]:
    """The packets of sound and subtitles by stream, with their times in seconds."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type in ("audio", "subtitle")]
        found: Any = {stream.index: (stream.type, list[Any]()) for stream in streams}
        for packet in container.demux(streams) if streams else ():
            if packet.size:
                found[packet.stream_index][1].append((packet.pts * packet.time_base, bytes(packet)))
        return found


def shown(clip: Clip) -> list[Fraction]:
    """When pictures are shown, in seconds."""
    return [int(time) * clip.time_base for time in clip.times]


def noise(one: Pixels, other: Pixels) -> float:
    """The root mean square of a difference, of 255."""
    return float(np.sqrt(np.mean((one.astype(float) - other) ** 2)))


def drawn(number: int, size: tuple[int, int] = (192, 192)) -> Pixels:
    from skimage.data import astronaut

    wide, high = size
    return astronaut()[number : number + high, 130 + 2 * number :][:, :wide]


def test_pictures_come_upright_by_their_numbers(film: Any, tmp_path: Path) -> None:
    clip = open_clip(film(tmp_path / "a.mp4"))
    assert (clip.size, clip.count, clip.rate, clip.codec) == ((192, 192), 12, 30, "h264")
    assert clip.seconds == pytest.approx(0.4)
    assert clip.time(3) == pytest.approx(0.1)
    whole = dict(clip.frames())
    assert list(whole) == list(range(12))
    for number, pixels in whole.items():
        assert pixels.dtype == np.uint8
        assert noise(pixels, drawn(number)) < 8
    some = dict(clip.frames(7, 9))
    assert list(some) == [7, 8]
    assert all((some[number] == whole[number]).all() for number in some)
    assert [number for number, _ in clip.chosen([9, 2, 2, 5])] == [2, 5, 9]


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_a_turned_clip_is_turned_upright_and_stays_so(film: Any, tmp_path: Path, degrees: int) -> None:
    source = film(tmp_path / "a.mp4", rotation=degrees, size=(160, 96), times=(0, 512, 1024))
    with av.open(str(source)) as container:
        assert next(container.decode(video=0)).rotation % 360 == degrees % 360
    clip = open_clip(source)
    assert clip.size == ((160, 96) if degrees == 180 else (96, 160))
    upright = np.rot90(drawn(0, (160, 96)), degrees // 90)
    assert noise(next(clip.frames())[1], upright) < 8
    rewrite(clip, tmp_path / "b.mp4", clip.frames())
    assert noise(next(open_clip(tmp_path / "b.mp4").frames())[1], upright) < 9


TIMES = (0, 512, 1000, 1007, 4096, 4097, 5555, 9000, 15360, 15872)


@pytest.mark.parametrize(
    ("ending", "how"),
    [
        (".mp4", {"times": TIMES, "sound": 0.0}),
        (".mp4", {"times": tuple(time + 3333 for time in TIMES), "sound": 0.0}),
        (".mov", {"sound": 0.25, "sound_first": True, "subtitles": True}),
        (".mp4", {"sound": 0.25, "subtitles": True, "unit": Fraction(1, 90000), "times": (0, 3003, 6006)}),
        (".mkv", {"sound": 0.25, "subtitles": True, "unit": Fraction(1, 1000), "times": (0, 33, 67, 99)}),
        (".webm", {"encoder": "libvpx-vp9", "unit": Fraction(1, 1000), "times": (0, 33, 67, 99)}),
        (".mp4", {"times": tuple(range(0, 24 * 64, 64)), "sound": 0.0}),  # 240 pictures a second
        (".mp4", {"times": (0,)}),
    ],
)
def test_times_and_sound_stay_exactly(film: Any, tmp_path: Path, ending: str, how: dict[str, Any]) -> None:
    source, result = film(tmp_path / f"a{ending}", **how), tmp_path / f"b{ending}"
    clip = open_clip(source)
    assert rewrite(clip, result, clip.frames()) == ()
    after = open_clip(result)
    assert shown(after) == shown(clip)
    assert len(shown(clip)) == len(how.get("times", range(12)))
    assert after.seconds == clip.seconds > 0
    assert clip.cover is None
    assert (after.codec, after.size, after.colours) == (clip.codec, clip.size, clip.colours)
    assert copied(result) == copied(source)
    assert len(copied(result)) == ("sound" in how) + ("subtitles" in how)
    for (_, one), (_, other) in zip(clip.frames(), after.frames(), strict=True):
        assert noise(one, other) < 7


def test_segments_are_joined_as_if_they_were_one(film: Any, tmp_path: Path) -> None:
    clip = open_clip(film(tmp_path / "a.mp4", times=tuple(time + 3333 for time in TIMES), sound=0.0))
    segments = [tmp_path / f"{start}.nut" for start in (0, 4, 5)]
    for segment, (start, stop) in zip(segments, ((0, 4), (4, 5), (5, 10)), strict=True):
        encode(clip, clip.frames(start, stop), segment, "h264", 10)
    join(clip, segments, tmp_path / "b.mp4")
    after = open_clip(tmp_path / "b.mp4")
    assert shown(after) == shown(clip)
    assert copied(tmp_path / "b.mp4") == copied(clip.path)
    for (_, one), (_, other) in zip(clip.frames(), after.frames(), strict=True):
        assert noise(one, other) < 3


def test_what_tells_of_the_maker_is_gone_from_every_atom(film: Any, tmp_path: Path) -> None:
    tags = {"location": "+41.9000+012.5000/", "title": "mine", "make": "Acme", "comment": "home"}
    tags |= {"creation_time": "2020-02-03T04:05:06Z", "artist": "somebody"}
    for name in ("a.mp4", "a.mov", "a.mkv", "a.webm"):
        how: dict[str, Any] = {"encoder": "libvpx-vp9"} if name == "a.webm" else {"sound": 0.0}
        source, result = film(tmp_path / name, tags=tags, **how), tmp_path / f"b-{name}"
        before = source.read_bytes()
        assert b"Lavf" in before
        assert any(mark in before for mark in (b"loci", b"\xa9xyz", b"LOCATION"))
        clip = open_clip(source)
        rewrite(clip, result, clip.frames())
        after = result.read_bytes()
        for mark in (b"x264", b"Lav", b"mine", b"Acme", b"home", b"somebody", b"loci", b"2020-"):
            assert mark not in after
        with av.open(str(result)) as container:
            told = container.metadata | {k: v for one in container.streams for k, v in one.metadata.items()}
        named = {"major_brand", "minor_version", "compatible_brands", "language", "handler_name", "vendor_id"}
        assert set(told) <= named | {"DURATION", "encoder"}
        assert not told.get("encoder")
        if name in ("a.mp4", "a.mov"):
            _check_atoms(result)


def _check_atoms(path: Path) -> None:
    """No place, no time, no unknown atom in an MP4 or QuickTime file."""
    found = list(atoms(path.read_bytes()))
    kinds = {where.rpartition("/")[2] for where, _ in found}
    known = "ftyp moov free mdat mvhd trak tkhd edts elst mdia mdhd hdlr minf vmhd smhd dinf dref stbl"
    known += " stsd stts stss ctts stsc stsz stco sgpd sbgp udta meta ilst wide nmhd gmhd"
    assert kinds <= set(known.split())
    for where, body in found:
        kind = where.rpartition("/")[2]
        if kind in ("mvhd", "tkhd", "mdhd"):
            wide = body[0] == 1
            assert body[4 : 4 + (16 if wide else 8)] == bytes(16 if wide else 8)  # made, and changed, never
        if kind == "ilst":
            assert body == b""
        if kind == "elst":
            assert len(body) > 8


def test_the_binary_place_of_a_real_clip_is_gone(tmp_path: Path) -> None:
    source = CLIPS / "slovo_signing.mp4"
    if not source.exists():
        pytest.skip("no shared clips here")
    assert any(where.endswith("/loci") for where, _ in atoms(source.read_bytes()))
    clip = open_clip(source)
    rewrite(clip, tmp_path / "b.mp4", clip.frames(0, 3))
    _check_atoms(tmp_path / "b.mp4")


def test_real_clips_keep_their_times_and_their_sound(tmp_path: Path) -> None:
    source = CLIPS / "pyfeat_face_noface.mov"
    if not source.exists():
        pytest.skip("no shared clips here")
    clip = open_clip(source)
    assert len(set(np.diff(clip.times))) > 3  # of variable rate
    blank = np.zeros((*clip.size[::-1], 3), np.uint8)
    rewrite(clip, tmp_path / "b.mov", ((number, blank) for number in range(clip.count)), codec="h264")
    assert shown(open_clip(tmp_path / "b.mov")) == shown(clip)
    assert copied(tmp_path / "b.mov") == copied(source)
    with av.open(str(tmp_path / "b.mov")) as container:
        assert [stream.type for stream in container.streams] == ["audio", "video"]


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_every_codec_takes_odd_sizes(film: Any, tmp_path: Path, codec: str) -> None:
    size = (187, 151)
    clip = open_clip(
        film(tmp_path / "a.mkv", size=size, times=(0, 33, 67), unit=Fraction(1, 1000), encoder="ffv1")
    )
    assert clip.size == size
    rewrite(clip, tmp_path / "b.mkv", clip.frames(), codec=codec)
    after = open_clip(tmp_path / "b.mkv")
    assert (after.size, after.codec) == (size, codec)
    for (_, one), (_, other) in zip(clip.frames(), after.frames(), strict=True):
        assert noise(one, other) < 6


def test_the_quality_can_be_chosen(film: Any, tmp_path: Path) -> None:
    clip = open_clip(film(tmp_path / "a.mp4"))
    bytes_of = list[int]()
    for crf in (10, 23, 35, 99):
        rewrite(clip, tmp_path / f"{crf}.mp4", clip.frames(), crf)
        bytes_of.append((tmp_path / f"{crf}.mp4").stat().st_size)
    assert bytes_of == sorted(bytes_of, reverse=True)
    assert len(set(bytes_of)) == 4


def test_codecs_and_containers_are_kept_where_they_can_be(film: Any, tmp_path: Path) -> None:
    clip = open_clip(film(tmp_path / "a.mp4"))
    assert codec_for(clip, Path("b.mp4")) == "h264"
    assert codec_for(clip, Path("b.webm")) == "vp9"
    assert codec_for(clip, Path("b.mkv"), "av1") == "av1"
    assert [result_ending(Path(name)) for name in ("a.MOV", "a.avi")] == [".mov", ".mkv"]
    with pytest.raises(UnknownName, match="codec"):
        codec_for(clip, Path("b.mp4"), "h263")
    for ending, codec, other in ((".webm", "h264", "vp9 or av1"), (".mov", "vp9", "h264 or hevc")):
        with pytest.raises(BadClip, match=f"does not hold {codec}") as told:
            codec_for(clip, Path(f"b{ending}"), codec)
        assert other in told.value.hint
    loud = open_clip(film(tmp_path / "loud.mp4", sound=0.0))
    check_sound(loud, tmp_path / "b.mkv")
    with pytest.raises(BadClip, match="does not hold the sound"):
        check_sound(loud, tmp_path / "b.webm")
    assert not (tmp_path / "b.webm").exists()
    with pytest.raises(BadClip, match="does not hold the sound"):
        rewrite(loud, tmp_path / "b.webm", loud.frames())


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_cover_art_is_kept(film: Any, tmp_path: Path, ending: str, format: str) -> None:
    clip = open_clip(film(tmp_path / f"a{ending}"))
    assert clip.cover is None
    Image.new("RGB", (64, 48), (200, 30, 30)).save(buffer := BytesIO(), format)
    rewrite(clip, tmp_path / f"b{ending}", clip.frames(), cover=buffer.getvalue())
    after = open_clip(tmp_path / f"b{ending}")
    assert after.cover == buffer.getvalue()
    assert (after.size, after.count) == (clip.size, clip.count)


def test_colours_of_every_kind_come_back(film: Any, tmp_path: Path) -> None:
    for pixel_format in ("yuv420p", "yuv422p", "yuv444p", "yuvj420p"):
        clip = open_clip(film(tmp_path / f"{pixel_format}.mp4", pixel_format=pixel_format, times=(0, 512)))
        rewrite(clip, tmp_path / "b.mp4", clip.frames(), 1)
        after = open_clip(tmp_path / "b.mp4")
        assert (after.chroma, after.colours) == (clip.chroma, clip.colours)
        assert noise(next(clip.frames())[1], next(after.frames())[1]) < 2.5


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_colours_that_a_clip_does_not_name_stay_unnamed(film: Any, tmp_path: Path, codec: str) -> None:
    clip = open_clip(film(tmp_path / "a.mp4", transfer=2, times=(0, 512)))
    rewrite(clip, tmp_path / "b.mp4", clip.frames(), 1, codec)
    with av.open(str(tmp_path / "b.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (2, 2, 2)
    assert frame.color_range == (0 if codec == "h264" else 1)  # others cannot leave it open
    assert noise(next(clip.frames())[1], next(open_clip(tmp_path / "b.mp4").frames())[1]) < 5


def retimed(source: Path, path: Path, times: tuple[int, ...]) -> Path:
    """A clip whose pictures are shown at these times, in milliseconds, as they are stored."""
    with av.open(str(source)) as before, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(before.streams.video[0])
        packets = [packet for packet in before.demux(video=0) if packet.size]
        for packet, time in zip(packets, times, strict=True):
            packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 1000), time, time
            out.mux(packet)
    return path


def test_clips_whose_times_would_lose_pictures_are_refused(film: Any, tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", encoder="mpeg4", times=tuple(range(5)), unit=Fraction(1, 25))
    assert open_clip(retimed(source, tmp_path / "b.mkv", (0, 9, 20, 30, 41))).count == 5
    for times in ((0, 0, 0, 0, 0), (0, 33, 67, 67, 100)):
        with pytest.raises(BadClip, match="when it is shown") as told:
            open_clip(retimed(source, tmp_path / "c.mkv", times))
        assert told.value.hint.endswith(f"ffmpeg -r 25 -i {tmp_path / 'c.mkv'} new.mp4")
    with av.open(str(source)) as before, av.open(str(tmp_path / "e.mp4"), "w") as out:
        stream = out.add_stream_from_template(before.streams.video[0])
        for packet in (one for one in before.demux(video=0) if one.size):
            packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 15360), 0, 0
            out.mux(packet)
    with pytest.raises(BadClip, match="when it is shown") as told:
        open_clip(tmp_path / "e.mp4")
    assert "ffmpeg -r 30 " in told.value.hint  # where the file's own rate follows from the same times
    # an AVI names no times: those of pictures that are stored in another order than they are shown go back
    clip = open_clip(film(tmp_path / "d.avi", times=tuple(range(12)), unit=Fraction(1, 30)))
    with pytest.raises(BadClip, match="when it is shown"):
        list(clip.frames())


@pytest.mark.parametrize(("transfer", "kind"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_refused(film: Any, tmp_path: Path, transfer: int, kind: str) -> None:
    source = film(tmp_path / "a.mp4", pixel_format="yuv420p10le", transfer=transfer, encoder="libx265")
    with pytest.raises(BadClip, match=kind):
        open_clip(source)


def test_ten_bits_of_the_usual_range_become_eight_with_a_word(film: Any, tmp_path: Path) -> None:
    clip = open_clip(film(tmp_path / "a.mp4", pixel_format="yuv420p10le"))
    assert any("10-bit" in note for note in clip.notes)
    assert noise(next(clip.frames())[1], drawn(0)) < 8


def test_what_is_no_clip_is_refused_in_words(film: Any, tmp_path: Path) -> None:
    whole = film(tmp_path / "a.mp4", sound=0.0).read_bytes()
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(whole)
    with av.open(str(tmp_path / "sound.mp4"), "w") as out:
        stream = out.add_stream("aac", 48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate = 48000
        out.mux([*stream.encode(frame), *stream.encode(None)])
    bad = {
        "empty.mp4": b"",
        "words.mp4": b"These are words. " * 100,
        "cut.mp4": whole[: len(whole) // 2],
        "head.mp4": whole[:40],
        "sound.mp4": (tmp_path / "sound.mp4").read_bytes(),
        "list.mp4": f"ffconcat version 1.0\nfile '{secret}'\n".encode(),
        "play.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{secret}\n#EXT-X-ENDLIST\n".encode(),
    }
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadPhoto) as told:
            open_clip(tmp_path / name)
        assert told.value.hint
    with pytest.raises(BadPhoto, match="no file"):
        open_clip(tmp_path / "concat:a.mp4|b.mp4")
    with pytest.raises(BadPhoto, match="is a folder"):
        open_clip(tmp_path)


def test_a_clip_cut_off_behind_its_index_is_incomplete(film: Any, tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")
    found = dict(atoms(source.read_bytes()))
    data, moov = bytearray(source.read_bytes()), found["/moov"]
    # the same file with its index first, as cameras and sites write it, and then cut off
    at = data.index(b"moov") - 4
    shift = len(moov) + 8
    index = bytearray(data[at : at + shift])
    for name in (b"stco",):
        start = index.index(name) + 8
        (count,) = struct.unpack_from(">I", index, start)
        for entry in range(count):
            (offset,) = struct.unpack_from(">I", index, start + 4 + 4 * entry)
            struct.pack_into(">I", index, start + 4 + 4 * entry, offset + shift)
    head = data.index(b"free") - 4 if b"free" in data[:64] else data.index(b"mdat") - 4
    moved = bytes(data[:head] + index + data[head:at])
    (tmp_path / "b.mp4").write_bytes(moved)
    assert open_clip(tmp_path / "b.mp4").count == 12
    (tmp_path / "c.mp4").write_bytes(moved[:-500])
    with pytest.raises(BadClip, match="incomplete"):
        open_clip(tmp_path / "c.mp4")


def test_a_clip_of_huge_pictures_is_refused_before_they_are_decoded(
    film: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from veil.core import video

    source = film(tmp_path / "a.mp4")
    monkeypatch.setattr(video, "BYTES_PER_PIXEL", 10**15)
    with pytest.raises(BadClip, match="GB of memory"):
        open_clip(source)


def test_names_of_any_bytes_and_names_like_addresses(film: Any, tmp_path: Path) -> None:
    data = film(tmp_path / "a.mp4").read_bytes()
    for name in (b"caf\xe9.mp4", b"concat:x|y.mp4", b"-o.mp4", "日本 %d.mp4".encode()):
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(data)
        clip = open_clip(path)
        result = tmp_path / ("b-" + os.fsdecode(name))
        rewrite(clip, result, clip.frames())
        assert open_clip(result).count == 12


@st.composite
def broken(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """A clip with bytes changed, taken out, put in, or cut off."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(("change", "change", "insert", "remove", "repeat", "cut")))
        if kind == "change":
            new = draw(st.binary(min_size=1, max_size=4))
            data[at : at + len(new)] = new
        elif kind == "insert":
            data[at:at] = draw(st.binary(max_size=16))
        elif kind == "remove":
            del data[at : at + draw(st.integers(1, 32))]
        elif kind == "repeat":
            data[at:at] = data[at : at + 64]
        else:
            del data[at:]
    return bytes(data)


@pytest.mark.slow
def test_broken_clips_are_read_or_refused(film: Any, tmp_path: Path) -> None:
    small: dict[str, Any] = {"size": (48, 32), "times": (0, 512, 1024), "unit": Fraction(1, 15360)}
    originals = [
        film(tmp_path / "a.mp4", sound=0.0, **small).read_bytes(),
        film(tmp_path / "a.mov", rotation=90, **small).read_bytes(),
        film(tmp_path / "a.mkv", sound=0.0, **small).read_bytes(),
        film(tmp_path / "a.webm", encoder="libvpx-vp9", **small).read_bytes(),
        film(tmp_path / "a.avi", encoder="mpeg4", **small).read_bytes(),
    ]
    place, result = tmp_path / "broken.mp4", tmp_path / "result.mkv"
    whole = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize="VEIL_EXAMPLES" not in os.environ,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=broken(originals))
    def read_or_refused(data: bytes) -> None:
        nonlocal whole
        place.write_bytes(data)
        try:
            clip = open_clip(place)
            rewrite(clip, result, clip.frames())
        except VeilError:
            return
        finally:
            result.unlink(missing_ok=True)
        whole += 1

    read_or_refused()
    assert whole  # some are harmless
