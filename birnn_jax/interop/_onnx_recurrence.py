"""The recurrence of a layer in an ONNX graph: an operator, or a loop over the step of any cell."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from .._core.types import Bi, Cell
from .._stacks.layer import Layer, LayerParams
from ._layers import CellParams, as_numpy, directions_of, has_operator
from ._onnx_graph import Graph
from ._onnx_program import add_function
from ._onnx_weights import OPERATORS, export_operator

OnnxCarry = dict[str, str]
"""Names of states by the names of their leaves, such as h and c."""

_REDUCTIONS = {"sum": "ReduceSum", "mul": "ReduceProd", "mean": "ReduceMean"}


class Steps(NamedTuple):
    """What a layer knows of the steps of its rows: names of values."""

    lengths: str  # [B] int32, at most T
    valid: str  # [T, B, 1] bool
    some: str  # [1, B, 1] bool, rows with a step
    rows: str  # [1] int64, B


def add_recurrence(
    graph: Graph,
    layer: Layer,
    params: LayerParams,
    xs: str,
    steps: Steps,
    initial: OnnxCarry | None,
    size: int,
) -> tuple[OnnxCarry, str]:
    """The final states `[directions, B, H]` and the outputs `[T, B, S]`, not masked.

    Args:
      graph: to add to.
      layer: of which only the recurrence is added.
      params: of the layer.
      xs: `[T, B, D]`, zero in padding.
      steps: of `xs`.
      initial: states before the first step, as the final ones; None is those of the cell.
      size: features D.
    """
    directions = directions_of(layer, params)
    names = carry_names(layer, params)
    given = initial if initial is not None else _own_initial(graph, layer, params, steps)
    if _is_operator(directions):
        finals, ys = _add_operator(graph, layer, directions, xs, steps, given)
    else:
        finals, ys = _add_loops(graph, layer, directions, names, xs, steps, given, size)
    zero = graph.constant(np.float32(0))
    kept = {
        name: graph.op("Where", steps.some, value, zero if given is None else given[name])
        for name, value in finals.items()
    }
    return kept, ys


def carry_names(layer: Layer, params: LayerParams) -> dict[str, tuple[int, ...]]:
    """The names of the states of a layer, and the shape of each without its rows.

    Both directions share a name if their carries are alike: `[directions, ...]`; else a name ends
    in "_fwd" or "_bwd".
    """
    shapes = [
        {name: leaf.shape for name, leaf in leaves_of(jax.eval_shape(cell.init_carry, own)).items()}
        for cell, own in directions_of(layer, params)
    ]
    if all(own == shapes[0] for own in shapes):
        return {name: (len(shapes), *shape) for name, shape in shapes[0].items()}
    sides = zip(("fwd", "bwd"), shapes, strict=True)
    return {f"{name}_{side}": (1, *shape) for side, own in sides for name, shape in own.items()}


def leaves_of(carry: Any) -> dict[str, Any]:
    """The leaves of a carry by their paths."""
    return {
        ".".join(str(getattr(key, "name", getattr(key, "key", getattr(key, "idx", key))))
                 for key in path): leaf
        for path, leaf in jax.tree.leaves_with_path(carry)
    }  # fmt: skip


def _is_operator(directions: list[CellParams]) -> bool:
    """Whether an operator of ONNX computes this."""
    cell, own = directions[0]
    return has_operator(cell, OPERATORS) and all(
        other.step == cell.step and theirs.w_h.shape == own.w_h.shape
        for other, theirs in directions
    )


def _own_initial(graph: Graph, layer: Layer, params: LayerParams, steps: Steps) -> OnnxCarry | None:
    """The states that the layer starts from: learned ones or those of the cell; None for zeros."""
    if layer.learned_carry:
        learned = jax.tree.map(as_numpy, params.initial)
        carries = list(learned) if isinstance(learned, Bi) else [learned]
    else:
        carries = [cell.init_carry(own) for cell, own in directions_of(layer, params)]
    leaves = [{name: np.asarray(leaf) for name, leaf in leaves_of(one).items()} for one in carries]
    if not any(leaf.any() for own in leaves for leaf in own.values()):
        return None
    arrays = {}
    for name in carry_names(layer, params):
        stem, _, side = name.rpartition("_")
        if name in leaves[0]:
            arrays[name] = np.stack([own[name] for own in leaves])
        else:
            arrays[name] = leaves[side == "bwd"][stem][None]
    spread = {}
    for name, array in arrays.items():  # [directions, ...] as [directions, B, ...]
        sizes = [graph.constant(np.array(part)) for part in (array.shape[:1], array.shape[1:])]
        shape = graph.op("Concat", sizes[0], steps.rows, sizes[1], axis=0)
        spread[name] = graph.op("Expand", graph.constant(array[:, None]), shape)
    return spread


def _add_operator(
    graph: Graph,
    layer: Layer,
    directions: list[CellParams],
    xs: str,
    steps: Steps,
    initial: OnnxCarry | None,
) -> tuple[OnnxCarry, str]:
    op_type, weights, attributes = export_operator(layer.direction, directions)
    names = ["h", "c"] if op_type == "LSTM" else ["h"]
    states = [""] * len(names) if initial is None else [initial[name] for name in names]
    inputs = [xs, *(graph.constant(weights[key]) for key in "WRB"), steps.lengths, *states]
    if "P" in weights:
        inputs.append(graph.constant(weights["P"]))
    while not inputs[-1]:
        inputs.pop()
    ys, *finals = graph.ops(op_type, 1 + len(names), *inputs, **attributes)  # [T, directions, B, H]
    if layer.merge in _REDUCTIONS:
        ys = graph.reduce(_REDUCTIONS[layer.merge], ys, 1)
    else:
        ys = graph.op("Transpose", ys, perm=[0, 2, 1, 3])
        size = weights["R"].shape[0] * weights["R"].shape[2]
        ys = graph.op("Reshape", ys, graph.constant(np.array([0, 0, size])))
    return dict(zip(names, finals, strict=True)), ys


def _add_loops(
    graph: Graph,
    layer: Layer,
    directions: list[CellParams],
    names: Mapping[str, tuple[int, ...]],
    xs: str,
    steps: Steps,
    initial: OnnxCarry | None,
    size: int,
) -> tuple[OnnxCarry, str]:
    """A loop for each direction."""
    reverses = [False, True] if layer.direction == "both" else [layer.direction == "bwd"]
    finals: list[OnnxCarry] = []
    outputs = []
    for at, ((cell, own), reverse) in enumerate(zip(directions, reverses, strict=True)):
        start = None
        if initial is not None:
            start = {}
            for name in leaves_of(jax.eval_shape(cell.init_carry, own)):
                shared = name in names
                value = initial[name if shared else f"{name}_{'bwd' if reverse else 'fwd'}"]
                place = graph.constant(np.int64(at if shared else 0))
                start[name] = graph.op("Gather", value, place, axis=0)
        final, ys = add_loop(graph, cell, own, xs, steps, start, size=size, reverse=reverse)
        finals.append(final)
        outputs.append(ys)
    ys = outputs[0]
    if len(outputs) == 2 and layer.merge == "concat":
        ys = graph.op("Concat", *outputs, axis=2)
    elif len(outputs) == 2:
        ys = graph.op("Mul" if layer.merge == "mul" else "Add", *outputs)
        if layer.merge == "mean":
            ys = graph.op("Mul", ys, graph.constant(np.float32(0.5)))
    joined = {}
    front = graph.constant(np.array([0]))
    for name in names:
        stem, _, side = name.rpartition("_")
        parts = (
            [own[name] for own in finals] if name in finals[0] else [finals[side == "bwd"][stem]]
        )
        parts = [graph.op("Unsqueeze", part, front) for part in parts]
        joined[name] = graph.op("Concat", *parts, axis=0)
    return joined, ys


def add_loop(
    graph: Graph,
    cell: Cell,
    params: Any,
    xs: str,
    steps: Steps,
    start: OnnxCarry | None,
    *,
    size: int,
    reverse: bool,
) -> tuple[OnnxCarry, Any]:
    """One direction, by the step of the cell.

    Final states `[B, ...]`, and what the step puts out, `[T, B, ...]`; `start` are the states
    `[B, ...]` before the first step, None those of the cell.
    """
    carry = jax.eval_shape(cell.init_carry, params)
    shapes = {name: leaf.shape for name, leaf in leaves_of(carry).items()}
    if start is None:
        own = leaves_of(cell.init_carry(params))
        start = {name: _of_every_row(graph, np.asarray(leaf), steps) for name, leaf in own.items()}
    structure = []

    def step(body: Graph, carries: list[str], now: list[str]) -> tuple[list[str], list[str]]:
        x, valid = now
        old = [pair for pair in zip(carries, shapes.values(), strict=True)]
        old = jax.tree.unflatten(jax.tree.structure(carry), old)
        function = functools.partial(cell.step, params)
        new, y = add_function(body, function, old, (x, (size,)), rows=steps.rows)
        kept = [
            body.op("Where", _to_rank(body, valid, len(shape)), after, before)
            for after, before, shape in zip(
                jax.tree.leaves(new), carries, shapes.values(), strict=True
            )
        ]
        ys, form = jax.tree.flatten(y)
        structure.append(form)
        return kept, ys

    finals, ys = graph.scan(
        step,
        [(name, np.float32) for name in start.values()],
        [(xs, np.float32), (steps.valid, np.bool_)],
        reverse=reverse,
    )
    return dict(zip(start, finals, strict=True)), jax.tree.unflatten(structure[0], ys)


def _of_every_row(graph: Graph, array: np.ndarray, steps: Steps) -> str:
    """`[...]` as `[B, ...]`."""
    sizes = graph.constant(np.array(array.shape, np.int64))
    shape = graph.op("Concat", steps.rows, sizes, axis=0)
    return graph.op("Expand", graph.constant(array), shape)


def _to_rank(graph: Graph, valid: str, rank: int) -> str:
    """`[B, 1]` as `[B, 1, ...]` beside states of this rank without their rows."""
    if rank == 1:
        return valid
    return graph.op("Reshape", valid, graph.constant(np.array([0, *[1] * rank])))
