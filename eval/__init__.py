"""The judge: it scores any two photographs and never imports the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from ..core.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.types import Face

Metric: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"  # two (B, 3, H, W) in [0, 1] -> (B,)
FaceMetric: TypeAlias = "Callable[[Tensor, Tensor, Face], Tensor]"  # the same, and the face before -> (B,)
SetMetric: TypeAlias = "Callable[[Iterable[Tensor], Iterable[Tensor]], float]"  # of (1, 3, H, W)

CLEAN = "identity"  # the method that changes nothing: every benchmark has it

METRICS: Registry[Metric] = Registry(
    "metric", {"psnr": "veil.eval.metrics.psnr:psnr", "ssim": "veil.eval.metrics.ssim:ssim"}
)

# What only a benchmark measures: slower, or larger where more has changed.
MEASURES: Registry[Metric] = Registry(
    "metric",
    {
        "ms_ssim": "veil.eval.metrics.ms_ssim:ms_ssim",
        "chroma": "veil.eval.metrics.chroma:chroma",
        "brightness": "veil.eval.metrics.brightness:brightness",
        "colourfulness": "veil.eval.metrics.colourfulness:colourfulness",
        "lpips": "veil.eval.metrics.lpips:lpips",
        "t_acc": "veil.eval.metrics.text:t_acc",
        "t_ned": "veil.eval.metrics.text:t_ned",
    },
)
FACE_MEASURES: Registry[FaceMetric] = Registry(
    "metric",
    {
        "likeness": "veil.eval.metrics.likeness:likeness",
        "naturalness": "veil.eval.metrics.naturalness:naturalness",
        "expression": "veil.eval.metrics.expression:expression",
        "landmarks": "veil.eval.metrics.landmarks:landmarks",
        "points": "veil.eval.metrics.points:points",
        "inside": "veil.eval.metrics.change:inside",
        "outside": "veil.eval.metrics.change:outside",
    },
)
SEEN_BY_PEOPLE = ("likeness", "naturalness")  # of these, what stands for people's eyes
SET_MEASURES: Registry[SetMetric] = Registry("metric", {"fid": "veil.eval.metrics.fid:fid"})
