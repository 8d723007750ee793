"""OpenVINO: the same ONNX model as ONNX Runtime, forward, in float32."""

import os

import openvino

from benchmarks import _measure
from benchmarks._points import Point
from benchmarks.peers import Program
from benchmarks.peers._onnx_model import make_model


def make_program(point: Point, inputs: dict) -> Program:
    """Tuned for latency; in float32 where the processor has bfloat16, too, and would take it."""
    core = openvino.Core()
    model = core.read_model(make_model(point, inputs["weights"], "openvino").SerializeToString())
    settings = {
        "INFERENCE_NUM_THREADS": len(os.sched_getaffinity(0)),
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    compile_s, compiled = _measure.timed(lambda: core.compile_model(model, "CPU", settings))
    request = compiled.create_infer_request()
    xs = {"xs": inputs["xs"]}

    def call():
        return request.infer(xs, share_inputs=True, share_outputs=True)

    def results():
        (ys,) = call().values()
        return {"ys": ys.copy()}

    return Program(call, results, {"compile_s": compile_s, "device": "cpu"})
