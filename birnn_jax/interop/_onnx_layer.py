"""One layer of a stack in an ONNX graph: an operator, and what stands around it."""

from typing import Any

import numpy as np

from .._stacks.layer import EPSILON, Layer, LayerParams, NormParams, find_extras
from ._layers import as_numpy, directions_of
from ._onnx_graph import Graph
from ._onnx_weights import export_operator

OnnxCarry = dict[str, str]

_REDUCTIONS = {"sum": "ReduceSum", "mul": "ReduceProd", "mean": "ReduceMean"}
_EXTRAS = {"norm", "projection", "connection"}


def add_layer(
    graph: Graph, layer: Layer, params: LayerParams, xs: str, lengths: str
) -> tuple[OnnxCarry, str]:
    """The final states `[directions, B, H]`, and the outputs `[T, B, S]`, not masked."""
    if refused := find_extras(layer).keys() - _EXTRAS:
        raise ValueError(
            f"A layer with {', '.join(sorted(refused))} is not written as ONNX here: all steps are "
            "kept, and layers start at zero. birnn_jax.interop.stablehlo writes any stack."
        )
    inputs = _add_norm(graph, xs, params.norm) if layer.norm == "pre" else xs
    carry, ys = _add_recurrence(graph, layer, params, inputs, lengths)
    if params.projection is not None:
        ys = add_projection(graph, ys, *params.projection)
    if layer.connection == "residual":
        ys = graph.op("Add", ys, xs)
    if params.highway is not None:
        gate = graph.op("Sigmoid", add_projection(graph, xs, *params.highway))
        ys = graph.op("Add", xs, graph.op("Mul", gate, graph.op("Sub", ys, xs)))
    return carry, _add_norm(graph, ys, params.norm) if layer.norm == "post" else ys


def add_projection(graph: Graph, ys: str, w: Any, b: Any) -> str:
    """Adds `ys @ w + b`.

    Args:
      graph: to add to.
      ys: the name of a value `[..., S]`.
      w: `[S, K]`.
      b: `[K]`.
    """
    product = graph.op("MatMul", ys, graph.constant(as_numpy(w)))
    return graph.op("Add", product, graph.constant(as_numpy(b)))


def _add_norm(graph: Graph, xs: str, params: NormParams | None) -> str:
    assert params is not None
    scale, shift = (graph.constant(as_numpy(array)) for array in params)
    return graph.op("LayerNormalization", xs, scale, shift, axis=-1, epsilon=EPSILON)


def _add_recurrence(
    graph: Graph, layer: Layer, params: LayerParams, xs: str, lengths: str
) -> tuple[OnnxCarry, str]:
    op_type, weights, attributes = export_operator(layer.direction, directions_of(layer, params))
    inputs = [xs, *(graph.constant(weights[key]) for key in "WRB"), lengths]
    if "P" in weights:
        inputs += ["", "", graph.constant(weights["P"])]
    names = ["h", "c"] if op_type == "LSTM" else ["h"]
    ys, *finals = graph.ops(op_type, 1 + len(names), *inputs, **attributes)  # [T, directions, B, H]
    if layer.merge in _REDUCTIONS:
        axis = graph.constant(np.array([1]))
        ys = graph.op(_REDUCTIONS[layer.merge], ys, axis, keepdims=0)
    else:
        ys = graph.op("Transpose", ys, perm=[0, 2, 1, 3])
        size = weights["R"].shape[0] * weights["R"].shape[2]
        ys = graph.op("Reshape", ys, graph.constant(np.array([0, 0, size])))
    return dict(zip(names, finals, strict=True)), ys
