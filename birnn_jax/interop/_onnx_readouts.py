"""From the states of a sequence to one vector in an ONNX graph: `birnn_jax.models`' readouts."""

from typing import Any

import numpy as np

from .._models.readouts import AttentionPoolParams
from ._layers import as_numpy
from ._onnx_graph import Graph
from ._onnx_layer import add_projection
from ._onnx_recurrence import OnnxCarry
from ._onnx_stack import add_mask


def add_final_states(graph: Graph, carry: OnnxCarry) -> str:
    """Adds `final_states`: `[B, directions * H]`.

    Args:
      graph: to add to.
      carry: of one layer, from `add_stack`.
    """
    if "h" in carry:
        return graph.op("Flatten", carry["h"], axis=1)
    sides = [graph.op("Flatten", carry[name], axis=1) for name in ("h_fwd", "h_bwd")]
    return graph.op("Concat", *sides, axis=1)


def add_mean_pool(graph: Graph, ys: str, lengths: str) -> str:
    """Adds `mean_pool`: `[B, H]`.

    Args:
      graph: to add to.
      ys: the name of a value `[B, T, H]`, zero in padding as `add_stack` leaves it.
      lengths: the name of a value `[B]`, int32.
    """
    mask = graph.cast(add_mask(graph, ys, lengths), np.float32)
    count = graph.reduce("ReduceSum", mask, 1)
    total = graph.reduce("ReduceSum", ys, 1)
    return graph.op("Div", total, graph.op("Max", count, graph.constant(np.float32(1))))


def add_max_pool(graph: Graph, ys: str, lengths: str) -> str:
    """Adds `max_pool`: `[B, H]`.

    Args:
      graph: to add to.
      ys: the name of a value `[B, T, H]`.
      lengths: the name of a value `[B]`, int32.
    """
    lowest, zero = graph.constant(np.float32(-np.inf)), graph.constant(np.float32(0))
    ys = graph.op("Where", add_mask(graph, ys, lengths), ys, lowest)
    # With one step more, there is a maximum of no steps.
    ys = graph.op("Pad", ys, graph.constant(np.array([0, 0, 0, 0, 1, 0])), lowest)
    highest = graph.reduce("ReduceMax", ys, 1)
    some = graph.op("Greater", highest, lowest)
    return graph.op("Where", some, highest, zero)


def add_attention_pool(
    graph: Graph, params: AttentionPoolParams, ys: str, lengths: str
) -> tuple[str, str]:
    """Adds `attention_pool`: the pooled states `[B, H]`, and the weights `[B, T]`.

    Args:
      graph: to add to.
      params: from `init_attention_pool`.
      ys: the name of a value `[B, T, H]`, zero in padding as `add_stack` leaves it.
      lengths: the name of a value `[B]`, int32.
    """
    mask = add_mask(graph, ys, lengths)
    hidden = graph.op("Tanh", add_projection(graph, ys, params.w, params.b))
    scores = graph.op("MatMul", hidden, graph.constant(as_numpy(params.v)[:, None]))
    weights = add_softmax_over_valid(graph, scores, mask, axis=1)
    pooled = graph.reduce("ReduceSum", graph.op("Mul", weights, ys), 1)
    return pooled, graph.op("Squeeze", weights, graph.constant(np.array([2])))


def add_softmax_over_valid(graph: Graph, scores: str, mask: str, *, axis: int) -> str:
    """Weights that add up to 1 over the steps of the mask, and are zero at others."""
    # Not infinity: a row without any step would become NaN.
    lowest = graph.constant(np.finfo(np.float32).min)
    weights = graph.op("Softmax", graph.op("Where", mask, scores, lowest), axis=axis)
    return graph.op("Where", mask, weights, graph.constant(np.float32(0)))


def add_readout(
    graph: Graph, readout: str, params: Any, carry: OnnxCarry, ys: str, lengths: str
) -> tuple[str, str | None]:
    """The vector of each row by any readout of `classifier`, and the weights of attention."""
    if readout == "attention":
        return add_attention_pool(graph, params, ys, lengths)
    if readout == "final":
        return add_final_states(graph, carry), None
    add_pool = {"mean": add_mean_pool, "max": add_max_pool}[readout]
    return add_pool(graph, ys, lengths), None
