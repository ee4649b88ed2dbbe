"""What recognisers that are networks of PyTorch share."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...core.types import Array, Face
from ...weights import store
from ..faces import warp

Module = TypeVar("Module", bound=nn.Module)

copies: WeakKeyDictionary[nn.Module, dict[torch.device, nn.Module]] = WeakKeyDictionary()


def loaded(name: str, network: Module) -> Module:
    """Read the weights of a model into its network: frozen, in evaluation mode, channels last (a CPU's
    convolutions are quicker that way)."""
    network.load_state_dict(store.load(name))
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def on(device: torch.device, network: Module) -> Module:
    """A network on a device: itself where it lies there, otherwise a copy of it, made once.

    No network is ever moved: others of this process may be using it where it lies.
    """
    if next(network.parameters()).device == device:
        return network
    made = copies.setdefault(network, {})
    if device not in made:
        made[device] = deepcopy(network).to(device)
    return made[device]  # pyright: ignore[reportReturnType]


def layer(inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution that pads evenly, and its bend."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups), nn.PReLU(outside)
    )


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's "SAME" padding, which puts the odd pixel to the right and below."""

    def forward(self, input: Tensor) -> Tensor:
        sides: list[int] = []
        for size, kernel, stride in zip(input.shape[:1:-1], self.kernel_size, self.stride, strict=True):
            total = max(kernel - (size % stride or stride), 0)
            sides += [total // 2, total - total // 2]
        left, right, top, bottom = sides
        if (left, top) == (right, bottom):  # the convolution pads by itself, at no copy
            return functional.conv2d(
                input, self.weight, self.bias, self.stride, (top, left), groups=self.groups
            )
        return super().forward(functional.pad(input, sides))


@dataclass(frozen=True)
class Network:
    """A network behind the `Recognizer` protocol: cuts, normalises, embeds.

    The network sees (pixels - mean) / scale, pixels being RGB or BGR in 0..255; `mean` is in its order.
    """

    name: str
    size: int
    network: nn.Module
    place: Callable[[Face, int], Array]
    mean: tuple[float, ...]
    scale: float | tuple[float, ...] = 1.0
    reverse: bool = False  # BGR
    differentiable: bool = True

    def __post_init__(self) -> None:
        self.network.eval().requires_grad_(False)

    def crop(self, face: Face) -> Array:
        """The transform (2, 3) from the pixels of its crop of `face` to the photo's pixels."""
        return self.place(face, self.size)

    def align(self, image: Tensor, face: Face) -> Tensor:
        """Cut its crops (B, 3, S, S) of `face` out of images (B, 3, H, W) in [0, 1], differentiably."""
        return warp(image, self.crop(face), self.size)

    def embed(self, crops: Tensor) -> Tensor:
        """The unit vectors (B, D) of aligned crops (B, 3, S, S) in [0, 1], on the device of the crops."""
        pixels = 255 * (crops.flip(1) if self.reverse else crops)
        mean, scale = (crops.new_tensor(values).reshape(-1, 1, 1) for values in (self.mean, self.scale))
        return functional.normalize(on(crops.device, self.network)((pixels - mean) / scale))


class Packaged(Network):
    """A network that reads its own weights: the file that its card states."""

    def __post_init__(self) -> None:
        loaded(self.name, self.network)
