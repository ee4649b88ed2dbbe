"""The recognisers of InsightFace's packs in onnxruntime: without gradients, so only judges; not packaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...core.extras import needs
from ...core.types import Array, Face
from ...weights import store
from ...weights.registry import card
from ..faces.sampling import warp
from ..faces.transforms import ARCFACE, template_transform

with needs("recognizers"):
    from insightface.model_zoo.arcface_onnx import ArcFaceONNX


@dataclass(frozen=True)
class OnnxRecognizer:
    """An onnxruntime network that implements the `Recognizer` protocol."""

    name: str
    network: ArcFaceONNX
    differentiable: bool = False

    @property
    def size(self) -> int:
        """The side of its crop, in pixels."""
        return int(self.network.input_size[0])

    def crop(self, face: Face) -> Array:
        """The transform (2, 3) from the pixels of its crop of `face` to the photo's pixels."""
        return template_transform(face, ARCFACE, self.size)

    def align(self, image: Tensor, face: Face) -> Tensor:
        """Its crops (B, 3, S, S) of `face` from images (B, 3, H, W) in [0, 1]."""
        return warp(image, self.crop(face), self.size)

    def embed(self, crops: Tensor) -> Tensor:
        """The unit vectors (B, D) of aligned crops (B, 3, S, S) in [0, 1], on the device of the crops."""
        pixels = 255 * crops.detach().float().cpu().numpy()
        vectors = [np.asarray(self.network.forward(one[None])) for one in pixels]  # some take a batch of one
        return functional.normalize(torch.from_numpy(np.concatenate(vectors))).to(crops)


def load(model: str) -> OnnxRecognizer:
    """The recogniser of "buffalo_l" (the default), "buffalo_s" or "antelopev2"."""
    name = card(f"insightface:{model}").name
    return OnnxRecognizer(name, ArcFaceONNX(str(store.path(name))))
