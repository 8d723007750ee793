"""ONNX Runtime: one LSTM operator a layer and no more, neither lengths nor masks."""

import os
import tempfile

import onnx
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic

from benchmarks import _measure
from benchmarks._points import Point
from benchmarks.peers import Program
from benchmarks.peers._onnx_model import make_model


def make_program(point: Point, inputs: dict, *, int8: bool = False) -> Program:
    """A session with all optimisations, which is their default; `int8` is `DynamicQuantizeLSTM`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    model = make_model(point, inputs["weights"], "onnxruntime")
    model = (_quantize(model) if int8 else model).SerializeToString()
    compile_s, session = _measure.timed(
        lambda: onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    )
    xs = {"xs": inputs["xs"]}

    def call():
        return session.run(None, xs)

    return Program(call, lambda: {"ys": call()[0]}, {"compile_s": compile_s, "device": "cpu"})


def _quantize(model: onnx.ModelProto) -> onnx.ModelProto:
    """Signed weights of 8 bits with a scale for each output channel, their most exact setting."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/quantized.onnx"
        quantize_dynamic(model, path, weight_type=QuantType.QInt8, per_channel=True)
        return onnx.load(path)
