"""Record what the original runtimes make of fixed pictures; tests/test_recognizers.py and test_networks.py
compare ours with it.

    pip install dlib-bin==20.0.1.post1 ai-edge-litert==2.3.0 onnx onnxruntime==1.32.0 numpy scikit-image
    npm install @tensorflow/tfjs@4.22.0
    python weights/recipes/record_references.py --sources SOURCES --node NODE --out tests/data/recognizers.npz

Use an environment of its own: nothing else needs these packages. `SOURCES` holds the archives that
convert_recognizers.py fetches, unpacked; `NODE` is the folder in which npm was run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from skimage.data import astronaut

SIZES = {"dlib": 150, "mobilefacenet": 112, "faceres": 224, "faceres-deep": 224, "mobileface": 112}
SIZES |= {"faceplugin": 112, "sface": 112, "emotion": 64, "facemesh": 192, "blazeface": 256}

TFJS = """
const tf = require('@tensorflow/tfjs'), fs = require('fs');
const bytes = file => new Uint8Array(fs.readFileSync(file)).buffer;
(async () => {
  const [stem, pictures, size, channels, input, ...outputs] = process.argv.slice(1);
  const graph = JSON.parse(fs.readFileSync(stem + '.json'));
  const model = await tf.loadGraphModel(tf.io.fromMemory({
    modelTopology: graph.modelTopology,
    weightSpecs: graph.weightsManifest[0].weights,
    weightData: bytes(stem + '.bin'),
  }));
  const batch = tf.tensor(new Float32Array(bytes(pictures))).reshape([-1, +size, +size, +channels]);
  const values = picture => outputs.flatMap(
    output => Array.from(model.execute({[input]: picture}, output).dataSync()));
  console.log(JSON.stringify(batch.split(batch.shape[0]).map(values)));
})();
"""


def pictures(size: int) -> np.ndarray:
    """The fixed inputs (3, S, S, 3) uint8 RGB: two parts of a photograph and noise."""
    photo, middle = astronaut(), (110, 222)
    top, left = (m - size // 2 if m > size // 2 else 0 for m in middle)
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    return np.stack([photo[top : top + size, left : left + size], photo[-size:, -size:], noise])


def dlib(file: Path) -> np.ndarray:
    """dlib's descriptors of its fixed inputs."""
    import dlib

    network = dlib.face_recognition_model_v1(str(file))
    return np.array([network.compute_face_descriptor(picture) for picture in pictures(SIZES["dlib"])])


def tflite(file: Path) -> np.ndarray:
    """The embeddings of MobileFaceNet, whose graph takes two pictures at a time."""
    from ai_edge_litert.interpreter import Interpreter

    network = Interpreter(str(file))
    network.allocate_tensors()
    rows: list[np.ndarray] = []
    for picture in pictures(SIZES["mobilefacenet"]):
        pair = np.stack([picture, picture]).astype("f4")
        network.set_tensor(network.get_input_details()[0]["index"], (pair - 127.5) / 128)
        network.invoke()
        rows.append(network.get_tensor(network.get_output_details()[0]["index"])[0].copy())
    return np.array(rows)


def prepared(name: str) -> np.ndarray:
    """The pictures as a graph wants them."""
    batch = pictures(SIZES[name]).astype("f4")
    if name.startswith("faceres"):
        return batch[..., ::-1] - np.array([103.939, 116.779, 123.68], "f4")
    if name == "faceplugin":
        return (batch - 127) / 128
    if name == "emotion":
        return batch @ np.array([[0.299], [0.587], [0.114]], "f4") / 127.5 - 1
    if name == "facemesh":
        return batch / 255
    return batch / 127.5 - 1 if name == "blazeface" else batch


def onnx(file: Path, name: str) -> np.ndarray:
    """The embeddings of a graph. Its inputs beside the picture, which only name weights, are dropped."""
    from onnx import load
    from onnxruntime import InferenceSession

    model = load(file)
    del model.graph.input[1:]
    network = InferenceSession(model.SerializeToString())
    batch = prepared(name).transpose(0, 3, 1, 2)
    picture = model.graph.input[0].name
    return np.concatenate([network.run(None, {picture: one[None]})[0] for one in batch])


def tfjs(folder: Path, node: Path, name: str, *ends: str) -> np.ndarray:
    """What TensorFlow.js computes from a graph's input to its outputs, one after the other."""
    batch = prepared(name)
    with tempfile.NamedTemporaryFile() as file:
        file.write(batch.astype("<f4").tobytes())
        file.flush()
        shape = [str(SIZES[name]), str(batch.shape[-1])]
        command = ["node", "-e", TFJS, str(folder / name), file.name, *shape, *ends]
        answer = subprocess.run(command, cwd=node, check=True, stdout=subprocess.PIPE, text=True).stdout
    return np.array(json.loads(answer[answer.index("[[") :]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for option in ("--sources", "--node", "--out"):
        parser.add_argument(option, type=Path, required=True)
    options = parser.parse_args()

    def find(name: str) -> Path:
        return next(options.sources.resolve().rglob(name))

    graphs = find("faceres.json").parent
    ends = {
        "faceres": ("input_1", "global_pooling/Mean"),
        "faceres-deep": ("input_1", "global_pooling/Mean"),
        "mobileface": ("data", "batchnorm0/add_1"),
        "emotion": ("input_1", "Identity"),
        "facemesh": ("input_1", "Identity_2"),
        "blazeface": ("input", "Identity", "Identity_1", "Identity_2", "Identity_3"),
    }
    rows = {
        "dlib": dlib(find("dlib_face_recognition_resnet_model_v1.dat")),
        "mobilefacenet": tflite(find("MobileFaceNet.tflite")),
        "faceplugin": onnx(find("fr_feature.onnx"), "faceplugin"),
        "sface": onnx(find("face_recognition_sface_2021dec_int8bq.onnx"), "sface"),
        **{name: tfjs(graphs, options.node, name, *nodes) for name, nodes in ends.items()},
    }
    np.savez(options.out, **{name: row.astype("f4") for name, row in rows.items()})


if __name__ == "__main__":
    main()
