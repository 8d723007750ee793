"""Attention over the valid states of an encoder in an ONNX graph."""

import numpy as np

from .._core.checks import check_made_by
from ..heads._attention import AdditiveAttentionParams, GeneralAttentionParams
from ._onnx_graph import Graph
from ._onnx_readouts import add_softmax_over_valid
from ._onnx_stack import add_mask


def add_additive_attention(
    graph: Graph, params: AdditiveAttentionParams, queries: str, states: str, lengths: str
) -> tuple[str, str]:
    """Adds `additive_attention`: contexts `[B, N, S]` and weights `[B, N, T]`.

    Args:
      graph: to add to.
      params: from `init_additive_attention`.
      queries: the name of a value `[B, N, Q]`.
      states: the name of a value `[B, T, S]`.
      lengths: the name of a value `[B]`, int32, of the states.
    """
    check_made_by("init_additive_attention", AdditiveAttentionParams, params)
    mask = add_mask(graph, states, lengths)
    states = graph.op("Where", mask, states, graph.constant(np.float32(0)))
    parts = []
    for value, weights, axis in ((queries, params.w_query, 2), (states, params.w_states, 1)):
        product = graph.op("MatMul", value, graph.constant(weights))
        parts.append(graph.op("Unsqueeze", product, graph.constant(np.array([axis]))))
    hidden = graph.op("Tanh", graph.op("Add", *parts))  # [B, N, T, A]
    scores = graph.op("MatMul", hidden, graph.constant(np.asarray(params.v)[:, None]))
    scores = graph.op("Squeeze", scores, graph.constant(np.array([3])))
    return _attend(graph, scores, states, mask)


def add_dot_attention(graph: Graph, queries: str, states: str, lengths: str) -> tuple[str, str]:
    """Adds `dot_attention`: contexts `[B, N, S]` and weights `[B, N, T]`.

    Args:
      graph: to add to.
      queries: the name of a value `[B, N, S]`.
      states: the name of a value `[B, T, S]`.
      lengths: the name of a value `[B]`, int32, of the states.
    """
    mask = add_mask(graph, states, lengths)
    states = graph.op("Where", mask, states, graph.constant(np.float32(0)))
    turned = graph.op("Transpose", states, perm=[0, 2, 1])
    return _attend(graph, graph.op("MatMul", queries, turned), states, mask)


def add_general_attention(
    graph: Graph, params: GeneralAttentionParams, queries: str, states: str, lengths: str
) -> tuple[str, str]:
    """Adds `general_attention`: contexts `[B, N, S]` and weights `[B, N, T]`.

    Args:
      graph: to add to.
      params: from `init_general_attention`.
      queries: the name of a value `[B, N, Q]`.
      states: the name of a value `[B, T, S]`.
      lengths: the name of a value `[B]`, int32, of the states.
    """
    check_made_by("init_general_attention", GeneralAttentionParams, params)
    queries = graph.op("MatMul", queries, graph.constant(params.w))
    return add_dot_attention(graph, queries, states, lengths)


def _attend(graph: Graph, scores: str, states: str, mask: str) -> tuple[str, str]:
    """`scores` is `[B, N, T]`, `mask` `[B, T, 1]`."""
    valid = graph.op("Transpose", mask, perm=[0, 2, 1])
    weights = add_softmax_over_valid(graph, scores, valid, axis=2)
    return graph.op("MatMul", weights, states), weights
