"""What happens to photos on their way to a recogniser: a disturbance turns pixels (H, W, 3) into others.

All work on 8-bit pixels, with the codecs that the world uses. What needs a generative model, such as
purification, comes from outside of the judge (see `eval.benchmark`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ...core.registry import Registry
from ...core.types import Pixels

Disturbance: TypeAlias = "Callable[[Pixels], Pixels]"  # (H, W, 3) -> (H', W', 3), another array

DISTURBANCES: Registry[Disturbance] = Registry(
    "disturbance",
    {
        "none": "veil.eval.disturbances.none:apply",
        "jpeg-90": "veil.eval.disturbances.jpeg:quality_90",
        "jpeg-75": "veil.eval.disturbances.jpeg:quality_75",
        "jpeg-50": "veil.eval.disturbances.jpeg:quality_50",
        "webp-75": "veil.eval.disturbances.webp:quality_75",
        "resize-50": "veil.eval.disturbances.resize:half",
        "resize-1080": "veil.eval.disturbances.resize:to_1080",
        "blur": "veil.eval.disturbances.blur:apply",
        "mean-5x5": "veil.eval.disturbances.mean:apply",
        "noise": "veil.eval.disturbances.noise:apply",
        "crop-90": "veil.eval.disturbances.crop:apply",
        "brighter": "veil.eval.disturbances.brightness:brighter",
        "darker": "veil.eval.disturbances.brightness:darker",
        "screenshot": "veil.eval.disturbances.screenshot:apply",
        "social": "veil.eval.disturbances.social:apply",
    },
)
