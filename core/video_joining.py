"""Line up encoded segments of a clip, and put the sound and subtitles of its file beside them."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from heapq import merge
from io import BytesIO
from math import lcm
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from .errors import BadClip
from .extras import needs
from .video import Clip
from .video_streams import ATTACHED, opened, pictures_of, told_by

if TYPE_CHECKING:
    from av import Packet
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
BARE = {"fflags": "+bitexact"}  # no tags of the muxer
SIGNED = b"\x4d\x80\x84Lavf\x57\x41\x84Lavf"  # but those that Matroska has to have, which may be empty
UNCHECKED = {"write_crc32": "0"}  # since checksums would be of these, too
LARGEST_TIMESCALE = 2**31 - 1
HEAD = 1000  # bytes of a Matroska file, within which these names lie


def join(clip: Clip, segments: Sequence[Path], path: Path, cover: bytes | None = None) -> tuple[str, ...]:
    """Line up segments, and write them with the sound and subtitles of the clip, as `video_writing.rewrite`.

    Raises:
        BadClip: it cannot be written, or its container does not hold the clip's sound.
    """
    with needs("video"):
        import av
    kind = CONTAINERS[path.suffix.lower()]
    with told(clip), ExitStack() as stack:
        source = stack.enter_context(opened(clip.path))
        first = stack.enter_context(av.open(f"file:{segments[0]}"))
        out = stack.enter_context(
            av.open(f"file:{path}", "w", format=kind, container_options=BARE | _options(source, kind))
        )
        pictures, kept, lost = pictures_of(source).index, dict[int, Any](), list[str]()
        picture: Any = None
        for stream in source.streams:
            if stream.index == pictures:
                picture = out.add_stream_from_template(first.streams.video[0], opaque=True)
                context, colours = picture.codec_context, clip.colours
                context.color_primaries, context.color_trc = colours.primaries, colours.transfer
                if kind in ("mp4", "mov") and context.name == "hevc":
                    context.codec_tag = "hvc1"  # the one that Apple's players take
            elif stream.type in ("audio", "subtitle") and stream.codec_context:
                try:
                    kept[stream.index] = _copied(out, stream)
                except ValueError:
                    lost.append(_not_held(clip, path, stream))
        if cover and kind not in ("mp4", "matroska"):
            lost.append(f"A {path.suffix} has no place for the cover picture of {clip.name}.")
        show = _add_cover(out, kind, cover) if cover else []
        streams = [source.streams[index] for index in kept]
        for packet in merge(
            _pictures(clip, segments, picture), _packets(source, streams, kept), key=_decoding_time
        ):
            out.mux(packet)
            out.mux(show)
            show = []
    _unsign(path)
    return tuple(lost)


def _options(source: InputContainer, kind: str) -> dict[str, str]:
    """The muxer's options: for MP4 the unit of edit lists, in which every stream can begin when it does."""
    if kind not in ("mp4", "mov"):
        return UNCHECKED
    scale = lcm(*(stream.time_base.denominator for stream in source.streams if stream.time_base))
    return {"movie_timescale": str(min(scale, LARGEST_TIMESCALE))}


def _unsign(path: Path) -> None:
    """Take the names of what wrote a Matroska file out of its head."""
    with path.open("r+b") as file:
        place = file.read(HEAD).find(SIGNED)
        if place >= 0:
            file.seek(place)
            file.write(SIGNED.replace(b"Lavf", bytes(4)))


def _copied(out: OutputContainer, stream: Stream) -> Stream:
    """A new stream for the packets of another, with nothing of what is said about that but its language.

    Raises:
        ValueError: the container does not hold such.
    """
    copy = out.add_stream_from_template(stream)
    copy.metadata.update({key: value for key, value in stream.metadata.items() if key == "language"})
    copy.disposition = stream.disposition
    return copy


def check_sound(clip: Clip, path: Path) -> None:
    """Check, before any work, that a result at `path` can hold the sound of a clip.

    Raises:
        BadClip: it cannot.
    """
    with needs("video"):
        import av
    with opened(clip.path) as source:
        for stream in source.streams.audio:
            if not stream.codec_context:
                continue
            try:
                with av.open(BytesIO(), "w", format=CONTAINERS[path.suffix.lower()]) as out:
                    _copied(out, stream)
                    out.start_encoding()
            except ValueError as error:  # as FFmpeg's errors are
                _not_held(clip, path, stream, error)


