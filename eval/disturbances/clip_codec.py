"""A trip of a clip's pictures through a real video codec, as files and platforms send them on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Any

import numpy as np

from ...core.extras import needs
from ...core.types import Pixels
from ...core.video_streams import SCALER
from ...core.video_writing import ENCODERS


@dataclass(frozen=True)
class Encoding:
    """How pictures are encoded, otherwise as `core.video_writing` does it.

    crf: the constant rate factor, by default the codec's usual one.
    longest: pixels, to which the longer side of larger pictures is brought.
    group: pictures from one that can be decoded alone to the next.
    """

    crf: int | None = None
    codec: str = "h264"
    longest: int | None = None
    group: int | None = None


DECODERS = {"av1": "libdav1d"}  # by codec, where FFmpeg's own decoder needs hardware
NONE = "none"  # the name of no encoding at all
ENCODINGS = {
    "crf-23": Encoding(23),
    "crf-28": Encoding(28),
    "crf-35": Encoding(35),
    "platform": Encoding(28, longest=720, group=60),
}


def clip_coded(frames: Iterable[Pixels], rate: Fraction, how: Encoding) -> Iterator[Pixels]:
    """Pictures (H, W, 3) of one size as they come back from a codec, one after the other.

    Odd sides get a line more while they are encoded; pictures that are made smaller have even sides.

    Args:
        rate: pictures a second.

    Raises:
        BadSettings: the extra `video` is not installed.
    """
    with needs("video"):
        import av
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        return
    (high, wide), scale = first.shape[:2], min(1.0, (how.longest or max(first.shape)) / max(first.shape[:2]))
    size = (wide + wide % 2, high + high % 2) if scale == 1 else _even(wide * scale, high * scale)
    encoder, decoder = _encoder(how, rate, size), _decoder(how)

    def encoded(pixels: Pixels) -> Any:
        if scale == 1:
            pixels = np.pad(pixels, ((0, high % 2), (0, wide % 2), (0, 0)), "edge")
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels)).reformat(
            *size, format=encoder.pix_fmt, interpolation=SCALER
        )

    def decoded(packets: Iterable[Any]) -> Iterator[Pixels]:
        for packet in packets:
            for frame in decoder.decode(packet):
                pixels = frame.reformat(format="rgb24", interpolation=SCALER).to_ndarray()
                yield pixels[:high, :wide] if scale == 1 else pixels

    for number, pixels in enumerate(chain((first,), rest)):
        frame = encoded(pixels)
        frame.pts, frame.time_base = number, encoder.time_base
        yield from decoded(encoder.encode(frame))
    yield from decoded(encoder.encode(None))
    yield from decoded([None])


def _encoder(how: Encoding, rate: Fraction, size: tuple[int, int]) -> Any:
    import av

    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 would tell its settings on standard error
    kind = ENCODERS[how.codec]
    encoder: Any = av.CodecContext.create(kind.name, "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt, encoder.framerate, encoder.time_base = "yuv420p", rate, 1 / rate
    encoder.options = {
        **kind.options,
        "crf": str(kind.crf if how.crf is None else min(how.crf, kind.worst)),
        **({"g": str(how.group)} if how.group else {}),
    }
    return encoder


def _decoder(how: Encoding) -> Any:
    import av

    return av.CodecContext.create(DECODERS.get(how.codec, how.codec), "r")


def _even(wide: float, high: float) -> tuple[int, int]:
    return 2 * max(1, round(wide / 2)), 2 * max(1, round(high / 2))
