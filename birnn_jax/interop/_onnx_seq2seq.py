"""`birnn_jax.models.seq2seq` in two ONNX graphs: what reads the source, and one step of the target.

The search for the best target stays outside: it calls the second graph once for each token.
"""

import functools
from typing import Any

import jax
import numpy as np

from .._core.affine import AffineParams
from .._core.checks import check_made_by
from .._models.seq2seq.model import Seq2Seq, Seq2SeqParams, check_model
from ._onnx_attention import add_additive_attention, add_general_attention
from ._onnx_graph import Graph
from ._onnx_inputs import add_embedding
from ._onnx_layer import add_projection
from ._onnx_program import add_function
from ._onnx_readouts import add_final_states
from ._onnx_recurrence import OnnxCarry, leaves_of
from ._onnx_stack import add_stack, add_stack_lengths, input_size_of


def add_bridge(graph: Graph, params: Any, carry: OnnxCarry) -> OnnxCarry:
    """Adds `bridge`: the states `[B, H]` from which a decoder starts, by their names.

    Args:
      graph: to add to.
      params: from `init_bridge`.
      carry: of a layer of the encoder, from `add_stack`.
    """
    # All leaves of one direction, then all of the other.
    state = graph.op("Flatten", graph.op("Concat", *carry.values(), axis=2), axis=1)
    maps = jax.tree.leaves_with_path(params, is_leaf=lambda node: isinstance(node, AffineParams))
    return {
        str(getattr(path[-1], "name", path[-1])): graph.op(
            "Tanh", add_projection(graph, state, part.w, part.b)
        )
        for path, part in maps
    }


def add_seq2seq_encoder(graph: Graph, model: Seq2Seq, params: Seq2SeqParams) -> None:
    """Adds `seq2seq_encode` with its inputs and outputs to a graph of its own.

    Inputs are `source`, tokens `[B, T]` int32 or features `[B, T, D]`, and `source_lengths` `[B]`.
    Outputs are what the graph of `add_seq2seq_step` reads: `states` `[B, T', S]` with their
    `state_lengths`, without attention the `summary` in their place, the states of the decoder `h`
    and perhaps `c`, and `fed` `[B, E]`.

    Args:
      graph: to add to.
      model: as given to `init_seq2seq`.
      params: from `init_seq2seq`.
    """
    check_model(model)
    check_made_by("init_seq2seq", Seq2SeqParams, params)
    layers: Any = model.layers
    lengths = graph.input("source_lengths", np.int32, ["batch"])
    if params.source is None:
        size = input_size_of(layers, params.encoder)
        xs = graph.input("source", np.float32, ["batch", "source_time", size])
    else:
        tokens = graph.input("source", np.int32, ["batch", "source_time"])
        xs = add_embedding(graph, params.source, tokens)
    carries, states = add_stack(graph, layers, params.encoder, xs, lengths)
    for name, value in add_bridge(graph, params.bridge, carries[-1]).items():
        graph.output(name, value, shape=["batch", _hidden_size(model, params)])
    rows = graph.op("Shape", states, start=0, end=1)
    width = graph.constant(np.array([params.target.shape[1]]))
    fed = graph.op("Expand", graph.constant(np.float32(0)), graph.op("Concat", rows, width, axis=0))
    graph.output("fed", fed, shape=["batch", params.target.shape[1]])
    if model.attention == "none":
        graph.output("summary", add_final_states(graph, carries[-1]), rank=2)
    else:
        graph.output("states", states, shape=["batch", "states", _state_size(params)])
    shorter = add_stack_lengths(graph, layers, lengths)
    graph.output("state_lengths", shorter, shape=["batch"], dtype=np.int32)


def add_seq2seq_step(graph: Graph, model: Seq2Seq, params: Seq2SeqParams) -> None:
    """Adds `seq2seq_step` with its inputs and outputs to a graph of its own.

    Inputs are `tokens` `[B]` int32, `model.begin` first, and what the graph of
    `add_seq2seq_encoder` puts out, or the step before. Outputs are `logits` `[B, K]` of the next
    token, `weights` `[B, T']` of attention where there is any, and `next_h`, perhaps `next_c`, and
    `next_fed`.

    Args:
      graph: to add to.
      model: as given to `init_seq2seq`.
      params: from `init_seq2seq`.
    """
    check_model(model)
    check_made_by("init_seq2seq", Seq2SeqParams, params)
    size, width = _hidden_size(model, params), params.target.shape[1]
    tokens = graph.input("tokens", np.int32, ["batch"])
    carry = jax.eval_shape(model.cell.init_carry, params.decoder)
    names = [graph.input(name, np.float32, ["batch", size]) for name in leaves_of(carry)]
    fed = graph.input("fed", np.float32, ["batch", width])
    words = add_embedding(graph, params.target, tokens)
    x = graph.op("Concat", words, fed, axis=1)
    before = jax.tree.unflatten(jax.tree.structure(carry), [(name, (size,)) for name in names])
    step = functools.partial(model.cell.step, params.decoder)
    rows = graph.op("Shape", fed, start=0, end=1)
    after, hs = add_function(graph, step, before, (x, (2 * width,)), rows=rows)
    if model.attention == "none":
        context = graph.input("summary", np.float32, ["batch", params.w.shape[0] - size])
    else:
        context = _add_context(graph, model, params, hs, size)
    joined = graph.op("Concat", hs, context, axis=1)
    new = graph.op("Tanh", graph.op("MatMul", joined, graph.constant(params.w)))
    logits = add_projection(graph, new, np.asarray(params.target).T, params.b)
    graph.output("logits", logits, shape=["batch", params.target.shape[0]])
    for name, value in zip(names, jax.tree.leaves(after), strict=True):
        graph.output(f"next_{name}", value, shape=["batch", size])
    graph.output("next_fed", new, shape=["batch", width])


def _add_context(graph: Graph, model: Seq2Seq, params: Seq2SeqParams, hs: str, size: int) -> str:
    states = graph.input("states", np.float32, ["batch", "states", _state_size(params)])
    lengths = graph.input("state_lengths", np.int32, ["batch"])
    one = graph.constant(np.array([1]))
    queries = graph.op("Unsqueeze", hs, one)
    if model.attention == "additive":
        found = add_additive_attention(graph, params.attention, queries, states, lengths)
    else:
        scale = graph.constant(np.float32(_state_size(params) ** -0.5))
        queries = graph.op("Mul", queries, scale)
        found = add_general_attention(graph, params.attention, queries, states, lengths)
    context, weights = (graph.op("Squeeze", value, one) for value in found)
    graph.output("weights", weights, shape=["batch", "states"])
    return context


def _hidden_size(model: Seq2Seq, params: Seq2SeqParams) -> int:
    return jax.tree.leaves(jax.eval_shape(model.cell.init_carry, params.decoder))[0].shape[0]


def _state_size(params: Seq2SeqParams) -> int:
    """Features of the states that attention reads."""
    part = getattr(params.attention, "w_states", None)
    return params.attention.w.shape[1] if part is None else part.shape[0]
