"""Re-create the files of MediaPipe's networks that judge behaviour, from the packages that carry them.

    pip install ai-edge-litert==2.3.0
    python weights/recipes/convert_graphs.py [--sources FOLDER] [--out FOLDER] [--references FILE]

Options as in convert_recognizers.py; `--references` also records what the original runtime makes of fixed
inputs, with which tests/test_networks.py compares ours. The same input gives the same bytes.

The sources are TFLite graphs, whose weights are 16 bit floats and stay so. A network becomes the list of its
operators (`veil.attacks.networks.graph`), of which only those are kept that lead to the outputs we want; the
blendshapes' is a network of our own, read as a stream of tensors.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from convert_recognizers import Files, read
from record_references import pictures
from safetensors.numpy import save

from veil.attacks.networks.blendshapes import Blendshapes
from veil.weights.registry import card
from veil.weights.store import PACKAGED

OPERATOR_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
ACTIVATIONS = {0: "none", 1: "relu", 3: "relu6"}
SAME = schema.Padding.SAME
# What is kept of each graph: its outputs, by their names there.
OUTPUTS = {
    "irismesh": ("Identity", "Identity_1"),  # points, the verdict on whether there is a face
    "palm": ("Identity_1", "Identity"),  # logits, regressions
    "hand": ("Identity", "Identity_1", "Identity_2"),  # points, presence, whether it is a right hand
    "pose": ("Identity", "Identity_1"),  # points, presence
}
SIZES = {"irismesh": 256, "palm": 192, "hand": 224, "pose": 256}
PALM = slice(11, 2341291)  # where palm_detection_full.tflite lies in what the package's loader unpacks


def flatbuffer(name: str, files: Files) -> bytes:
    """A network's graph, out of the files of its source."""
    if name in ("irismesh", "blendshapes"):
        file = {"irismesh": "face_landmarks_detector.tflite", "blendshapes": "face_blendshapes.tflite"}[name]
        return ZipFile(BytesIO(files[".task"])).read(file)
    return files[".data"][PALM] if name == "palm" else files[".tflite"]


class Source:
    """A TFLite graph whose 16 bit constants are widened by operators of their own."""

    def __init__(self, data: bytes) -> None:
        self.model = schema.ModelT.InitFromPackedBuf(data, 0)
        self.graph = self.model.subgraphs[0]
        self.operators = [one for one in self.graph.operators if self.kind(one) != "DEQUANTIZE"]

    def kind(self, operator: Any) -> str:
        code = self.model.operatorCodes[operator.opcodeIndex]
        return OPERATOR_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]

    @cached_property
    def narrow(self) -> dict[int, int]:
        """Which 16 bit constant a widened one comes from."""
        return {
            one.outputs[0]: one.inputs[0] for one in self.graph.operators if self.kind(one) == "DEQUANTIZE"
        }

    def constant(self, index: int) -> np.ndarray | None:
        """A constant's values; None for what is computed."""
        tensor = self.graph.tensors[self.narrow.get(index, index)]
        data = self.model.buffers[tensor.buffer].data
        if data is None or not len(data):
            return None
        kinds = {schema.TensorType.FLOAT32: "<f4", schema.TensorType.FLOAT16: "<f2"}
        values = np.frombuffer(bytes(data), kinds.get(tensor.type, "<i4"))
        return values.reshape(() if tensor.shape is None else tensor.shape)

    def shape(self, index: int) -> list[int]:
        return [int(each) for each in self.graph.tensors[index].shape]

    def index(self, name: str) -> int:
        return next(i for i in self.graph.outputs if self.graph.tensors[i].name.decode() == name)


