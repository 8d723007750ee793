"""ONNX: stacks, taggers and classifiers as models for any runtime, and single operators in and out.

A model takes `xs` `[B, T, D]` float32 and `lengths` `[B]` int32, with B and T free, and keeps the
contract of `birnn_jax.stack`: what stands in padding is never used, outputs there are zero, a row
of length 0 keeps the initial states, a length above T counts as T. The operators promise none of
this beyond `sequence_lens`, so the graph masks their inputs, outputs and final states itself.

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
from ._layers import as_numpy
from ._onnx_graph import Graph as Graph
from ._onnx_layer import OnnxCarry, add_layer
from ._onnx_layer import add_projection as add_projection
from ._onnx_weights import from_onnx as from_onnx
from ._onnx_weights import from_onnx_model as from_onnx_model
from ._onnx_weights import to_onnx as to_onnx


def stack_to_onnx(layers: Layers, params: Sequence[LayerParams]) -> Any:
    """The model of `stack`: an `onnx.ModelProto`, which `onnx.save` writes to a file.

    Its outputs are `ys` and, for each layer, the final states `h_LAYER` and, in an LSTM,
    `c_LAYER`, `[B, directions, H]`.

    Args:
      layers: of the stack.
      params: of the layers.

    Raises:
      ValueError: for a cell that ONNX has not, directions that differ in cell or size, or a layer
        that subsamples or has a learned carry.
    """
    layers = as_layers(layers)
    check_stack(layers, params)
    graph, xs, lengths = _start(params)
    carries, ys = add_stack(graph, layers, params, xs, lengths)
    graph.output("ys", ys, rank=3)
    for index, carry in enumerate(carries):
        for name, value in carry.items():
            graph.output(f"{name}_{index}", value, rank=3)
    return graph.model()


def tagger_to_onnx(layers: Layers, params: TaggerParams) -> Any:
    """The model of `tagger`, with the output `logits` `[B, T, K]`; tokens are int32.

    Args:
      layers: of the stack.
      params: of the tagger.

    Raises:
      ValueError: as `stack_to_onnx`.
    """
    check_made_by("init_tagger", TaggerParams, params)
    graph, xs, lengths = _start(params.rnn, params.embedding)
    _, ys = add_stack(graph, layers, params.rnn, xs, lengths)
    graph.output("logits", add_projection(graph, ys, params.w, params.b), rank=3)
    return graph.model()


def classifier_to_onnx(
    layers: Layers, params: ClassifierParams, *, readout: Readout = "final"
) -> Any:
    """The model of `classifier`, with the output `logits` `[B, K]`; tokens are int32.

    Args:
      layers: of the stack.
      params: from `init_classifier`, with the same `readout`.
      readout: as in `classifier`.

    Raises:
      ValueError: as `stack_to_onnx`, and if the readout does not fit the params.
    """
    check_made_by("init_classifier", ClassifierParams, params)
    if (readout == "attention") != (params.attention is not None):
        raise ValueError(
            f"readout={readout!r} does not fit the params: give init_classifier the same readout."
        )
    graph, xs, lengths = _start(params.rnn, params.embedding)
    carries, ys = add_stack(graph, layers, params.rnn, xs, lengths)
    if readout == "final":
        pooled = add_final_states(graph, carries[-1])
    else:
        mask = add_mask(graph, ys, lengths)
        pooled = _POOLS[readout](graph, ys, mask, params.attention)
    graph.output("logits", add_projection(graph, pooled, params.w, params.b), rank=2)
    return graph.model()


def add_stack(
    graph: Graph, layers: Layers, params: Sequence[LayerParams], xs: str, lengths: str
) -> tuple[list[OnnxCarry], str]:
    """Adds `stack` to a graph.

    Args:
      graph: to add to.
      layers: of the stack.
      params: of the layers.
      xs: the name of a value `[B, T, D]`.
      lengths: the name of a value `[B]`, int32.

    Returns:
      carries: for each layer the names of the final states, `h` and perhaps `c`,
        `[B, directions, H]`.
      ys: the name of the outputs `[B, T, S]`.
    """
    layers = as_layers(layers)
    check_stack(layers, params)
    num_rows = graph.op("Shape", xs, start=0, end=1)
    xs, lengths = (_with_a_row(graph, value, num_rows) for value in (xs, lengths))
    mask = add_mask(graph, xs, lengths)
    zero = graph.constant(np.float32(0))
    num_steps = graph.op("Cast", graph.op("Shape", xs, start=1, end=2), to=_INT32)
    lengths = graph.op("Min", lengths, num_steps)
    has_steps = graph.op("Greater", lengths, graph.constant(np.int32(0)))
    has_steps = graph.op("Unsqueeze", has_steps, graph.constant(np.array([0, 2])))  # [1, B, 1]
    mask = graph.op("Transpose", mask, perm=[1, 0, 2])
    ys = graph.op("Where", mask, graph.op("Transpose", xs, perm=[1, 0, 2]), zero)
    carries = []
    for layer, layer_params in zip(layers, params, strict=True):
        carry, ys = add_layer(graph, layer, layer_params, ys, lengths)
        ys = graph.op("Where", mask, ys, zero)
        finals = {name: graph.op("Where", has_steps, x, zero) for name, x in carry.items()}
        carries.append({name: _rows_first(graph, x, num_rows) for name, x in finals.items()})
    return carries, _rows_first(graph, ys, num_rows)


def add_final_states(graph: Graph, carry: OnnxCarry) -> str:
    """Adds `final_states`: `[B, directions * H]`.

    Args:
      graph: to add to.
      carry: of one layer, from `add_stack`.
    """
    return graph.op("Flatten", carry["h"], axis=1)


def add_mask(graph: Graph, xs: str, lengths: str) -> str:
    """Adds the mask `[B, T, 1]`, True at valid steps.

    Args:
      graph: to add to.
      xs: the name of a value `[B, T, D]`.
      lengths: the name of a value `[B]`, int32.
    """
    zero, stride = graph.constant(np.int64(0)), graph.constant(np.int64(1))
    num_steps = graph.op("Squeeze", graph.op("Shape", xs, start=1, end=2))
    steps = graph.op("Cast", graph.op("Range", zero, num_steps, stride), to=_INT32)
    below = graph.op("Unsqueeze", lengths, graph.constant(np.array([1])))
    mask = graph.op("Less", steps, below)
    return graph.op("Unsqueeze", mask, graph.constant(np.array([2])))


_INT32 = 6  # TensorProto.INT32


def _with_a_row(graph: Graph, value: str, num_rows: str) -> str:
    """`value` with a row of zeros if it has none: ONNX Runtime crashes on a batch without rows."""
    missing = graph.op("Sub", graph.constant(np.array([1])), num_rows)
    missing = graph.op("Max", missing, graph.constant(np.array([0])))
    pads = graph.op("Concat", graph.constant(np.array([0])), missing, axis=0)
    return graph.op("Pad", value, pads, "", graph.constant(np.array([0])))


def _rows_first(graph: Graph, value: str, num_rows: str) -> str:
    """`[A, B, S]` as `[B, A, S]`, without the row that was added to none."""
    zero = graph.constant(np.array([0]))
    value = graph.op("Transpose", value, perm=[1, 0, 2])
    return graph.op("Slice", value, zero, num_rows, zero)


def _start(params: Sequence[LayerParams], embedding: Any = None) -> tuple[Graph, str, str]:
    """A graph with its inputs: `xs` as the stack reads them, and `lengths`."""
    graph = Graph()
    if embedding is None:
        xs = graph.input("xs", np.float32, ["batch", "time", _input_size(params)])
    else:
        tokens = graph.input("xs", np.int32, ["batch", "time"])
        xs = graph.op("Gather", graph.constant(embedding), _clip(graph, tokens, len(embedding)))
    return graph, xs, graph.input("lengths", np.int32, ["batch"])


def _clip(graph: Graph, tokens: str, size: int) -> str:
    """Tokens for which there is a row, as padding may hold anything."""
    low, high = (graph.constant(np.int32(limit)) for limit in (0, size - 1))
    return graph.op("Clip", tokens, low, high)


def _input_size(params: Sequence[LayerParams]) -> int:
    first = params[0].rnn
    return getattr(first, "fwd", first).w_x.shape[0]


def _add_mean_pool(graph: Graph, ys: str, mask: str, _: Any) -> str:
    axis = graph.constant(np.array([1]))
    total = graph.op("ReduceSum", ys, axis, keepdims=0)
    count = graph.op("ReduceSum", graph.op("Cast", mask, to=1), axis, keepdims=0)
    return graph.op("Div", total, graph.op("Max", count, graph.constant(np.float32(1))))


def _add_max_pool(graph: Graph, ys: str, mask: str, _: Any) -> str:
    axis, lowest = graph.constant(np.array([1])), graph.constant(np.float32(-np.inf))
    highest = graph.op("ReduceMax", graph.op("Where", mask, ys, lowest), axis, keepdims=0)
    count = graph.op("ReduceSum", graph.op("Cast", mask, to=1), axis, keepdims=0)
    zero = graph.constant(np.float32(0))
    return graph.op("Where", graph.op("Greater", count, zero), highest, zero)


def _add_attention_pool(graph: Graph, ys: str, mask: str, params: Any) -> str:
    hidden = graph.op("Tanh", add_projection(graph, ys, params.w, params.b))
    scores = graph.op("MatMul", hidden, graph.constant(as_numpy(params.v)[:, None]))
    # Not infinity: a row without any step would become NaN. Its weights meet zeros only.
    lowest = graph.constant(np.finfo(np.float32).min)
    weights = graph.op("Softmax", graph.op("Where", mask, scores, lowest), axis=1)
    axis = graph.constant(np.array([1]))
    return graph.op("ReduceSum", graph.op("Mul", weights, ys), axis, keepdims=0)


_POOLS = {"mean": _add_mean_pool, "max": _add_max_pool, "attention": _add_attention_pool}
