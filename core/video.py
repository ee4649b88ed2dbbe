"""Decode clips, turned upright; `video_writing` writes them.

Whatever a file holds, veil works on 8-bit RGB, one picture at a time. What a camera has written beside
pictures and sound (places, times, its name, readings of sensors) is left behind by never being read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from numpy.typing import NDArray

from .errors import BadClip
from .files import check_file, printable
from .types import Pixels
from .video_streams import (
    Colours,
    Turn,
    changed,
    chroma_of,
    colours_of,
    is_cover,
    left_out,
    opened,
    pictures_of,
    to_rgb,
    turn_of,
)

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer

ENDINGS = frozenset(".mp4 .m4v .mov .mkv .webm .avi .mts .m2ts .mpg .mpeg .wmv .flv .3gp .ogv".split())
BYTES_PER_PIXEL = 180  # of memory, from decoding a picture to encoding it, with those that codecs hold back
LONGEST_GAP = 1.0  # seconds without a picture that can be decoded, in which the one before is shown
RATES = 1, 240  # pictures a second, that a camera may have recorded
HDR = {16: "PQ", 18: "HLG"}  # by the number of the transfer characteristic (ITU-T H.273)


@dataclass(frozen=True)
class Index:
    """What a container says of its pictures, without decoding them.

    times: (N,) when each is shown, in that order; end: when the last ends.
    keys: of those that can be decoded alone, when they are shown, and where to seek them.
    """

    times: NDArray[np.int64]
    end: int
    keys: tuple[tuple[int, int], ...]
    cover: bytes | None


@dataclass(frozen=True, eq=False)
class Clip:
    """A video file, of which no picture is held.

    size: (width, height) of its upright pictures.
    rate: pictures a second, on average.
    times, end: when each of the N pictures is shown, in that order, and when the last ends, in units of
        `time_base` seconds.
    keys: when pictures are shown that can be decoded alone, and where to seek them.
    codec, chroma: how its pictures are encoded ("h264"), and how finely their colours ("420", "422", "444").
    aspect: width to height of one upright pixel.
    cover: the file of the picture that stands for the clip, where it has one.
    notes: what is left out.
    """

    path: Path
    name: str
    size: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    times: NDArray[np.int64] = field(repr=False)
    end: int
    keys: tuple[tuple[int, int], ...] = field(repr=False)
    codec: str
    chroma: str
    turn: Turn
    colours: Colours
    aspect: Fraction = Fraction(1)
    cover: bytes | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many pictures it has."""
        return len(self.times)

    @property
    def seconds(self) -> float:
        """From the first picture to the end of the last."""
        return float(int(self.end - self.times[0]) * self.time_base)

    def time(self, index: int) -> float:
        """When a picture is shown, in seconds from the first."""
        return float(int(self.times[index] - self.times[0]) * self.time_base)

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, Pixels]]:
        """The pictures from `start` to before `stop`, upright (H, W, 3), with their numbers.

        Raises:
            BadClip: a picture cannot be decoded, has another size, or tells no time, or an earlier one.
        """
        stop = self.count if stop is None else min(stop, self.count)
        if start >= stop:
            return
        numbers: dict[int | None, int] = {int(time): number for number, time in enumerate(self.times)}
        with opened(self.path) as container:
            stream = pictures_of(container)
            stream.thread_type = "AUTO"
            if start:
                key = max((one for one in self.keys if one[0] <= self.times[start]), default=self.keys[0])
                container.seek(key[1], stream=stream)
            expected, before, last = start, -1, None
            for frame in container.decode(stream):
                number = numbers.get(frame.pts, -1)
                if number <= before:
                    raise _untimed(self.name, self.rate)
                if number >= expected:
                    yield from self._again(last, expected, min(number, stop))
                    if number >= stop:
                        return
                    yield number, self._pixels(frame, number)
                    expected = number + 1
                before, last = number, frame
            yield from self._again(last, expected, stop)

    def _again(self, last: VideoFrame | None, first: int, stop: int) -> Iterator[tuple[int, Pixels]]:
        """The picture before, as players show it in place of those that are missing or cannot be decoded."""
        if first < stop and (last is None or self.time(stop - 1) - self.time(first) > LONGEST_GAP):
            raise BadClip(
                f"{self.name} cannot be decoded {self.time(first):.1f} s after its beginning.",
                "Copy or download it again.",
            )
        for number in range(first, stop):
            assert last is not None
            yield number, self._pixels(last, number)

    def chosen(self, numbers: Iterable[int]) -> Iterator[tuple[int, Pixels]]:
        """The pictures with these numbers, each once, in the order in which they are shown.

        Raises:
            BadClip: as `frames`.
        """
        wanted = sorted(set(numbers))
        # so many pictures are decoded rather than sought: a key picture is seldom nearer
        near = int(self.rate) + 1
        while wanted:
            run = [wanted.pop(0)]
            while wanted and wanted[0] - run[-1] <= near:
                run.append(wanted.pop(0))
            for number, pixels in self.frames(run[0], run[-1] + 1):
                if number in run:
                    yield number, pixels

    def _pixels(self, frame: VideoFrame, number: int) -> Pixels:
        pixels = self.turn.upright(to_rgb(frame, self.colours))
        if pixels.shape[1::-1] != self.size:
            raise BadClip(
                f"{self.name} changes its size after {self.time(number):.1f} s.",
                "Convert it to one size first.",
            )
        return pixels


