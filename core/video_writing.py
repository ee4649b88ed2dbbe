"""Write clips: new pictures at the old times, the sound and subtitles of their file, and no more.

Pictures are encoded in segments, each of which can be decoded alone, so that work that was stopped goes on at
the next; `join` lines them up. The container is a new one: no place, maker, time or tag gets into it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BadClip
from .extras import needs
from .registry import unknown
from .types import Pixels
from .video import Clip
from .video_joining import BARE, CONTAINERS, join, told
from .video_streams import SCALER

if TYPE_CHECKING:
    from av import Packet, VideoStream
    from av.container import OutputContainer

FALLBACK = ".mkv"  # for files of other kinds: it holds whatever sound they have
SEGMENT = "nut"  # FFmpeg's own container, which keeps times as they are


@dataclass(frozen=True)
class Encoder:
    """FFmpeg's name of an encoder, its options, and its constant rate factors: usual, and worst.

    Threads are counted, since their number decides the bytes.
    """

    name: str
    crf: int
    worst: int
    options: dict[str, str]


ENCODERS = {
    # its macroblock tree reads memory that it has not written (AVX-512), so that no two runs give the same
    "h264": Encoder("libx264", 20, 51, {"preset": "veryfast", "threads": "4", "mbtree": "0"}),
    "hevc": Encoder(
        "libx265",
        20,
        51,
        {"preset": "veryfast", "x265-params": "info=0:log-level=none:frame-threads=2:open-gop=0"},
    ),
    "vp9": Encoder(
        "libvpx-vp9", 24, 63, {"deadline": "good", "cpu-used": "5", "row-mt": "1", "threads": "4"}
    ),
    "av1": Encoder("libsvtav1", 24, 63, {"preset": "9", "svtav1-params": "lp=2"}),
}
WEB = ("vp9", "av1")  # whose encoders take 4:2:0 only, of any size
HELD = {".webm": WEB, ".mov": ("h264", "hevc")}  # what files hold that do not hold all, by their ending
SEI = {"h264": "6", "hevc": "39-40"}  # units in which encoders write their name and settings


def result_ending(path: Path) -> str:
    """The ending for a clip's result: its own where veil writes such files, or one that holds everything."""
    return path.suffix.lower() if path.suffix.lower() in CONTAINERS else FALLBACK


def codec_for(clip: Clip, path: Path, codec: str | None = None) -> str:
    """The codec for a result at `path`: as asked for, or else the clip's own, where veil writes that.

    Raises:
        UnknownName: veil writes no such codec.
        BadClip: the file's format does not hold it.
    """
    held = HELD.get(path.suffix.lower(), tuple(ENCODERS))
    if codec and codec not in ENCODERS:
        raise unknown("codec", codec, ENCODERS)
    if codec and codec not in held:
        raise BadClip(
            f"A {path.suffix} does not hold {codec}.", f"Take {' or '.join(held)}, or name an .mkv."
        )
    return codec or (clip.codec if clip.codec in held else held[0])


def rewrite(
    clip: Clip,
    path: Path,
    frames: Iterable[tuple[int, Pixels]],
    crf: int | None = None,
    codec: str | None = None,
    cover: bytes | None = None,
) -> tuple[str, ...]:
    """Write a clip with other pictures of the same size, upright (H, W, 3) with their numbers.

    Args:
        path: a new file, whose ending says in which container.
        crf: quality of the pictures (constant rate factor: lower is better); each codec's own by default.
        codec: "h264", "hevc", "vp9" or "av1"; the clip's own by default.
        cover: the file of a picture (JPEG or PNG) to stand for the clip.

    Returns:
        What could not be kept, a sentence each.

    Raises:
        UnknownName, BadClip: as `codec_for`, or it cannot be written.
    """
    segment = path.with_name(f"{path.name}.{SEGMENT}")
    try:
        encode(clip, frames, segment, codec_for(clip, path, codec), crf)
        return join(clip, [segment], path, cover)
    finally:
        segment.unlink(missing_ok=True)


def encode(
    clip: Clip, frames: Iterable[tuple[int, Pixels]], path: Path, codec: str, crf: int | None = None
) -> None:
    """Encode pictures that follow one another, upright (H, W, 3) with their numbers, as a segment at `path`.

    Raises:
        BadClip: they cannot be encoded.
    """
    with encoding(clip, path, codec, crf) as write:
        for number, pixels in frames:
            write(number, pixels)


@contextmanager
def encoding(
    clip: Clip, path: Path, codec: str, crf: int | None = None
) -> Generator[Callable[[int, Pixels], None]]:
    """Yield what encodes a picture (H, W, 3) by its number; all together are the segment at `path`.

    Raises:
        BadClip: they cannot be encoded.
    """
    with needs("video"):
        import av
    colours, options = clip.colours, BARE | {"avoid_negative_ts": "disabled"}
    with told(clip), av.open(f"file:{path}", "w", format=SEGMENT, container_options=options) as out:
        stream = _encoder(out, clip, codec, crf)
        clean = _Cleaner(stream, codec)

        def write(number: int, pixels: Pixels) -> None:
            frame = av.VideoFrame.from_ndarray(pixels).reformat(
                format=stream.pix_fmt,
                dst_colorspace=colours.matrix,
                dst_color_range=colours.range,
                interpolation=SCALER,
            )
            frame.pts, frame.time_base = int(clip.times[number] - clip.times[0]), clip.time_base
            out.mux(clean(stream.encode(frame)))

        yield write
        out.mux(clean(stream.encode(None)))


def _encoder(out: OutputContainer, clip: Clip, codec: str, crf: int | None) -> VideoStream:
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 would tell its settings on standard error
    kind = ENCODERS[codec]
    quality = str(kind.crf if crf is None else min(crf, kind.worst))
    stream: Any = out.add_stream(
        kind.name, clip.rate, {**kind.options, "crf": quality}, time_base=clip.time_base
    )
    context, colours = stream.codec_context, clip.colours
    context.width, context.height = clip.size
    context.pix_fmt = f"yuv{_chroma(clip, codec)}p"
    context.sample_aspect_ratio = clip.aspect
    context.colorspace, context.color_range = colours.tags
    context.color_primaries, context.color_trc = colours.primaries, colours.transfer
    context.open()
    return stream


def _chroma(clip: Clip, codec: str) -> str:
    """How finely colours are encoded: as in the clip; where the size is odd, finer where it has to be."""
    if codec in WEB:
        return "420"  # which takes any size
    if clip.size[1] % 2 and clip.chroma != "444" or clip.size[0] % 2:
        return "444"
    return clip.chroma


class _Cleaner:
    """Takes what encoders say of themselves out of packets."""

    def __init__(self, stream: VideoStream, codec: str) -> None:
        from av.bitstream import BitStreamFilterContext

        units = SEI.get(codec)
        self._filter = BitStreamFilterContext(f"filter_units=remove_types={units}", stream) if units else None

    def __call__(self, packets: list[Packet[Any]]) -> list[Packet[Any]]:
        if self._filter is None:
            return packets
        return [clean for packet in packets for clean in self._filter.filter(packet)]
