"""The judge: it scores any two photographs and never imports the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ..core.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

Metric: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"  # two (B, 3, H, W) in [0, 1] -> (B,)

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
    },
)
