"""What a benchmark file of clips says."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field

from ..benchmark.spec import CommonSpec, MethodSpec, read_as
from ..disturbances.clip_codec import ENCODINGS, NONE


class ClipSpec(CommonSpec):
    """A benchmark file of clips.

    clips: a folder, of which every clip is taken, or files, in the folder of clips.
    seconds, start: which part of a clip is taken: how long at most, by default all of it; and by the name of
        a clip (of its file, without ending) from which second on.
    others: by the name of a clip, the file of another one that shows the same person.
    leave_out: of the judges, every one for each clip, or one: that of clip i is judge i, and so on in turn.
    encodings: what is recognised: as it is ("none"), or encoded, by the names of `ENCODINGS`.
    pictures: of a part, spread over it, that recognisers are asked about.
    measured: how many pictures are measured by PSNR, SSIM, F-Sim and `measures`.
    """

    clips: str | tuple[str, ...]
    seconds: float | None = Field(None, gt=0)
    start: dict[str, float] = {}
    others: dict[str, str] = {}
    leave_out: Literal["each", "turns"] = "turns"
    encodings: tuple[str, ...] = (NONE, *ENCODINGS)
    pictures: int = Field(24, ge=2)
    measured: int = Field(8, ge=1)
    measures: tuple[str, ...] = ("likeness", "naturalness")

    def left_out_for(self, method: MethodSpec, index: int) -> tuple[str, ...]:
        """The recognisers that a method leaves out, each on its own, for the clip with an index."""
        names = tuple(self.surrogate_sets(method))
        return names if self.leave_out == "each" else (names[index % len(names)],)


def is_of_clips(path: Path) -> bool:
    """Whether a benchmark file is one of clips; one that cannot be read is not."""
    try:
        return "clips" in tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def read(path: Path) -> ClipSpec:
    """Read a benchmark file of clips.

    Raises:
        BadSettings: it is missing, no TOML, or says what is not allowed; the message names it.
    """
    return read_as(ClipSpec, path)
