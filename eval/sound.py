"""The sound of a clip as numbers, for whoever asks whether a mouth still moves with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.extras import needs
from ..core.types import Array
from ..core.video_streams import opened, pictures_of

RATE = 16000  # samples a second


def sound_of(path: Path, start: float, end: float) -> tuple[Array, float] | None:
    """The samples (S,) in [-1, 1] of a clip's first sound between two times, and how many are a second.

    None where the clip has no sound, or none that can be decoded. Times are seconds from the first picture.

    Raises:
        BadClip: the clip cannot be opened.
        BadSettings: the extra `video` is not installed.
    """
    with needs("video"):
        import av
        from av.error import FFmpegError
    samples = np.zeros(max(0, round(RATE * (end - start))))
    with opened(path) as container:
        if not container.streams.audio:
            return None
        pictures = pictures_of(container)
        origin = float((pictures.start_time or 0) * pictures.time_base) if pictures.time_base else 0.0
        to_mono = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        try:
            for frame in container.decode(audio=0):
                when = (frame.time or 0.0) - origin
                if when >= end:
                    break
                for part in to_mono.resample(frame):
                    _lay(part.to_ndarray()[0], round(RATE * (when - start)), samples)
        except FFmpegError:
            return None
    return samples, float(RATE)


def _lay(some: Array, place: int, samples: Array) -> None:
    """Lay samples where they belong; what lies outside is left away."""
    first, last = max(place, 0), min(place + len(some), len(samples))
    if last > first:
        samples[first:last] = some[first - place : last - place]
