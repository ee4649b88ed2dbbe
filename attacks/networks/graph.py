"""Networks that are kept as the list of their operators: MediaPipe's, as its graphs have them.

The file of such a network holds its tensors, and the list in its metadata: the recipe convert_graphs.py
writes both.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

from ...weights import store

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda values: values,
    "relu": torch.relu,
    "relu6": functional.relu6,
}


def _conv(
    input: Tensor, weight: Tensor, bias: Tensor, stride: int, pads: list[int], groups: int, activation: str
) -> Tensor:
    left, right, top, bottom = pads
    if (left, top) != (right, bottom):
        input, left, top = functional.pad(input, pads), 0, 0
    output = functional.conv2d(input, weight, bias, stride, (top, left), groups=groups)
    return ACTIVATIONS[activation](output)


def _add(one: Tensor, other: Tensor, activation: str) -> Tensor:
    return ACTIVATIONS[activation](one + other)


def _rows(grid: Tensor, each: int) -> Tensor:
    """A grid (B, C, h, w) as rows (B, h * w * C / each, each), in TensorFlow's order."""
    return grid.permute(0, 2, 3, 1).reshape(len(grid), -1, each)


def _pad(input: Tensor, pads: list[int]) -> Tensor:
    return functional.pad(input, pads)


def _resize(input: Tensor, size: list[int]) -> Tensor:
    return functional.interpolate(input, size=size, mode="bilinear", align_corners=False)


def _pool(input: Tensor) -> Tensor:
    return functional.max_pool2d(input, 2)


def _concatenate(*inputs: Tensor) -> Tensor:
    return torch.cat(inputs, 1)


def _mean(grid: Tensor) -> Tensor:
    return grid.mean((2, 3))


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "conv": _conv,
    "prelu": functional.prelu,
    "add": _add,
    "pool": _pool,
    "pad": _pad,
    "resize": _resize,
    "rows": _rows,
    "concatenate": _concatenate,
    "mean": _mean,
    "dense": functional.linear,
    "sigmoid": torch.sigmoid,
}


class Graph(nn.Module):
    """A network (B, 3, S, S) -> its outputs, which runs the operators of its list one after the other.

    Each operator is `[name, inputs, tensors, options]`: the numbers of the values that it reads (0 is the
    input, n what the nth operator gave), the names of its tensors, and what it is told beside them.

    Raises:
        UnknownName, WeightsMissing, WeightsCorrupt: as `WeightsStore.path` does.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        with safe_open(store.path(name), "pt") as file:
            told = json.loads(file.metadata()["graph"])
        self.operators: list[tuple[str, list[int], list[str], dict[str, Any]]] = told["operators"]
        self.outputs: list[int] = told["outputs"]
        for key, tensor in store.load(name).items():
            if tensor.ndim == 4:
                tensor = tensor.contiguous(memory_format=torch.channels_last)
            self.register_parameter(key, nn.Parameter(tensor, requires_grad=False))
        self.eval()

    def forward(self, input: Tensor) -> tuple[Tensor, ...]:
        values = [input]
        for name, inputs, tensors, options in self.operators:
            weights = (self.get_parameter(key) for key in tensors)
            values.append(OPERATORS[name](*(values[index] for index in inputs), *weights, **options))
        return tuple(values[index] for index in self.outputs)


@cache
def graph(name: str) -> Graph:
    """The network of a card, loaded once. Its weights are packaged: one for all stores."""
    return Graph(name)
