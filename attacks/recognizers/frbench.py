"""The recognisers of FRBench, by backbone, loss and data set, such as "irse-50_arcface_ms1m"; not packaged.

One file each: the weights, and in its header the settings that FRBench publishes beside them.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from ...core.extras import needs
from ...weights import store
from ...weights.registry import card
from ..faces import ARCFACE, template_transform
from .base import Network, loaded

with needs("recognizers"):
    from frbench.backbones import build_backbone

HALVES = (0.5, 0.5, 0.5)  # what FRBench takes where its settings name no mean or deviation


def load(model: str) -> Network:
    """One of its networks, on the crop that it learnt from; without the mirrored second look of FRBench."""
    name = card(f"frbench:{model}").name
    with safe_open(store.path(name), "pt") as file:
        settings: dict[str, Any] = json.loads(file.metadata()["config"])
    backbone, seen = settings["backbone"], settings.get("input", {})
    network = build_backbone(backbone["name"], backbone.get("kwargs", {}), torch.device("cpu"))
    size = int(seen.get("size", (112, 112))[0])
    template = (np.array(seen["template"]) + 0.5) / size if seen.get("template") else ARCFACE
    return Network(
        name,
        size,
        loaded(name, network),
        lambda face, side: template_transform(face, template, side),
        mean=tuple(255 * value for value in seen.get("mean", HALVES)),
        scale=tuple(255 * value for value in seen.get("var", seen.get("std", HALVES))),
        reverse=seen.get("channel", "rgb") == "bgr",
    )
