"""Models of Keras in ONNX: the operators that tf2onnx and Keras' own exporter write."""

import pathlib
import zipfile

import numpy as np
import onnx
import pytest

from birnn_jax import GRU, LSTM, Layer, stack
from birnn_jax.interop.onnx import from_onnx_model

from ._stacks import TOLERANCE_FLOAT32, assert_close

FILES = pathlib.Path(__file__).parents[1] / "golden" / "tf2onnx" / "files.zip"
BY_KERAS = {
    "lstm": Layer(LSTM, direction="fwd"),
    "both": Layer(LSTM),
    "backwards": Layer(LSTM, direction="fwd"),  # the graph turns its inputs round
    "no_bias": Layer(LSTM, direction="fwd"),
    "given": Layer(LSTM, direction="fwd"),
}
BY_TF2ONNX = {**BY_KERAS, "gru": Layer(GRU, direction="fwd"), "gru_both": Layer(GRU)}


@pytest.mark.parametrize(
    ("file", "wanted"), [("keras_3", BY_KERAS), ("keras_2", BY_TF2ONNX)], ids=["keras", "tf2onnx"]
)
def test_layers_of_keras_compute_what_tensorflow_does(file, wanted, tmp_path):
    with zipfile.ZipFile(FILES) as archive:
        archive.extractall(tmp_path)
    arrays = dict(np.load(tmp_path / f"{file}.npz"))
    below = dict(zip([*arrays][3:], ["xs", *[*arrays][3:]], strict=False))  # which layer each reads
    written = [name for name in below if name != "gru_reset_before"]  # that one is a Loop
    nodes = onnx.load(tmp_path / f"{file}.onnx").graph.node
    names = [node.name for node in nodes if node.op_type in ("LSTM", "GRU")]
    layers, params = from_onnx_model(tmp_path / f"{file}.onnx", names)
    assert dict(zip(written, layers, strict=True)) == wanted
    for name, layer, own in zip(written, layers, params, strict=True):
        xs = arrays[below[name]]
        xs = xs[:, ::-1] if name == "backwards" else xs
        carry, ys = stack((layer,), (own,), xs)
        if name == "given":
            initial = (carry[0]._replace(h=arrays["h"], c=arrays["c"]),)
            _, ys = stack((layer,), (own,), xs, initial_carry=initial)
        assert_close(ys, arrays[name], TOLERANCE_FLOAT32)
