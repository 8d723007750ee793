"""Decoders in an ONNX graph: the best labels of a CRF, and of CTC."""

import numpy as np

from .._core.checks import check_made_by
from ..heads._crf import CRFParams
from ._onnx_graph import Graph
from ._onnx_stack import add_mask


def add_crf_decode(graph: Graph, params: CRFParams, logits: str, lengths: str) -> tuple[str, str]:
    """Adds `crf_decode`, the Viterbi algorithm as two loops over the steps.

    Args:
      graph: to add to.
      params: from `init_crf`, or from `constrain_crf`.
      logits: the name of a value `[B, T, K]`.
      lengths: the name of a value `[B]`, int32.

    Returns:
      The names of the labels `[B, T]` int32, -1 in padding, and of their scores `[B]`.
    """
    check_made_by("init_crf", CRFParams, params)
    num_classes = len(params.start)
    transitions, start, end = (graph.constant(np.asarray(part, np.float32)) for part in params)
    zero, label_axis = graph.constant(np.float32(0)), graph.constant(np.array([2]))
    rows = graph.op("Shape", logits, start=0, end=1)
    mask = add_mask(graph, logits, lengths)
    scores = graph.op("Where", mask, logits, zero)
    by_time = [graph.op("Transpose", value, perm=[1, 0, 2]) for value in (scores, mask)]

    def shape_of(*sizes: int) -> str:
        return graph.op("Concat", rows, graph.constant(np.array(sizes, np.int64)), axis=0)

    def forwards(body: Graph, carries: list[str], now: list[str]) -> tuple[list[str], list[str]]:
        best, total, is_first = carries  # [B, K], [B, 1], [1, 1]
        scores, valid = now  # [B, K], [B, 1]
        pairs = body.op("Add", body.op("Unsqueeze", best, label_axis), transitions)  # [B, K, K]
        origins = body.op("ArgMax", pairs, axis=1, keepdims=0)  # [B, K]
        goes_on = body.reduce("ReduceMax", pairs, 1)
        before = body.op("Where", body.op("Greater", is_first, zero), start, goes_on)
        new = body.op("Add", before, scores)
        highest = body.reduce("ReduceMax", new, 1, keepdims=True)
        # Where all is forbidden, by minus infinity, no difference of two infinities.
        lowered = body.op("Where", body.op("IsInf", highest), zero, highest)
        new = body.op("Where", valid, body.op("Sub", new, lowered), best)
        total = body.op("Add", total, body.op("Where", valid, highest, zero))
        return [new, total, body.constant(np.zeros((1, 1), np.float32))], [origins]

    begin = graph.op("Expand", zero, shape_of(num_classes))
    nothing = graph.op("Expand", zero, shape_of(1))
    carries = [(begin, np.float32), (nothing, np.float32)]
    carries.append((graph.constant(np.ones((1, 1), np.float32)), np.float32))
    inputs = [(by_time[0], np.float32), (by_time[1], np.bool_)]
    (best, total, _), (origins,) = graph.scan(forwards, carries, inputs)
    ended = graph.op("Add", best, end)
    label = graph.op("ArgMax", ended, axis=1, keepdims=1)  # [B, 1]
    total = graph.op("Add", total, graph.reduce("ReduceMax", ended, 1, keepdims=True))

    def backwards(body: Graph, carries: list[str], now: list[str]) -> tuple[list[str], list[str]]:
        (label,), (origins, valid) = carries, now
        before = body.op("GatherElements", origins, label, axis=1)
        shown = body.op("Where", valid, label, body.constant(np.int64(-1)))
        return [body.op("Where", valid, before, label)], [shown]

    inputs = [(origins, np.int64), (by_time[1], np.bool_)]
    _, (labels,) = graph.scan(backwards, [(label, np.int64)], inputs, reverse=True)  # [T, B, 1]
    labels = graph.op("Transpose", graph.op("Squeeze", labels, label_axis), perm=[1, 0])
    num_steps = graph.cast(graph.op("Shape", logits, start=1, end=2), np.int32)
    count = graph.op("Min", lengths, num_steps)
    some = graph.op("Greater", count, graph.constant(np.int32(0)))
    possible = graph.op("Not", graph.op("IsInf", total))  # [B, 1]
    labels = graph.op("Where", possible, labels, graph.constant(np.int64(-1)))
    total = graph.op("Squeeze", total, graph.constant(np.array([1])))
    return graph.cast(labels, np.int32), graph.op("Where", some, total, zero)


def add_ctc_greedy_decode(
    graph: Graph, logits: str, lengths: str, *, blank: int = 0
) -> tuple[str, str]:
    """Adds `ctc_greedy_decode`.

    Args:
      graph: to add to.
      logits: the name of a value `[B, T, K]`.
      lengths: the name of a value `[B]`, int32.
      blank: the class that stands for no label.

    Returns:
      The names of the labels `[B, T]` int32, from the left, -1 behind them, and of how many there
      are, `[B]` int32.
    """
    mask = graph.op("Squeeze", add_mask(graph, logits, lengths), graph.constant(np.array([2])))
    no_label = graph.constant(np.int64(blank))
    path = graph.op("Where", mask, graph.op("ArgMax", logits, axis=2, keepdims=0), no_label)
    behind = graph.constant(np.array([0, 1, 0, 0]))
    before = graph.op("Pad", path, behind, no_label)
    ends = graph.constant(np.array([0])), graph.constant(np.array([-1]))
    before = graph.op("Slice", before, *ends, graph.constant(np.array([1])))
    is_label, repeats = (graph.op("Equal", path, other) for other in (no_label, before))
    kept = graph.op("And", graph.op("Not", is_label), graph.op("Not", repeats))
    counts = graph.cast(kept, np.int64)
    axis = graph.constant(np.int64(1))
    places = graph.op("Sub", graph.op("CumSum", counts, axis), axis)
    num_steps = graph.op("Shape", path, start=1, end=2)
    places = graph.op("Where", kept, places, num_steps)  # what is not kept goes behind the rest
    one_more = graph.op("Add", graph.op("Shape", path), graph.constant(np.array([0, 1])))
    nothing = graph.op("Expand", graph.constant(np.int64(-1)), one_more)
    labels = graph.op("ScatterElements", nothing, places, path, axis=1)
    zero = graph.constant(np.array([0]))
    labels = graph.op("Slice", labels, zero, num_steps, graph.constant(np.array([1])))
    return graph.cast(labels, np.int32), graph.cast(graph.reduce("ReduceSum", counts, 1), np.int32)