def _not_held(clip: Clip, path: Path, stream: Stream, error: ValueError | None = None) -> str:
    """What to say of subtitles that cannot be kept.

    Raises:
        BadClip: it is a sound.
    """
    name = stream.codec_context.name
    if stream.type == "audio":
        hint = "Convert its sound first, such as to AAC" if path.suffix == ".mkv" else "Name an .mkv with -o"
        raise BadClip(
            f"A {path.suffix} does not hold the sound of {clip.name} ({name}).", f"{hint}."
        ) from error
    return f"Subtitles of {clip.name} ({name}) do not fit into a {path.suffix}, and are not kept."


def _add_cover(out: OutputContainer, kind: str, cover: bytes) -> list[Packet[Any]]:
    """Add the picture that stands for a clip, where there is a place for it; returns its packet."""
    import av

    image = Image.open(BytesIO(cover))
    name = str(image.format).lower()
    if kind == "matroska":
        out.add_attachment(f"cover.{name.replace('jpeg', 'jpg')}", f"image/{name}", cover)
    if kind != "mp4":
        return []
    stream: Any = out.add_mux_stream(
        {"jpeg": "mjpeg"}.get(name, name),
        width=image.width,
        height=image.height,
        time_base=Fraction(1, 90000),
    )
    stream.disposition = ATTACHED
    packet = av.Packet(cover)
    packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
    return [packet]


def _pictures(clip: Clip, segments: Sequence[Path], stream: Any) -> Iterator[Packet[Any]]:
    """The packets of segments, one after the other, at the clip's times.

    Each is decoded when the picture is shown that lies as many places before as pictures are held back, so
    that these times rise from segment to segment, too.
    """
    numbers = {int(time): number for number, time in enumerate(clip.times)}
    order = [number for number, _ in _numbered(clip, segments, numbers)]
    shown = sorted(order)
    rank = {number: place for place, number in enumerate(shown)}
    held = max(place - rank[number] for place, number in enumerate(order))
    ends = [*clip.times[1:].tolist(), clip.end]
    gap = ends[shown[0]] - int(clip.times[shown[0]])
    for place, (number, packet) in enumerate(_numbered(clip, segments, numbers)):
        before = place - held
        packet.stream, packet.time_base = stream, clip.time_base
        packet.pts, packet.duration = int(clip.times[number]), ends[number] - int(clip.times[number])
        packet.dts = (
            int(clip.times[shown[before]]) if before >= 0 else int(clip.times[shown[0]]) + before * gap
        )
        yield packet


def _numbered(
    clip: Clip, segments: Sequence[Path], numbers: dict[int, int]
) -> Iterator[tuple[int, Packet[Any]]]:
    """The packets of segments as they are to be decoded, with the numbers of their pictures."""
    import av

    for segment in segments:
        with av.open(f"file:{segment}") as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size:
                    ticks = (packet.pts or 0) * packet.time_base / clip.time_base
                    yield numbers[round(ticks) + int(clip.times[0])], packet


def _packets(
    source: InputContainer, streams: Sequence[Stream], kept: dict[int, Stream]
) -> Iterator[Packet[Any]]:
    """The packets of streams that are copied as they are."""
    for packet in source.demux(*streams) if streams else ():
        if packet.size and packet.pts is not None:
            packet.dts = packet.pts if packet.dts is None else packet.dts
            packet.stream = kept[packet.stream_index]
            yield packet


def _decoding_time(packet: Packet[Any]) -> float:
    return float((packet.dts or 0) * packet.time_base)


@contextmanager
def told(clip: Clip) -> Generator[None]:
    """What FFmpeg refuses, as an error for people."""
    from av.error import FFmpegError

    try:
        yield
    except (FFmpegError, ValueError, OverflowError) as error:
        raise BadClip(
            f"The result of {clip.name} cannot be written ({told_by(error)}).",
            "Is the disk full? Or try an .mkv.",
        ) from error
