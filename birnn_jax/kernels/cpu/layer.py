"""A layer by the native kernels: three operations that JAX transforms like its own.

`_forward` gives the outputs of a layer, and the residuals of its derivative. `_tangent` is that
derivative, linear in the tangents. `_backward` is the transpose of `_tangent`. Forward and
backward run native on a CPU. Everywhere else, and where JAX asks for what the native code does not
know (forward mode, derivatives of derivatives, maps over parameters), each of them stands for its
definition: the loop of XLA, or that of the reference, for cells and noise which XLA's has not.

Any part of a layer may move while the rest stands still: tangents that are zero are None.
"""

import functools
from typing import Any

import jax

from ..._core.direction import Direction, Outputs
from ..._core.dtypes import widen
from ...cells._noise import remove_noise
from ..moving import (
    Moving,
    find_wanted,
    join,
    join_directions,
    parts_of,
    replace_parts,
    split,
    split_directions,
    split_tangents,
    state_of,
    where_moving,
)
from ..operation import Operands, Operation
from ..reference import loop as reference
from ..xla.loop import Results, run_layer
from ..xla.plan import Recompute, is_below
from ..xla.rules import find_rule
from .call import call_backward, call_forward
from .linear import are_linear, run_linear
from .noise import advance_noise
from .residuals import Residuals, compute_residuals, shapes_of_residuals

Directions = tuple[Direction, ...]

# LSTM train, gates stored against computed again, 39.5 against 34 ms at 128,50,128,128 (38 MiB),
# 34 against 31 at 16,500,40,128, even at 32,128,128,256 (48 MiB), but 17.8 against 22 at
# 32,128,128,128 (24 MiB). Where the system takes idle memory away in between, 86 against 62 there.
RECOMPUTE = Recompute(bytes=30 * 2**20, features=400)


def run_natively(directions: Directions, keep_gates: bool) -> Outputs:
    """As `run_layer` of the loops of XLA, with the outputs in one array.

    Inputs and weights of 16 bits are widened, exactly, before; outputs are narrowed after. In
    between everything is float32, and so is what a weight's gradient is added up in; or float64.
    """
    if are_linear(directions):
        return run_linear(directions)
    dtype = directions[0].xs.dtype
    wide = tuple(
        direction.replace(params=widen(direction.params), xs=widen(direction.xs))
        for direction in directions
    )
    carries, ys = _run(keep_gates, wide)
    sizes = tuple(state.h.shape[-1] for state in carries)
    carries = tuple(map(advance_noise, directions, carries))
    return Outputs(carries, (ys.astype(dtype),), sizes)


def keeps_gates(directions: Directions) -> bool:
    """True if gates are stored for the gradient where nothing else is asked for."""
    if are_linear(directions):
        return True
    return is_below(RECOMPUTE, directions)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _run(keep_gates: bool, directions: Directions) -> Results:
    results, _ = _forward.bind((keep_gates, False), split_directions(directions)).rows
    return results


@functools.partial(_run.defjvp, symbolic_zeros=True)
def _run_jvp(keep_gates: bool, primals: Any, tangents: Any) -> Any:
    (directions,), (d_directions,) = primals, tangents
    (carries, ys), residuals = _forward.bind((keep_gates, True), split_directions(directions)).rows
    shared, rows, *_ = split_directions(
        [direction.replace(packed=None) for direction in directions]
    )
    moving = split_tangents(d_directions)
    operands = Operands(shared, (rows, ys, residuals), d_shared=moving.shared, d_rows=moving.rows)
    return (carries, ys), _tangent.bind(keep_gates, operands).rows


def _define(keep_gates: bool, directions: Directions) -> Results:
    run = reference.run if find_rule(directions) is None else run_layer
    outputs = run(directions, keep_gates)
    return tuple(map(remove_noise, outputs.carries)), outputs.join()


def _define_forward(static: tuple[bool, bool], operands: Operands) -> Operands:
    keep_gates, keep = static
    directions, residuals = join_directions(operands.shared, operands.rows), None
    if keep:
        residuals = compute_residuals(jax.lax.stop_gradient(directions), keep_gates)
    return Operands(rows=(_define(keep_gates, directions), residuals))


def _define_tangent(keep_gates: bool, operands: Operands) -> Operands:
    """From the arguments alone: the residuals are for the transpose."""
    directions = join_directions(operands.shared, operands.rows[0])
    tangents = join(operands.d_shared, operands.d_rows)
    parts = where_moving(tangents, list(map(parts_of, directions)))
    run = lambda parts: _define(keep_gates, replace_parts(directions, parts))  # noqa: E731
    return Operands(rows=jax.jvp(run, (parts,), (tangents,))[1])


def _define_backward(static: tuple[bool, tuple[Moving, ...]], operands: Operands) -> Operands:
    keep_gates, wanted = static
    directions = join_directions(operands.shared, operands.rows[0])
    run = lambda parts: _define(keep_gates, replace_parts(directions, parts))  # noqa: E731
    parts = where_moving(wanted, list(map(parts_of, directions)))
    (grads,) = jax.vjp(run, parts)[1](operands.d_rows)
    return split(grads)


def _shapes_of_forward(static: tuple[bool, bool], operands: Operands) -> Operands:
    keep_gates, keep = static
    directions = join_directions(operands.shared, operands.rows)
    batch_size, num_steps, _ = directions[0].xs.shape
    states = tuple(state_of(direction) for direction in directions)
    size = sum(state.h.shape[-1] for state in states)
    ys = jax.ShapeDtypeStruct((batch_size, num_steps, size), directions[0].xs.dtype)
    residuals = shapes_of_residuals(directions, keep_gates) if keep else None
    return Operands(rows=((states, ys), residuals))


def _shapes_of_tangent(keep_gates: bool, operands: Operands) -> Operands:
    del keep_gates
    rows, ys, _ = operands.rows
    return Operands(rows=(tuple(state_of(direction) for direction in rows), ys))


def _shapes_of_backward(static: tuple[bool, tuple[Moving, ...]], operands: Operands) -> Operands:
    directions = join_directions(operands.shared, operands.rows[0])
    return split(where_moving(static[1], list(map(parts_of, directions))))


def _call_forward(static: tuple[bool, bool], operands: Operands) -> Operands:
    (_, keep), directions = static, join_directions(operands.shared, operands.rows)
    results, residuals = _shapes_of_forward(static, operands).rows
    nothing = (Residuals(None, None),) * len(directions)
    results, stored = call_forward(directions, results, residuals if keep else nothing)
    return Operands(rows=(results, stored if keep else None))


def _call_backward(static: tuple[bool, tuple[Moving, ...]], operands: Operands) -> Operands:
    (_, wanted), (rows, ys, residuals) = static, operands.rows
    directions = join_directions(operands.shared, rows)
    grads = call_backward(directions, ys, residuals, operands.d_rows, wanted)
    return split(where_moving(wanted, grads))


def _transpose_tangent(keep_gates: bool, cotangents: Operands, operands: Operands) -> Any:
    backward = Operands(operands.shared, operands.rows, d_rows=cotangents.rows)
    grads = _backward.bind((keep_gates, find_wanted(operands)), backward)
    return grads.shared, grads.rows


_forward = Operation("birnn_forward", _define_forward, _shapes_of_forward, native=_call_forward)
_backward = Operation(
    "birnn_backward", _define_backward, _shapes_of_backward, native=_call_backward
)
_tangent = Operation(
    "birnn_tangent", _define_tangent, _shapes_of_tangent, transpose=_transpose_tangent
)
