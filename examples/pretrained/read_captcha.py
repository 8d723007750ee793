"""Reads the characters in a picture: the bidirectional LSTM of ddddocr, from its ONNX file.

    python examples/pretrained/read_captcha.py picture.png

The convolutions below the LSTM stay in ONNX Runtime.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np
import onnx
import onnxruntime
from PIL import Image

from birnn_jax import stack
from birnn_jax.heads import ctc_greedy_decode
from birnn_jax.interop.onnx import from_onnx_model

FILE = Path(find_spec("ddddocr").origin).with_name("common.onnx")


def load():
    model = onnx.load(FILE)
    layers, params = from_onnx_model(model)
    nodes = {node.op_type: node for node in model.graph.node}
    arrays = {entry.name: onnx.numpy_helper.to_array(entry) for entry in model.graph.initializer}
    w, b = (arrays[name] for name in nodes["Gemm"].input[1:])
    model.graph.output.add(name=nodes["LSTM"].input[0])
    session = onnxruntime.InferenceSession(model.SerializeToString())

    @jax.jit
    def read(features):  # [T, 1, D], steps from left to right
        _, ys = stack(layers, params, features.swapaxes(0, 1))
        return ys @ w.T + b

    return lambda picture: session.run(nodes["LSTM"].input[:1], {"input1": picture})[0], read


def open_picture(path):
    picture = Image.open(path)
    picture = picture.resize((picture.width * 64 // picture.height, 64)).convert("L")
    return np.asarray(picture, np.float32)[None, None] / 255


if __name__ == "__main__":
    from ddddocr.charsets import CHARSET_BETA

    see, read = load()
    labels, lengths = ctc_greedy_decode(read(see(open_picture(sys.argv[1]))))
    print("".join(CHARSET_BETA[label] for label in labels[0, : lengths[0]]))
