"""ONNX: stacks, models and heads as graphs for any runtime, and single operators in and out.

A model takes `xs` `[B, T, D]` float32 and `lengths` `[B]` int32, with B and T free, and keeps the
contract of `birnn_jax.stack`: what stands in padding is never used, outputs there are zero, a row
of length 0 keeps the initial states, a length above T counts as T. The operators promise none of
this beyond `sequence_lens`, so the graph masks their inputs, outputs and final states itself.

A `Graph` is put together from the functions that begin with `add_`, one for each part of a model;
they take and return the names of values. A cell for which ONNX has no operator becomes a loop over
its steps, so that any cell can be written.

It computes in float32 whatever the parameters are, for evaluation: there is no dropout in it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.checks import check_made_by
from .._models.classifier import ClassifierParams, Readout
from .._models.tagger import TaggerParams
from .._stacks.layer import LayerParams, Layers, as_layers
from .._stacks.run import check_stack
from ._onnx_attention import add_additive_attention as add_additive_attention
from ._onnx_attention import add_dot_attention as add_dot_attention
from ._onnx_attention import add_general_attention as add_general_attention
from ._onnx_graph import OPSET
from ._onnx_graph import Graph as Graph
from ._onnx_heads import add_crf_decode as add_crf_decode
from ._onnx_heads import add_ctc_greedy_decode as add_ctc_greedy_decode
from ._onnx_inputs import add_character_encoder as add_character_encoder
from ._onnx_inputs import add_embedding as add_embedding
from ._onnx_layer import add_projection as add_projection
from ._onnx_readouts import add_attention_pool as add_attention_pool
from ._onnx_readouts import add_final_states as add_final_states
from ._onnx_readouts import add_max_pool as add_max_pool
from ._onnx_readouts import add_mean_pool as add_mean_pool
from ._onnx_readouts import add_readout
from ._onnx_seq2seq import add_bridge as add_bridge
from ._onnx_seq2seq import add_seq2seq_encoder as add_seq2seq_encoder
from ._onnx_seq2seq import add_seq2seq_step as add_seq2seq_step
from ._onnx_stack import add_final_carry as add_final_carry
from ._onnx_stack import add_initial_carry as add_initial_carry
from ._onnx_stack import add_mask as add_mask
from ._onnx_stack import add_scan_cell as add_scan_cell
from ._onnx_stack import add_stack as add_stack
from ._onnx_stack import add_stack_lengths as add_stack_lengths
from ._onnx_stack import input_size_of
from ._onnx_variants import quantized as quantized
from ._onnx_variants import with_sizes as with_sizes
from ._onnx_weights import from_onnx as from_onnx
from ._onnx_weights import from_onnx_model as from_onnx_model
from ._onnx_weights import to_onnx as to_onnx


def stack_to_onnx(
    layers: Layers,
    params: Sequence[LayerParams],
    *,
    initial_carry: bool = False,
    opset: int = OPSET,
) -> Any:
    """The model of `stack`: an `onnx.ModelProto`, which `onnx.save` writes to a file.

    Its outputs are `ys` and, for each layer, the final states `h_LAYER` and, in an LSTM,
    `c_LAYER`, `[B, directions, H]`.

    Args:
      layers: of the stack.
      params: of the layers.
      initial_carry: whether the states before the first step are inputs, `initial_h_LAYER` and so
        on, of the shapes of the final ones. With layers of direction "fwd" a sequence is then read
        in parts, each from the final states of the part before.
      opset: version of the operators, from 17 on.

    Raises:
      ValueError: as `add_stack`, and for a version that the package onnx has not.
    """
    layers = as_layers(layers)
    check_stack(layers, params)
    graph, xs, lengths = _start(layers, params, opset)
    initial = add_initial_carry(graph, layers, params) if initial_carry else None
    carries, ys = add_stack(graph, layers, params, xs, lengths, initial_carry=initial)
    graph.output("ys", ys, rank=3)
    add_final_carry(graph, layers, params, carries)
    return graph.model()


def tagger_to_onnx(layers: Layers, params: TaggerParams, *, opset: int = OPSET) -> Any:
    """The model of `tagger`, with the output `logits` `[B, T, K]`; tokens are int32.

    Args:
      layers: of the stack.
      params: of the tagger.
      opset: version of the operators, from 17 on.

    Raises:
      ValueError: as `stack_to_onnx`.
    """
    check_made_by("init_tagger", TaggerParams, params)
    graph, xs, lengths = _start(layers, params.rnn, opset, params.embedding)
    _, ys = add_stack(graph, layers, params.rnn, xs, lengths)
    graph.output("logits", add_projection(graph, ys, params.w, params.b), rank=3)
    return graph.model()


def classifier_to_onnx(
    layers: Layers,
    params: ClassifierParams,
    *,
    readout: Readout = "final",
    weights: bool = False,
    opset: int = OPSET,
) -> Any:
    """The model of `classifier`, with the output `logits` `[B, K]`; tokens are int32.

    Args:
      layers: of the stack.
      params: from `init_classifier`, with the same `readout`.
      readout: as in `classifier`.
      weights: whether the weights of attention are a second output, `weights` `[B, T]`.
      opset: version of the operators, from 17 on.

    Raises:
      ValueError: as `stack_to_onnx`, and if the readout does not fit the params.
    """
    check_made_by("init_classifier", ClassifierParams, params)
    if (readout == "attention") != (params.attention is not None):
        raise ValueError(
            f"readout={readout!r} does not fit the params: give init_classifier the same readout."
        )
    graph, xs, lengths = _start(layers, params.rnn, opset, params.embedding)
    if weights and readout != "attention":
        raise ValueError(f"weights=True needs readout='attention', got readout={readout!r}.")
    logits, found = add_classifier(graph, layers, params, xs, lengths, readout=readout)
    graph.output("logits", logits, rank=2)
    if weights and found is not None:
        graph.output("weights", found, rank=2)
    return graph.model()


def add_classifier(
    graph: Graph,
    layers: Layers,
    params: ClassifierParams,
    xs: str,
    lengths: str,
    *,
    readout: Readout = "final",
) -> tuple[str, str | None]:
    """Adds `classifier` of features to a graph.

    Args:
      graph: to add to.
      layers: of the stack.
      params: from `init_classifier`, with the same `readout`.
      xs: the name of a value `[B, T, D]`.
      lengths: the name of a value `[B]`, int32.
      readout: as in `classifier`.

    Returns:
      The names of the logits `[B, K]`, and of the weights of attention `[B, T]`, None for another
      readout.
    """
    carries, ys = add_stack(graph, layers, params.rnn, xs, lengths)
    fewer = add_stack_lengths(graph, layers, lengths)
    pooled, weights = add_readout(graph, readout, params.attention, carries[-1], ys, fewer)
    return add_projection(graph, pooled, params.w, params.b), weights


def _start(
    layers: Layers, params: Sequence[LayerParams], opset: int, embedding: Any = None
) -> tuple[Graph, str, str]:
    """A graph with its inputs: `xs` as the stack reads them, and `lengths`."""
    graph = Graph(opset)
    if embedding is None:
        xs = graph.input("xs", np.float32, ["batch", "time", input_size_of(layers, params)])
    else:
        xs = add_embedding(graph, embedding, graph.input("xs", np.int32, ["batch", "time"]))
    return graph, xs, graph.input("lengths", np.int32, ["batch"])
