"""What lies in a video's container, and how its pictures are stored: turned, and in which colours."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BadClip, VeilError
from .extras import needs
from .files import printable
from .pillow import picture_format
from .types import Pixels

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer
    from av.stream import Stream

# FFmpeg reads playlists and lists of files, too, which name other files and addresses: none of those here.
SAFE = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,matroska,avi,mpegts,mpeg,asf,flv,ogg,nut",
}
BT601, BT709, UNSPECIFIED = 6, 1, 2  # matrices, by ITU-T H.273
HIGH_DEFINITION = 720  # lines from which an unnamed matrix is taken for that of BT.709, as players do
LIMITED, FULL = 1, 2  # ranges of values, as FFmpeg numbers them
ATTACHED = 0x400  # FFmpeg's mark of a picture that stands for the whole
# bicubic, with full chroma both ways and accurate rounding: what is not changed comes back as it was
SCALER = 0x4 | 0x2000 | 0x4000 | 0x40000


@dataclass(frozen=True)
class Turn:
    """How stored pictures are turned upright: first mirrored along the diagonal, then by rows and columns."""

    swap: bool = False
    rows: bool = False
    columns: bool = False

    def upright(self, pixels: Pixels) -> Pixels:
        """Stored pixels (H, W, 3) as they are to be seen."""
        turned = pixels.swapaxes(0, 1) if self.swap else pixels
        turned = turned[:: -1 if self.rows else 1, :: -1 if self.columns else 1]
        return np.ascontiguousarray(turned)


@dataclass(frozen=True)
class Colours:
    """How a clip's values stand for colours, by the numbers of H.273; `range` as FFmpeg numbers it.

    tags: the matrix and range that its file names, which may be none.
    """

    matrix: int
    range: int
    primaries: int
    transfer: int
    tags: tuple[int, int]


@contextmanager
def opened(path: Path) -> Generator[InputContainer]:
    """The container of a video file; what FFmpeg cannot do with it within is told for people.

    Raises:
        BadClip: it is no video, or damaged.
    """
    with needs("video"):
        import av
        from av.error import FFmpegError
    try:  # "file:", since a name such as concat:a|b would be an address
        with av.open(f"file:{os.fspath(path)}", options=SAFE, metadata_errors="replace") as container:
            yield container
    except (FFmpegError, ValueError, OverflowError) as error:
        name = printable(path)
        if picture := picture_format(path):
            raise BadClip(
                f"{name} is no video but a picture ({picture}).", "Give its name that ending."
            ) from error
        raise BadClip(
            f"{name} is no video that veil can read, or is damaged ({told_by(error)}).",
            "Copy or download it again, or convert it to MP4 first.",
        ) from error


def told_by(error: Exception) -> str:
    """What FFmpeg says went wrong, without its numbers and paths."""
    return f"FFmpeg says: {getattr(error, 'strerror', None) or error}"


def is_video(path: Path) -> bool:
    """Whether a file is a video by what it holds; it is not where the extra `video` is not installed."""
    try:
        with opened(path) as container:
            return bool(pictures_of(container))
    except VeilError:
        return False


def pictures_of(container: InputContainer) -> VideoStream:
    """The stream of a container that is shown.

    Raises:
        BadClip: it has none.
    """
    streams = [one for one in container.streams.video if one.codec_context and not is_cover(one)]
    if not streams:
        name = printable(container.name.removeprefix("file:"))
        raise BadClip(f"{name} holds no pictures, or none of a format that is known.", "Name another video.")
    return max(streams, key=lambda stream: stream.width * stream.height)


def is_cover(stream: Stream) -> bool:
    """Whether a stream is the one picture that stands for a clip."""
    return bool(int(stream.disposition) & ATTACHED)


def to_rgb(frame: VideoFrame, colours: Colours) -> Pixels:
    """The picture of a decoded frame as it is stored, (H, W, 3)."""
    frame.colorspace, frame.color_range = colours.matrix, colours.range
    pixels: Any = frame.to_ndarray(format="rgb24", dst_color_range=FULL, interpolation=SCALER)
    return pixels


def turn_of(frame: VideoFrame) -> tuple[Turn, bool]:
    """How a picture is turned upright, and whether that is all that is asked for."""
    data = frame.side_data.get("DISPLAYMATRIX")  # pyright: ignore
    if data is None:
        return Turn(), True
    a, b, _, c, d, *_ = np.frombuffer(bytes(data), np.int32)
    if a == d == 0 and b and c:
        return Turn(True, bool(b < 0), bool(c < 0)), True
    return Turn(False, bool(d < 0), bool(a < 0)), bool(b == c == 0)


def _depth(frame: VideoFrame) -> int:
    return max(component.bits for component in frame.format.components)


def chroma_of(frame: VideoFrame) -> str:
    wide, high = (frame.format.chroma_width(2), frame.format.chroma_height(2))
    if frame.format.is_rgb or (wide, high) == (2, 2):
        return "444"
    return "422" if (wide, high) == (1, 2) else "420"


def colours_of(frame: VideoFrame) -> Colours:
    """As the picture says, or as players take it where it does not."""
    matrix = frame.colorspace
    if frame.format.is_rgb or matrix in (0, UNSPECIFIED, 3) or matrix > 9:
        matrix = BT709 if min(frame.width, frame.height) >= HIGH_DEFINITION else BT601
    full = frame.color_range == FULL or "yuvj" in frame.format.name
    tags = (
        UNSPECIFIED if frame.colorspace == UNSPECIFIED else matrix,
        FULL if full else int(frame.color_range),
    )
    return Colours(matrix, FULL if full else LIMITED, frame.color_primaries, frame.color_trc, tags)


def left_out(name: str, container: InputContainer, stream: VideoStream) -> list[str]:
    """One sentence for each part of a file that is not read."""
    streams = container.streams
    others = sum(not is_cover(one) for one in streams.video) - 1
    unknown = sum(one.type == "audio" and not one.codec_context for one in streams)
    parts = {
        f"Of the {others + 1} videos in {name} only the largest is kept.": others,
        f"A sound track of {name} is in a format that is not known, and is not kept.": unknown,
        f"Data that {name} holds beside its pictures, such as sensors' readings, are not kept.": streams.data,
        f"Files attached to {name} are not kept.": streams.attachments,
        f"Chapters of {name} are not kept.": container.chapters(),
    }
    return [sentence for sentence, found in parts.items() if found]


def changed(name: str, frame: VideoFrame, straight: bool) -> list[str]:
    """One sentence for each way in which the result differs from a file beside its faces."""
    parts = {
        f"{name} is to be shown aslant, or askew; the result is not.": not straight,
        f"The {_depth(frame)}-bit colours of {name} become 8-bit ones.": _depth(frame) > 8,
        f"Captions within the pictures of {name} are not kept.": frame.side_data.get("A53_CC") is not None,
        f"The pictures of {name} are interlaced; the result does not say so.": frame.interlaced_frame,
    }
    return [sentence for sentence, found in parts.items() if found]