def pads(source: Source, operator: Any, kernel: tuple[int, int]) -> list[int]:
    """TensorFlow's padding of a convolution: left, right, top, bottom."""
    if operator.builtinOptions.padding != SAME:
        return [0, 0, 0, 0]
    high, wide = source.shape(operator.inputs[0])[1:3]
    stride = operator.builtinOptions.strideW
    found: list[int] = []
    for size, side in ((wide, kernel[1]), (high, kernel[0])):
        total = max(side - (size % stride or stride), 0)
        found += [total // 2, total - total // 2]
    return found


def translated(source: Source, operator: Any) -> tuple[str, list[np.ndarray], dict[str, Any]]:
    """An operator as ours: its name, its tensors with channels first, its options."""
    kind, options = source.kind(operator), operator.builtinOptions
    constants = [each for each in map(source.constant, operator.inputs) if each is not None]
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        deep = kind == "DEPTHWISE_CONV_2D"
        kernel = constants[0].transpose((3, 0, 1, 2) if deep else (0, 3, 1, 2))
        told = {
            "stride": options.strideW,
            "pads": pads(source, operator, kernel.shape[2:]),
            "groups": len(kernel) if deep else 1,
            "activation": ACTIVATIONS[options.fusedActivationFunction],
        }
        return "conv", [kernel, constants[1]], told
    if kind == "PRELU":
        return "prelu", [constants[0].reshape(-1)], {}
    if kind == "ADD":
        return "add", [], {"activation": ACTIVATIONS[options.fusedActivationFunction]}
    if kind == "PAD":
        _, (top, bottom), (left, right), (before, behind) = constants[0].reshape(4, 2).tolist()
        return "pad", [], {"pads": [left, right, top, bottom, before, behind]}
    if kind == "RESIZE_BILINEAR":
        assert options.halfPixelCenters
        assert not options.alignCorners
        return "resize", [], {"size": constants[0].tolist()}
    if kind == "RESHAPE":
        return "rows", [], {"each": source.shape(operator.outputs[0])[-1]}
    if kind == "FULLY_CONNECTED":
        return "dense", constants, {}
    if kind == "MAX_POOL_2D":
        assert (options.filterWidth, options.strideW) == (2, 2)
    plain = {"MAX_POOL_2D": "pool", "CONCATENATION": "concatenate", "MEAN": "mean", "LOGISTIC": "sigmoid"}
    return plain[kind], [], {}


def converted(name: str, data: bytes) -> bytes:
    """The file of a network that is a list of operators."""
    source = Source(data)
    wanted = [source.index(output) for output in OUTPUTS[name]]
    needed, kept = {*wanted}, list[Any]()
    for operator in reversed(source.operators):
        if operator.outputs[0] in needed:
            needed |= {each for each in operator.inputs if source.constant(each) is None}
            kept.insert(0, operator)
    numbers = {source.graph.inputs[0]: 0}
    tensors: dict[str, np.ndarray] = {}
    operators: list[list[Any]] = []
    for number, operator in enumerate(kept, 1):
        ours, constants, options = translated(source, operator)
        keys = [f"{number}_{place}" for place in range(len(constants))]
        tensors |= {key: np.array(one, order="C") for key, one in zip(keys, constants, strict=True)}
        inputs = [numbers[each] for each in operator.inputs if each in numbers]
        operators.append([ours, inputs, keys, options])
        numbers[operator.outputs[0]] = number
    told = {"operators": operators, "outputs": [numbers[each] for each in wanted]}
    return save(tensors, {"graph": json.dumps(told, separators=(",", ":"))})


def blendshapes(data: bytes) -> bytes:
    """The file of the blendshapes' network."""
    source = Source(data)
    places = Blendshapes().state_dict()
    order = [*places]
    order.insert(4, order.pop(0))  # the graph joins the first token to the others
    tensors = dict(zip(order, stream(source), strict=True))
    return save({key: np.array(one, order="C").reshape(places[key].shape) for key, one in tensors.items()})


def stream(source: Source) -> Iterator[np.ndarray]:
    """The constants of a graph as its operators use them; not the lone numbers."""
    for operator in source.operators:
        for one in map(source.constant, operator.inputs):
            if one is not None and one.size > 1 and one.dtype == np.float16:
                yield one


def references(name: str, data: bytes) -> np.ndarray:
    """What the original runtime makes of fixed inputs, (3, all outputs)."""
    network = Interpreter(model_content=data)
    network.allocate_tensors()
    details = {one["name"].partition(":")[0]: one["index"] for one in network.get_output_details()}
    rows: list[np.ndarray] = []
    for one in inputs(name):
        network.set_tensor(network.get_input_details()[0]["index"], one[None])
        network.invoke()
        wanted = [details[output] for output in OUTPUTS.get(name, details)]
        rows.append(np.concatenate([network.get_tensor(index).reshape(-1) for index in wanted]))
    return np.array(rows)


def inputs(name: str) -> np.ndarray:
    """The fixed inputs as a network wants them: pictures (3, S, S, 3) in [0, 1], or points (3, 146, 2)."""
    if name == "blendshapes":
        return np.random.default_rng(0).uniform(0, 500, (3, 146, 2)).astype("f4")
    return pictures(SIZES[name]).astype("f4") / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sources", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--out", type=Path, default=PACKAGED)
    parser.add_argument("--references", type=Path)
    options = parser.parse_args()
    recorded: dict[str, np.ndarray] = {}
    for name in (*OUTPUTS, "blendshapes"):
        source = flatbuffer(name, read(card(name).source, options.sources))
        data = blendshapes(source) if name == "blendshapes" else converted(name, source)
        (options.out / card(name).file).write_bytes(data)
        checksum = sha256(data).hexdigest()
        verdict = "as on its card" if checksum == card(name).sha256 else "NOT as on its card"
        print(f"{name}: {len(data)} bytes, sha256 {checksum}, {verdict}")
        recorded[name] = references(name, source)
    if options.references:
        np.savez(options.references, **{name: rows.astype("f4") for name, rows in recorded.items()})


if __name__ == "__main__":
    sys.exit(main())
