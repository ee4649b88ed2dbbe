"""One task: a part of a clip is protected, encoded, recognised again, and the rest is measured."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ...core.errors import VeilError
from ...core.extras import needs
from ...core.files import without_folders
from ...core.images import to_tensor
from ...core.memory import give_back
from ...core.types import Face, Pixels
from ..behaviour.comparison import judged
from ..behaviour.page import kept
from ..benchmark import EngineHooks
from ..benchmark.judge import TRANSIENT, measure_quality
from ..disturbances.clip_codec import ENCODINGS, NONE, clip_coded
from ..metrics.fsim import fsim
from ..tracks import TrackMatch, Vectors, flicker, match, seen
from .part import CONTROL, Part, part_of, read_before, seen_before, timed

ROWS = ".json"  # a finished task: the rows of its tables
VIDEO = ".mkv"  # the part before and after, side by side, without loss
STATUS, PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # of Linux

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class ClipTask:
    """A part of one clip, to be protected by one method against one set of surrogates and then judged.

    start, seconds: the part. values: all settings of the method. names: of the recognisers that are asked.
    unseen: those of them that share nothing with the surrogates. other: another clip of the person.
    pictures, measured: as in `ClipSpec`.
    """

    clip: Path
    start: float
    seconds: float | None
    method: str
    left_out: str
    values: Mapping[str, Any]
    names: tuple[str, ...]
    unseen: tuple[str, ...]
    encodings: tuple[str, ...]
    measures: tuple[str, ...]
    pictures: int
    measured: int
    other: Path | None = None

    @property
    def key(self) -> str:
        """Where its result lies, without ending."""
        return f"{self.method}/{self.clip.stem}-{self.left_out}"

    @property
    def labels(self) -> Row:
        """The columns that say what a row is about."""
        return {"clip": self.clip.stem, "method": self.method, "left_out": self.left_out}


def protect_and_judge(hooks: EngineHooks, task: ClipTask) -> dict[str, bytes]:
    """Do a task.

    Returns:
        Files by their endings: the video, then the rows of each table; where the task failed, only these,
        and why.
    """
    try:
        part = part_of(task.clip, task.start, task.seconds)
        after, facts = _protected(hooks, task, part)
        readings = read_before(task.clip, task.start, task.seconds)
        encoded = list(clip_coded(after, part.clip.rate, ENCODINGS[CONTROL]))
        behaviour = judged(readings[0], part.read(encoded), readings[1])
        rows = {
            "clips": [{**task.labels, **facts, **_looks(task, part, after), "error": ""}],
            "matches": [
                {**task.labels, **row} for row in _matches(task, part, {NONE: after, CONTROL: encoded})
            ],
            "behaviour": [
                {
                    **task.labels,
                    "aspect": aspect.name,
                    **figure.model_dump(include={"name", "unit", "better", "value", "control"}),
                    "kept": kept(figure),
                    "weak": ", ".join(f"{one.name} {one.value:.2f} ({one.control})" for one in figure.weak),
                }
                for aspect in behaviour.aspects
                for figure in aspect.figures
            ],
        }
        pairs = (np.concatenate(pair, 1) for pair in zip(part.frames, after, strict=True))
        return {VIDEO: lossless(pairs, part.clip.rate), ROWS: json.dumps(rows).encode()}
    except VeilError as error:
        told = without_folders(error.message, task.clip)
        row = {**task.labels, "error": told, "passing": isinstance(error, TRANSIENT)}
        return {ROWS: json.dumps({"clips": [row]}).encode()}


def _protected(hooks: EngineHooks, task: ClipTask, part: Part) -> tuple[list[Pixels], Row]:
    """The pictures of a part after its protection, and what that cost."""

    def chosen(numbers: Collection[int]) -> Iterator[tuple[int, Pixels]]:
        return ((at, part.frames[at]) for at in sorted(numbers))

    _forget_peak()
    (draw, margin), solving = timed(lambda: hooks.protect_clip(chosen, part.tracks, task.values))
    after, drawing = timed(lambda: [draw(pixels, at) for at, pixels in enumerate(part.frames)])
    tracks = part.tracks.tracks
    return after, {
        "size": "x".join(map(str, part.clip.size)),
        "rate": round(float(part.clip.rate), 3),
        "start": round(float(part.times[0]), 3),
        "frames": len(after),
        "people": part.people,
        "tracks": len(tracks),
        "carried": sum(int((~track.seen).sum()) for track in tracks),
        "worst_margin": round(margin, 2),
        "follow_seconds_a_frame": round(part.following / len(after), 4),
        "solve_seconds": round(solving, 1),
        "render_seconds_a_frame": round(drawing / len(after), 4),
        "memory_gb": _peak(),
    }


def _looks(task: ClipTask, part: Part, after: Sequence[Pixels]) -> Row:
    """How far the person looks as before, over some pictures, and what flickers, over the stretch."""
    shown = part.shown
    some = [(part.frames[at], after[at], shown[at]) for at in part.places(task.measured)]
    values = [measure_quality(*one, task.measures) for one in some]
    means = {name: _mean([one[name] for one in values]) for name in values[0]}
    pairs = [(to_tensor(old), to_tensor(new), face) for old, new, face in some]
    rest = flicker(
        (part.frames[at], after[at], face) for at, face in zip(part.stretch, part.faces, strict=True)
    )
    return {
        **means,
        "fsim": _mean([fsim(name, pairs)[0] for name in task.unseen]),
        "flicker_own": rest.own,
        "flicker_after": rest.after,
        "flicker_change": rest.change,
        "flicker_ratio": rest.ratio,
        "movement": rest.movement,
    }


def _mean(values: Sequence[float]) -> float | None:
    """The mean of those that are numbers."""
    known = [value for value in values if not np.isnan(value)]
    return round(float(np.mean(known)), 5) if known else None


def _matches(task: ClipTask, part: Part, after: Mapping[str, Sequence[Pixels]]) -> Iterator[Row]:
    """What recognisers make of the person, by encoding, and by with what they compare.

    after: the pictures after protection, by encoding; as they are, and those that are encoded already.
    """
    where = task.clip, task.start, task.seconds
    clean = seen_before(*where, task.pictures, task.names)
    others = {"the other half": None}
    if task.other:
        others |= {"another clip": _seen_elsewhere(task.other, task.pictures, task.names)}
    for name in task.encodings:
        shown = after.get(name) or list(clip_coded(after[NONE], part.clip.rate, ENCODINGS[name]))
        there = seen(_faces(part, shown, task.pictures), task.names)
        for against, other in others.items():
            for one in match(clean, there, frozenset(task.values["surrogates"]), other):
                yield {"encoding": name, "against": against, **_told(one)}


def _faces(part: Part, pictures: Sequence[Pixels], count: int) -> Iterator[tuple[Pixels, Face]]:
    """Some pictures of a part, which may have been made smaller, with the face where it was."""
    shown, scale = part.shown, pictures[0].shape[1] / part.frames[0].shape[1]
    return ((pictures[at], shown[at].transformed(scale, 0.0, 0.0)) for at in part.places(count))


@lru_cache(1)
def _seen_elsewhere(clip: Path, count: int, names: tuple[str, ...]) -> Vectors:
    part = part_of.__wrapped__(clip, 0.0, None)
    return seen(_faces(part, part.frames, count), names)


def _told(one: TrackMatch) -> Row:
    return {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in one.model_dump().items()
    }


def lossless(pictures: Iterator[Pixels], rate: Fraction) -> bytes:
    """Pictures (H, W, 3) as a Matroska file that keeps every value (FFV1)."""
    with needs("video"):
        import av
    file, stream = BytesIO(), None
    with av.open(file, "w", format="matroska") as out:
        for pixels in pictures:
            if stream is None:
                stream: Any = out.add_stream("ffv1", rate, {"threads": "1"})
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = "bgr0"
            out.mux(
                stream.encode(
                    av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels)).reformat(format="bgr0")
                )
            )
        if stream is not None:
            out.mux(stream.encode(None))
    return file.getvalue()


def _forget_peak() -> None:
    """Let `_peak` begin anew, where the system can, without what the task before has freed."""
    give_back()
    with suppress(OSError):
        PEAK.write_text("5")


def _peak() -> float | None:
    """The most memory that this process has held, in GB; None where the system does not tell."""
    if not STATUS.exists():
        return None
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return round(int(lines["VmHWM"].split()[0]) * 1024 / 1e9, 2)
