"""One layer of a stack in an ONNX graph: its recurrence, and what stands around it."""

from typing import Any, NamedTuple

import numpy as np

from .._stacks.layer import EPSILON, Layer, LayerParams, NormParams
from ._layers import as_numpy
from ._onnx_graph import Graph
from ._onnx_recurrence import OnnxCarry, Steps, add_recurrence


def add_layer(
    graph: Graph,
    layer: Layer,
    params: LayerParams,
    xs: str,
    steps: Steps,
    initial: OnnxCarry | None,
    size: int,
) -> tuple[OnnxCarry, str]:
    """The final states `[directions, B, H]`, and the outputs `[T, B, S]`, not masked.

    `xs` are `[T, B, D]`, subsampled already, with D the `size`; `initial` are the states before the
    first step.
    """
    inputs = _add_norm(graph, xs, params.norm) if layer.norm == "pre" else xs
    carry, ys = add_recurrence(graph, layer, params, inputs, steps, initial, size)
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


class Fewer(NamedTuple):
    """What subsampling leaves: inputs `[T / k, B, S]` and lengths `[B]`."""

    xs: str
    lengths: str


def add_subsampling(graph: Graph, layer: Layer, xs: str, lengths: str) -> Fewer:
    """Groups of k steps of `[T, B, D]` as one; what stands in padding must be zero."""
    every = layer.subsample
    size = graph.constant(np.array([every]))
    if layer.subsample_mode == "first":
        zero, end = graph.constant(np.array([0])), graph.constant(np.array([2**31 - 1]))
        fewer = graph.op("Slice", xs, zero, end, zero, size)
    else:
        missing = graph.op("Mod", graph.op("Neg", graph.op("Shape", xs, start=0, end=1)), size)
        before, after = (graph.constant(np.zeros(n, np.int64)) for n in (3, 2))
        pads = graph.op("Concat", before, missing, after, axis=0)
        xs = graph.op("Pad", xs, pads)
        width = graph.op("Shape", xs, start=1)  # B and D
        groups = graph.op("Concat", graph.constant(np.array([-1, every])), width, axis=0)
        by_group = graph.op("Transpose", graph.op("Reshape", xs, groups), perm=[0, 2, 1, 3])
        rows, features = (graph.op("Shape", by_group, start=at, end=at + 1) for at in (1, 3))
        shape = [graph.op("Shape", by_group, start=0, end=1), rows]
        shape.append(graph.op("Mul", features, size))
        fewer = graph.op("Reshape", by_group, graph.op("Concat", *shape, axis=0), allowzero=1)
    return Fewer(fewer, add_subsampled_lengths(graph, lengths, every))


def add_subsampled_lengths(graph: Graph, lengths: str, every: int) -> str:
    """ceil(lengths / every), `[B]` int32."""
    if every == 1:
        return lengths
    size, one = graph.constant(np.int32(every)), graph.constant(np.int32(1))
    zero = graph.constant(np.int32(0))
    positive = graph.op("Max", lengths, zero)
    groups = graph.op("Div", positive, size)
    rest = graph.op("Min", graph.op("Mod", positive, size), one)
    return graph.op("Add", groups, rest)
