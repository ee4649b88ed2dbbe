"""The recognisers of FRBench, by backbone, loss and data set, such as "irse-50_arcface_ms1m"; not packaged.

One safetensors file each: the weights, and in its metadata the settings that FRBench publishes beside them.
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
from ..faces.transforms import ARCFACE, template_transform
from .base import Network, load_network

with needs("recognizers"):
    from frbench.backbones import build_backbone

DEFAULT_NORMALISATION = (0.5, 0.5, 0.5)  # mean and deviation in FRBench where its settings name none


def load(model: str) -> Network:
    """One of its networks, aligned as in its training; without FRBench's averaging with the mirrored crop."""
    name = card(f"frbench:{model}").name
    with safe_open(store.path(name), "pt") as file:
        settings: dict[str, Any] = json.loads(file.metadata()["config"])
    backbone, inputs = settings["backbone"], settings.get("input", {})
    network = build_backbone(backbone["name"], backbone.get("kwargs", {}), torch.device("cpu"))
    size = int(inputs.get("size", (112, 112))[0])
    template = (np.array(inputs["template"]) + 0.5) / size if inputs.get("template") else ARCFACE
    return Network(
        name,
        size,
        load_network(name, network),
        lambda face, side: template_transform(face, template, side),
        mean=tuple(255 * value for value in inputs.get("mean", DEFAULT_NORMALISATION)),
        scale=tuple(255 * value for value in inputs.get("var", inputs.get("std", DEFAULT_NORMALISATION))),
        bgr=inputs.get("channel", "rgb") == "bgr",
    )
