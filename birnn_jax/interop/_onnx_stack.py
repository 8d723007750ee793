"""`stack` in an ONNX graph: layers over the valid steps of rows, from initial to final states."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from .._core.prepared import refuse_prepared
from .._core.types import Cell
from .._stacks.layer import LayerParams, Layers, as_layers
from .._stacks.run import check_stack
from .._stacks.stack import stack_shapes
from ._onnx_graph import Graph
from ._onnx_layer import add_layer, add_subsampled_lengths, add_subsampling
from ._onnx_recurrence import OnnxCarry, Steps, add_loop, carry_names


def add_stack(
    graph: Graph,
    layers: Layers,
    params: Sequence[LayerParams],
    xs: str,
    lengths: str,
    *,
    initial_carry: Sequence[OnnxCarry | None] | None = None,
    input_size: int | None = None,
) -> tuple[list[OnnxCarry], str]:
    """Adds `stack` to a graph.

    Args:
      graph: to add to.
      layers: of the stack, of any cells. Those that ONNX has an operator for become one, others a
        loop over the steps.
      params: of the layers.
      xs: the name of a value `[B, T, D]`.
      lengths: the name of a value `[B]`, int32.
      initial_carry: for each layer the names of the states before the first step, as the final
        ones; None for those of the layer itself. `add_initial_carry` makes inputs of them.
      input_size: features D, where the params of the first cell have no `w_x` that says it.

    Returns:
      carries: for each layer the names of the final states, `h` and perhaps `c`,
        `[B, directions, H]`.
      ys: the name of the outputs `[B, T, S]`; T is less with layers that subsample.

    Raises:
      ValueError: if the params do not fit the layers, or for an operation of a cell that is not
        known here.
    """
    layers = as_layers(layers)
    check_stack(layers, params)
    given = [None] * len(layers) if initial_carry is None else list(initial_carry)
    size = input_size_of(layers, params) if input_size is None else input_size
    num_rows = graph.op("Shape", xs, start=0, end=1)
    xs, lengths = _with_a_row(graph, xs, num_rows, 3), _with_a_row(graph, lengths, num_rows, 1)
    rows, zero = graph.op("Shape", xs, start=0, end=1), graph.constant(np.float32(0))
    ys = graph.op("Transpose", xs, perm=[1, 0, 2])
    steps = _steps(graph, ys, lengths, rows)
    ys = graph.op("Where", steps.valid, ys, zero)
    carries = []
    for layer, own, initial in zip(layers, params, given, strict=True):
        inputs = size
        if layer.subsample > 1:
            ys, lengths = add_subsampling(graph, layer, ys, steps.lengths)
            steps = _steps(graph, ys, lengths, rows)
            inputs *= layer.subsample if layer.subsample_mode == "concat" else 1
        ranks = {name: 1 + len(shape) for name, shape in carry_names(layer, own).items()}
        if initial is not None:
            initial = {
                name: _directions_first(graph, initial[name], num_rows, rank)
                for name, rank in ranks.items()
            }
        carry, ys = add_layer(graph, layer, own, ys, steps, initial, inputs)
        ys = graph.op("Where", steps.valid, ys, zero)
        carries.append(
            {name: _rows_first(graph, carry[name], num_rows, rank) for name, rank in ranks.items()}
        )
        size = stack_shapes([layer], (own,), size)[1].shape[-1]
    return carries, _rows_first(graph, ys, num_rows, 3)


def add_scan_cell(
    graph: Graph,
    cell: Cell,
    params: Any,
    xs: str,
    lengths: str,
    *,
    input_size: int,
    reverse: bool = False,
) -> tuple[OnnxCarry, Any]:
    """Adds `scan_cell` over the step of any cell to a graph.

    Args:
      graph: to add to.
      cell: any `Cell`.
      params: of the cell.
      xs: the name of a value `[B, T, D]`.
      lengths: the name of a value `[B]`, int32.
      input_size: features D.
      reverse: from the last valid step to the first.

    Returns:
      carry: the names of the final states by the names of their leaves, `[B, ...]`.
      ys: the pytree of outputs of the cell, names of values `[B, T, H]`; what stands in padding is
        of no meaning.

    Raises:
      ValueError: for an operation of the cell that is not known here.
    """
    rows = graph.op("Shape", xs, start=0, end=1)
    by_time = graph.op("Transpose", xs, perm=[1, 0, 2])
    steps = _steps(graph, by_time, lengths, rows)
    by_time = graph.op("Where", steps.valid, by_time, graph.constant(np.float32(0)))
    options = {"size": input_size, "reverse": reverse}
    carry, ys = add_loop(graph, cell, params, by_time, steps, None, **options)
    return carry, jax.tree.map(lambda y: graph.op("Transpose", y, perm=[1, 0, 2]), ys)


def add_initial_carry(
    graph: Graph, layers: Layers, params: Sequence[LayerParams]
) -> list[OnnxCarry]:
    """Adds the states before the first step as inputs, `initial_h_LAYER` and so on.

    They are `[B, directions, H]`, as the final states are.

    Args:
      graph: to add to.
      layers: of the stack.
      params: of the layers.

    Returns:
      What `add_stack` takes as `initial_carry`.
    """
    pairs = zip(as_layers(layers), params, strict=True)
    return [
        {
            name: graph.input(f"initial_{name}_{index}", np.float32, ["batch", *shape])
            for name, shape in carry_names(layer, own).items()
        }
        for index, (layer, own) in enumerate(pairs)
    ]


def add_final_carry(
    graph: Graph, layers: Layers, params: Sequence[LayerParams], carries: Sequence[OnnxCarry]
) -> None:
    """Adds the final states as outputs, `h_LAYER` and so on, `[B, directions, H]`.

    Args:
      graph: to add to.
      layers: of the stack.
      params: of the layers.
      carries: from `add_stack`.
    """
    for index, (layer, own, carry) in enumerate(
        zip(as_layers(layers), params, carries, strict=True)
    ):
        for name, shape in carry_names(layer, own).items():
            graph.output(f"{name}_{index}", carry[name], shape=["batch", *shape])


def add_stack_lengths(graph: Graph, layers: Layers, lengths: str) -> str:
    """Adds `stack_lengths`: the valid steps that layers which subsample leave, `[B]` int32.

    Args:
      graph: to add to.
      layers: of the stack.
      lengths: the name of a value `[B]`, int32.
    """
    for layer in as_layers(layers):
        lengths = add_subsampled_lengths(graph, lengths, layer.subsample)
    return lengths


def add_mask(graph: Graph, xs: str, lengths: str) -> str:
    """Adds the mask `[B, T, 1]`, True at valid steps.

    Args:
      graph: to add to.
      xs: the name of a value `[B, T, ...]`.
      lengths: the name of a value `[B]`, int32.
    """
    mask = _below(graph, graph.op("Shape", xs, start=1, end=2), lengths)
    return graph.op("Unsqueeze", mask, graph.constant(np.array([2])))


def input_size_of(layers: Layers, params: Sequence[LayerParams]) -> int:
    """The features of a step that the stack reads."""
    refuse_prepared(params)
    layer, first = as_layers(layers)[0], params[0].rnn
    first = getattr(first, "fwd", first)
    if not hasattr(first, "w_x"):
        raise ValueError(
            "The params of the first cell have no w_x that says how many features it reads: give "
            "input_size."
        )
    joined = layer.subsample if layer.subsample_mode == "concat" else 1
    return first.w_x.shape[0] // joined


def _steps(graph: Graph, by_time: str, lengths: str, rows: str) -> Steps:
    """What there is to know of the steps of `[T, B, D]`."""
    num_steps = graph.op("Shape", by_time, start=0, end=1)
    lengths = graph.op("Min", lengths, graph.cast(num_steps, np.int32))
    valid = graph.op("Transpose", _below(graph, num_steps, lengths), perm=[1, 0])
    some = graph.op("Greater", lengths, graph.constant(np.int32(0)))
    return Steps(
        lengths,
        valid=graph.op("Unsqueeze", valid, graph.constant(np.array([2]))),
        some=graph.op("Unsqueeze", some, graph.constant(np.array([0, 2]))),
        rows=rows,
    )


def _below(graph: Graph, num_steps: str, lengths: str) -> str:
    """`[B, T]` bool, True at valid steps; `num_steps` is `[1]`."""
    zero, stride = graph.constant(np.int64(0)), graph.constant(np.int64(1))
    steps = graph.op("Range", zero, graph.op("Squeeze", num_steps), stride)
    lengths = graph.op("Unsqueeze", lengths, graph.constant(np.array([1])))
    return graph.op("Less", graph.cast(steps, np.int32), lengths)


def _with_a_row(graph: Graph, value: str, num_rows: str, rank: int) -> str:
    """`value` with a row of zeros if it has none: ONNX Runtime crashes on a batch without rows."""
    missing = graph.op("Sub", graph.constant(np.array([1])), num_rows)
    missing = graph.op("Max", missing, graph.constant(np.array([0])))
    before, after = (graph.constant(np.zeros(n, np.int64)) for n in (rank, rank - 1))
    pads = graph.op("Concat", before, missing, after, axis=0)
    return graph.op("Pad", value, pads)


def _directions_first(graph: Graph, value: str, num_rows: str, rank: int) -> str:
    """`[B, directions, ...]` as `[directions, B, ...]`, with a row if there is none."""
    value = _with_a_row(graph, value, num_rows, rank)
    return graph.op("Transpose", value, perm=[1, 0, *range(2, rank)])


def _rows_first(graph: Graph, value: str, num_rows: str, rank: int) -> str:
    """`[A, B, ...]` as `[B, A, ...]`, without the row that was added to none."""
    zero = graph.constant(np.array([0]))
    value = graph.op("Transpose", value, perm=[1, 0, *range(2, rank)])
    return graph.op("Slice", value, zero, num_rows, zero)
