"""Compare what a person expresses before and after: in a clip, and in a photo."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from ...attacks.faces.boxes import clipped, reaching
from ...core.errors import BadPhoto, BadSettings
from ...core.progress import finish
from ...core.types import Array, Face, Pixels, Steps
from ..disturbances.codec import coded
from .figures import BEHAVIOURS, Aspect, Behaviour, Figure, Measured, Part
from .reading import SAME_CLIP, Reading, read

DIGITS = 4
AROUND = 5.0  # of a face's longer side: how far around its box hands and body are looked for
LARGEST = 2000  # pixels: the longer side of that part of a photo
FIRST = 0.02  # seconds of sound to either side of a frame that is alone
QUALITY = 75  # of the JPEG that stands beside a photo


def compare(
    before: Iterable[Pixels],
    after: Iterable[Pixels],
    control: Iterable[Pixels] | None = None,
    *,
    times: Array,
    faces: Sequence[Face | None] | None = None,
    sound: tuple[Array, float] | None = None,
    rarely: int = 1,
) -> Steps[Behaviour]:
    """What one person expresses in a clip before and after, and in a control that was only coded again.

    Each is read on its own, as somebody would who has only that one. Frames are looked at once, one after
    the other; what is kept of them takes about 30 KB each.

    Args:
        before, after, control: upright frames (H, W, 3) of one clip; of the same times.
        times: of the frames (N,), in seconds.
        faces: the person's in `before`, frame by frame, None where the person is not there; by default the
            largest face is found and followed.
        sound: samples (S,) in [-1, 1] from the time 0 on, and how many there are a second.
        rarely: hands and body are looked for in one frame of so many.

    Raises:
        BadPhoto: the clips differ in length or size.
        BadSettings: there are no times, or they do not grow.
        WeightsMissing, WeightsCorrupt: as `WeightsStore.path` does.
    """
    times = np.asarray(times, np.float64)
    if not len(times) or (np.diff(times) <= 0).any():
        raise BadSettings("Frames need times that grow.", "Give one for each frame, in seconds.")
    loud = loudness(*sound, times) if sound else None
    readings: list[Reading] = []
    for frames in (before, after, control):
        if frames is not None:
            readings.append((yield from read(frames, times, faces, loud, rarely)))
        if len({reading.size for reading in readings}) > 1:
            raise BadPhoto("The clips differ in size.", SAME_CLIP)
    return judged(*readings)


def compare_photos(before: Pixels, after: Pixels, face: Face) -> Behaviour:
    """What the person of a face expresses in a photo (H, W, 3) before and after; the control is the photo
    before, as JPEG.

    Only the part around the face is looked at, and made smaller where it is large.
    """
    high, wide = before.shape[:2]
    left, top, right, bottom = clipped(reaching(face.box, AROUND), (wide, high))
    scale = min(1.0, LARGEST / max(right - left, bottom - top))
    size = max(1, round(scale * (right - left))), max(1, round(scale * (bottom - top)))
    old, new = (
        np.array(Image.fromarray(photo[top:bottom, left:right]).resize(size, Image.Resampling.LANCZOS))
        for photo in (before, after)
    )
    there = face.transformed(1.0, -left, -top).transformed(scale, 0.0, 0.0)
    frames = ([picture] for picture in (old, new, coded(old, "JPEG", QUALITY)))
    return finish(compare(*frames, times=np.zeros(1), faces=[there]))


def judged(before: Reading, after: Reading, control: Reading | None = None) -> Behaviour:
    """The verdict on two readings of the same frames, and on that of a control."""
    aspects: list[Aspect] = []
    for name in BEHAVIOURS:
        measure = BEHAVIOURS[name]
        new = measure(before, after)
        old = {one.name: one for one in measure(before, control)} if control else {}
        figures = tuple(_figure(one, old.get(one.name)) for one in new)
        if any(figure.value is not None for figure in figures):
            aspects.append(Aspect(name=name, independent=measure.independent, figures=figures))
    shares = [round(float(one.found.mean()), DIGITS) for one in (before, after, control) if one]
    return Behaviour(
        frames=len(before.times),
        read=shares[0],
        read_after=shares[1],
        read_control=shares[2] if control else None,
        aspects=tuple(aspects),
    )


def _figure(measured: Measured, control: Measured | None) -> Figure:
    parts = control.parts if control else {}
    return Figure(
        name=measured.name,
        unit=measured.unit,
        better=measured.better,
        value=_number(measured.value),
        control=_number(control.value) if control else None,
        weak=tuple(
            Part(
                name=name, value=round(measured.parts[name], DIGITS), control=_number(parts.get(name, np.nan))
            )
            for name in measured.weak
        ),
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), DIGITS)


def loudness(samples: Array, rate: float, times: Array) -> Array:
    """The root mean square (N,) of samples (S,) around the times (N,) of frames, half way to the next."""
    gaps = np.diff(times) if len(times) > 1 else np.array([2 * FIRST])
    ends = times[:1] - gaps[:1] / 2, times[-1:] + gaps[-1:] / 2
    edges = np.concatenate([ends[0], (times[1:] + times[:-1]) / 2, ends[1]])
    sums = np.concatenate([[0.0], np.cumsum(np.square(np.asarray(samples, np.float64)))])
    places = np.clip((edges * rate).round().astype(int), 0, len(samples))
    counts = np.maximum(np.diff(places), 1)
    return np.sqrt(np.diff(sums[places]) / counts)