def open_clip(path: Path) -> Clip:
    """Look at a video file: how its pictures lie, when they are shown, what cannot be kept.

    Its first picture is decoded, and all of the file is read once.

    Raises:
        BadClip: there is no such file; it is no video, holds no picture, is damaged, incomplete, too large
            for this machine, or of high dynamic range.
        BadSettings: the extra `video` is not installed.
    """
    check_file(path, "clip")
    name, shown = printable(path.name), printable(path)
    with opened(path) as container:
        index = _read_index(shown, path, container)
    with opened(path) as container:
        stream = pictures_of(container)
        _check_size(shown, stream)
        frame = next(container.decode(stream), None)
        if frame is None:
            raise BadClip(f"{shown} holds no picture that can be decoded.", "Copy or download it again.")
        first = index.times[0] if frame.pts is None else frame.pts
        times = index.times[index.times >= first]  # those before need one that is not there
        _check_range(shown, frame)
        turn, straight = turn_of(frame)
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        return Clip(
            path=path,
            name=name,
            size=(frame.height, frame.width) if turn.swap else (frame.width, frame.height),
            rate=_rate(stream, times),
            time_base=Fraction(stream.time_base or 1),
            times=times,
            end=index.end,
            keys=index.keys,
            codec=stream.codec_context.codec.canonical_name,
            chroma=chroma_of(frame),
            turn=turn,
            colours=colours_of(frame),
            aspect=1 / aspect if turn.swap else aspect,
            cover=index.cover,
            notes=(*left_out(name, container, stream), *changed(name, frame, straight)),
        )


def _read_index(name: str, path: Path, container: InputContainer) -> Index:
    """Read all packets of the pictures.

    Raises:
        BadClip: packets are missing, tell no time, or the same.
    """
    stream, shown, cover, count = pictures_of(container), dict[int, int](), None, 0
    keys = list[tuple[int, int]]()
    covers = [one for one in container.streams.video if is_cover(one)][:1]
    size = path.stat().st_size
    incomplete = BadClip(f"{name} is incomplete.", "Copy or download it again.")
    if any(entry.pos + entry.size > size for entry in stream.index_entries):
        raise incomplete
    for packet in container.demux(stream, *covers):
        if packet.stream_index != stream.index:
            cover = cover or bytes(packet) or None
        elif packet.is_corrupt:
            raise incomplete
        elif packet.pts is not None and _is_shown(stream, packet):
            count += 1
            shown[packet.pts] = packet.duration or 0
            if packet.is_keyframe:
                keys.append((packet.pts, min(packet.pts, packet.pts if packet.dts is None else packet.dts)))
    if not shown or len(shown) < count:
        raise _untimed(name, stream.average_rate)
    times = np.array(sorted(shown), np.int64)
    # a packet tells how long until the next is decoded, which for the last picture says nothing
    last = int(np.median(np.diff(times))) if len(times) > 1 else shown[int(times[0])]
    return Index(times, int(times[-1]) + last, tuple(sorted(keys)), cover)


def _untimed(name: str, rate: Fraction | None) -> BadClip:
    """What to say of a clip whose pictures have no times, or such as would lose some.

    Args:
        rate: pictures a second, as the container or its times say; where that is absurd, it is not repeated.
    """
    if not rate or not RATES[0] <= rate <= RATES[1]:
        rate = Fraction(30)
    return BadClip(
        f"{name} does not say of each of its pictures when it is shown, or says it wrongly.",
        f"Give them times of a constant rate first, that which it was recorded with, such as by: "
        f"ffmpeg -r {rate} -i {name} new.mp4",
    )


def _is_shown(stream: VideoStream, packet: Packet[Any]) -> bool:
    if stream.codec_context.name == "vp8" and packet.size:
        return bool(memoryview(packet)[0] & 16)  # others are looked at by decoders alone
    return packet.size > 0 and not packet.is_discard


def _check_size(name: str, stream: VideoStream) -> None:
    needed, free = stream.width * stream.height * BYTES_PER_PIXEL, psutil.virtual_memory().available
    if needed > free:
        raise BadClip(
            f"The pictures of {name} measure {stream.width}x{stream.height} pixels, which take "
            f"{needed / 1e9:.1f} GB of memory; {free / 1e9:.1f} GB are free.",
            "Close other programs, or make the clip smaller first.",
        )


def _check_range(name: str, frame: VideoFrame) -> None:
    if kind := HDR.get(frame.color_trc):
        raise BadClip(
            f"{name} has a high dynamic range (HDR, {kind}), which 8-bit pictures would wash out.",
            "Convert it to the usual range (SDR) first; phones can export it so, or record without HDR.",
        )


def _rate(stream: VideoStream, times: NDArray[np.int64]) -> Fraction:
    if len(times) > 1 and times[-1] > times[0]:
        seconds = Fraction(int(times[-1] - times[0])) * Fraction(stream.time_base or 1)
        return ((len(times) - 1) / seconds).limit_denominator(1001)
    return Fraction(stream.average_rate or 25)
