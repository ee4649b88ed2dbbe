"""What recognisers that are PyTorch networks share: weights, devices, layers, the `Recognizer` protocol."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...core.types import Array, Face
from ...weights import store
from ..faces.sampling import warp

Module = TypeVar("Module", bound=nn.Module)

# A cache that goes when the network does: network -> device -> its copy there.
_copies: WeakKeyDictionary[nn.Module, dict[torch.device, nn.Module]] = WeakKeyDictionary()


def load_network(name: str, network: Module) -> Module:
    """Load the weights of a model from the default store into its network, in place.

    It is frozen, in evaluation mode, and in the memory format channels last, which is faster on a CPU.

    Raises:
        UnknownName, WeightsMissing, WeightsCorrupt: as `WeightsStore.path` does.
    """
    network.load_state_dict(store.load(name))
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def copy_on(device: torch.device, network: Module) -> Module:
    """A network on a device: the network itself where it is there, otherwise a copy, made once a device.

    No network is ever moved: another thread may be using it where it is.
    """
    if next(network.parameters()).device == device:
        return network
    by_device = _copies.setdefault(network, {})
    if device not in by_device:
        by_device[device] = deepcopy(network).to(device)
    return by_device[device]  # pyright: ignore[reportReturnType]


def conv_prelu(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution with symmetric zero padding, and a PReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups),
        nn.PReLU(out_channels),
    )


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's "SAME" zero padding, whose odd pixel is on the right and below."""

    def forward(self, input: Tensor) -> Tensor:
        padding: list[int] = []
        for size, kernel, stride in zip(input.shape[:1:-1], self.kernel_size, self.stride, strict=True):
            total = max(kernel - (size % stride or stride), 0)
            padding += [total // 2, total - total // 2]
        left, right, top, bottom = padding
        if (left, top) == (right, bottom):  # symmetric: the convolution pads by itself, without a copy
            return functional.conv2d(
                input, self.weight, self.bias, self.stride, (top, left), groups=self.groups
            )
        return super().forward(functional.pad(input, padding))


@cache  # since it is asked for at every step, and a GPU would be waited for
def _by_channel(values: float | tuple[float, ...], device: torch.device) -> Tensor:
    """One value for all channels or three, as (1 or 3, 1, 1) on a device."""
    return torch.tensor(values, dtype=torch.float32, device=device).reshape(-1, 1, 1)


@dataclass(frozen=True)
class Network:
    """A PyTorch network that implements the `Recognizer` protocol: aligns, normalises, embeds.

    Args:
        size: the side S of its crop, in pixels.
        network: maps (B, 3, S, S) to embeddings (B, D), which need not be normalised.
        crop_transform: (face, S) -> the transform (2, 3) from pixels of the crop to the photo's.
        mean, scale: the network's input is (pixels - mean) / scale, pixels being in 0..255; one value for
            all channels or three, in the order of the network's channels.
        bgr: whether its channels are blue, green, red.
        differentiable: whether gradients flow through `embed`.
    """

    name: str
    size: int
    network: nn.Module
    crop_transform: Callable[[Face, int], Array]
    mean: tuple[float, ...]
    scale: float | tuple[float, ...] = 1.0
    bgr: bool = False
    differentiable: bool = True

    def __post_init__(self) -> None:
        self.network.eval().requires_grad_(False)

    def crop(self, face: Face) -> Array:
        """The transform (2, 3) from the pixels of its crop of `face` to the photo's pixels."""
        return self.crop_transform(face, self.size)

    def align(self, image: Tensor, face: Face) -> Tensor:
        """Its crops (B, 3, S, S) of `face` from images (B, 3, H, W) in [0, 1], differentiably."""
        return warp(image, self.crop(face), self.size)

    def embed(self, crops: Tensor) -> Tensor:
        """The unit vectors (B, D) of aligned crops (B, 3, S, S) in [0, 1], on the device of the crops."""
        pixels = 255 * (crops.flip(1) if self.bgr else crops)
        mean, scale = (_by_channel(values, crops.device) for values in (self.mean, self.scale))
        return functional.normalize(copy_on(crops.device, self.network)((pixels - mean) / scale))


class Packaged(Network):
    """A `Network` that loads its weights, from the file that its card names, when it is made."""

    def __post_init__(self) -> None:
        load_network(self.name, self.network)
