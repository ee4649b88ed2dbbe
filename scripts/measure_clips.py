"""What protecting videos reaches: a table over the clips of a folder.

    python scripts/measure_clips.py CLIPS OUT [--seconds 2] [--strength balanced] [--judge faceplugin]

A part of each clip is protected by all surrogates but the judge and its kin, then encoded as H.264 at three
qualities; recognisers compare frames of it with clean frames of the same part. OUT keeps what is finished of
each clip, and the frames before and after in a lossless video, to look at; it goes on where it was stopped.
It writes `matches.csv` (a row for each recogniser and encoding) and `clips.csv` (a row a clip: flicker beside
the clip's own, seconds of processor time). Only the two tables may be shown: the clips are not ours.
"""

from __future__ import annotations

from veil.core.threads import configure_threads

configure_threads()  # before torch is loaded

import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, TypeVar

import av
import numpy as np
import pandas as pd
import typer

from veil.attacks import attacked, held_out, packaged
from veil.attacks.faces.tracking import follow
from veil.core.files import atomic_write
from veil.core.progress import finish
from veil.core.types import Face, Pixels
from veil.eval import tracks as judge
from veil.privacy.settings import settings
from veil.privacy.video import find_changes, render

T = TypeVar("T")
ENDINGS = {".mp4", ".mov", ".mkv", ".webm"}


def frames(clip: Path, start: float, seconds: float) -> list[Pixels]:
    """The frames (H, W, 3) of a part of a clip."""
    found = list[Pixels]()
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            when = frame.time or 0.0
            if when >= start + seconds:
                break
            if when >= start:
                found.append(frame.to_ndarray(format="rgb24"))
    return found


def encoded(pictures: Sequence[Pixels], crf: int, path: Path | None = None) -> list[Pixels]:
    """Frames after H.264 at a quality; a `crf` of 0 keeps every value. `path` is where the file goes."""
    file = io.BytesIO() if path is None else path
    high, wide = pictures[0].shape[:2]
    with av.open(file if path is None else str(path), "w", format="mp4") as container:
        name = "libx264rgb" if crf == 0 else "libx264"
        stream: Any = container.add_stream(name, rate=Fraction(30), options={"crf": str(crf)})
        stream.width, stream.height = wide // 2 * 2, high // 2 * 2
        stream.pix_fmt = "rgb24" if crf == 0 else "yuv420p"
        for pixels in pictures:
            part = np.ascontiguousarray(pixels[: stream.height, : stream.width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(part, format="rgb24")))
        container.mux(stream.encode())
    if path is not None:
        return []
    file.seek(0)  # pyright: ignore[reportAttributeAccessIssue]
    with av.open(file) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What some work gives, and the seconds of processor time that it took."""
    begin = time.process_time()
    return work(), time.process_time() - begin


@dataclass(frozen=True)
class Plan:
    """What is measured: `seconds` of a clip from `start`; `judged` frames, as they are and after H.264."""

    start: float
    seconds: float
    strength: str
    left_out: str
    judged: int
    crf: Sequence[int]


def measured(clip: Path, plan: Plan, folder: Path) -> Any:
    """The rows of one clip: of the clip, and of its matches."""
    strength = plan.strength
    before = frames(clip, plan.start, plan.seconds)
    tracks, following = timed(lambda: finish(follow(enumerate(before))))
    tracks = tracks.of(tracks.people[:1])
    chosen = settings(strength, surrogates=attacked(plan.left_out))

    def frames_of(wanted: Any) -> Iterator[tuple[int, Pixels]]:
        return ((index, before[index]) for index in sorted(wanted))

    change, solving = timed(lambda: finish(find_changes(frames_of, tracks, chosen)))
    after, rendering = timed(lambda: [render(pixels, at, change) for at, pixels in enumerate(before)])
    track = tracks.tracks[0]
    encoded(
        [np.concatenate(pair, 1) for pair in zip(before, after, strict=True)], 0, folder / f"{clip.stem}.mp4"
    )
    seen = track.indexes[track.seen]
    places = seen[np.linspace(0, len(seen) - 1, min(len(seen), plan.judged)).round().astype(int)].tolist()

    def shown(pictures: Sequence[Pixels]) -> Iterator[tuple[Pixels, Face]]:
        for index in places:
            face = track.face(index)
            assert face
            yield pictures[index], face

    clean = judge.seen(shown(before), packaged())
    matches = list[dict[str, Any]]()
    for name, crf in {"none": None, **{f"CRF {crf}": crf for crf in plan.crf}}.items():
        there = judge.seen(shown(after if crf is None else encoded(after, crf)), packaged())
        for one in judge.match(clean, there, frozenset(chosen.surrogates)):
            matches.append({"clip": clip.stem, "strength": strength, "encoding": name, **one.model_dump()})
    pairs = ((before[at], after[at], face) for at in track.indexes.tolist() if (face := track.face(at)))
    rest = judge.flicker(pairs)
    return {
        "clip": {
            "clip": clip.stem,
            "strength": strength,
            "start": plan.start,
            "frames": len(before),
            "tracks": len(tracks.tracks),
            "unseen": int((~track.seen).sum()),
            "worst_margin": round(min(change.margins), 2),
            "flicker_own": rest.own,
            "flicker_after": rest.after,
            "flicker_change": rest.change,
            "flicker_ratio": round(rest.after / rest.own, 3) if rest.own else 0.0,
            "movement": rest.movement,
            "follow_seconds_a_frame": round(following / len(before), 4),
            "solve_seconds": round(solving, 1),
            "render_seconds_a_frame": round(rendering / len(before), 4),
        },
        "matches": matches,
    }


def main(
    clips: Path,
    out: Path,
    seconds: float = 2.0,
    start: float = 0.0,
    strength: str = "balanced",
    judge: str = "",
    only: str = "",
    judged: int = 12,
    crf: Annotated[list[int], typer.Option()] = [23, 28, 35],  # noqa: B006
) -> None:
    """Measure what is missing, and write the tables. `only`: a part of the names of the clips."""
    plan = Plan(start, seconds, strength, judge or held_out(), judged, crf)
    folder = out / f"{strength}-{plan.left_out}"
    folder.mkdir(parents=True, exist_ok=True)
    for clip in sorted(path for path in clips.iterdir() if path.suffix in ENDINGS and only in path.name):
        done = folder / f"{clip.stem}.json"
        if not done.exists():
            print(clip.stem)
            row = measured(clip, plan, folder)
            with atomic_write(done) as (part,):
                part.write_text(json.dumps(row, indent=1))
    rows = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    for name, table in (
        ("clips", pd.DataFrame([row["clip"] for row in rows])),
        ("matches", pd.DataFrame([match for row in rows for match in row["matches"]])),
    ):
        with atomic_write(folder / f"{name}.csv", replace=True) as (part,):
            table.to_csv(part, index=False)
        print(table.to_string())


if __name__ == "__main__":
    typer.run(main)
