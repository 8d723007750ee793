"""A layer by the kernels for TPUs: three operations, defined as those for CPUs are.

`_forward` gives the outputs of a layer and what its derivative needs, `_tangent` is the derivative,
`_backward` its transpose. On a TPU forward and backward are one launch of Pallas for all steps and
the products before and after it. Everywhere else, and where JAX asks for more (forward mode,
derivatives of derivatives, maps over parameters), each stands for the loops of XLA.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from ..._core.direction import Direction, Outputs
from ..moving import (
    Moving,
    find_wanted,
    join,
    join_directions,
    parts_of,
    split,
    split_directions,
    split_tangents,
    where_moving,
)
from ..operation import Operands, Operation
from ..xla import loop as xla
from ..xla.cell_rule import CellRule
from ..xla.derivative import LinearLoop, scan_linear

Directions = tuple[Direction, ...]


def run_on_tpu(directions: Directions, keep_gates: bool) -> Outputs:
    """As `kernels.xla.loop.run_layer`, with all outputs in one array."""
    directions = tuple(direction.replace(packed=None) for direction in directions)
    carries, ys = _run(keep_gates, directions)
    sizes = tuple(carry.h.shape[-1] for carry in carries)
    return Outputs(carries, (ys,), sizes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _run(keep_gates: bool, directions: Directions) -> Any:
    return _forward.bind(None, split_directions(directions)).rows


@functools.partial(_run.defjvp, symbolic_zeros=True)
def _run_jvp(keep_gates: bool, primals: Any, tangents: Any) -> Any:
    (directions,), (d_directions,) = primals, tangents
    shared, rows, *_ = split_directions(directions)
    stored, results, *_ = _forward.bind(keep_gates, Operands(shared, rows))
    moving = split_tangents(d_directions)
    operands = Operands(
        (shared, stored), (rows, results), d_shared=moving.shared, d_rows=moving.rows
    )
    return results, _tangent.bind(None, operands).rows


def _run_forward(loop: Any, keep_gates: bool | None, operands: Operands) -> Operands:
    """With `keep_gates` None nothing is stored."""
    directions = join_directions(operands.shared, operands.rows)
    store = xla.store_nothing if keep_gates is None else xla.make_store(directions, keep_gates)
    results, stored = loop(directions, store)
    return Operands(shared=stored, rows=results)


def _run_tangent(linear_loop: LinearLoop, static: None, operands: Operands) -> Operands:
    (shared, stored), (rows, results) = operands.shared, operands.rows
    directions = join_directions(shared, rows)
    moving = join(operands.d_shared, operands.d_rows)
    d_directions = _as_tangents(directions, moving)
    is_plain = linear_loop is scan_linear
    return Operands(
        rows=xla.tangent(directions, results[1], stored, d_directions, linear_loop, is_plain)
    )


def _as_tangents(directions: Directions, moving: list[Moving]) -> Directions:
    """With zeros, as JAX writes them, where a part stands still."""

    def fill(d: Any, leaf: Any) -> Any:
        return SymbolicZero(jax.typeof(leaf)) if d is None else d

    def of_direction(direction: Direction, d: Moving) -> Direction:
        parts = parts_of(direction)
        params, carry, xs = jax.tree.map(fill, d[:3], parts[:3], is_leaf=lambda leaf: leaf is None)
        return direction.replace(params=params, carry=carry, xs=xs)

    return tuple(map(of_direction, directions, moving))


def _run_backward(
    linear_loop: LinearLoop, wanted: tuple[Moving, ...], operands: Operands
) -> Operands:
    (shared, _), (rows, _) = operands.shared, operands.rows
    parts = where_moving(wanted, list(map(parts_of, join_directions(shared, rows))))

    def run(moving: Any) -> Any:
        d = split(moving)
        tangents = operands._replace(d_shared=d.shared, d_rows=d.rows)
        return _run_tangent(linear_loop, None, tangents).rows

    # At zero, as good as anywhere for what is linear; what only the value needs, XLA leaves out.
    (grads,) = jax.vjp(run, jax.tree.map(jnp.zeros_like, parts))[1](operands.d_rows)
    return split(grads)


def launch_forward(keep_gates: bool | None, operands: Operands) -> Operands:
    """The forward operation on a TPU."""
    from . import loops  # and with it Pallas, for which others shall not wait

    return _run_forward(loops.loop, keep_gates, operands)


def launch_backward(wanted: tuple[Moving, ...], operands: Operands) -> Operands:
    """The backward operation on a TPU."""
    return _run_backward(_in_one_launch, wanted, operands)


def _in_one_launch(rule: CellRule, w_h: Any, d_carries: Any, inputs: Any) -> Any:
    """As `scan_linear`, but its gradient is a launch of Pallas."""
    coefficients, d_ins, masks = zip(*inputs, strict=True)
    return _linear(rule, (w_h, coefficients, masks), (d_carries, d_ins))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _linear(rule: CellRule, fixed: Any, linear: Any) -> Any:
    (w_h, coefficients, masks), (d_carries, d_ins) = fixed, linear
    return scan_linear(rule, w_h, d_carries, tuple(zip(coefficients, d_ins, masks, strict=True)))


def _linear_forward(rule: CellRule, fixed: Any, linear: Any) -> Any:
    return _linear(rule, fixed, linear), (fixed, linear[1])


def _linear_backward(rule: CellRule, stored: Any, cts: Any) -> Any:
    from . import loops

    (w_h, coefficients, masks), d_ins = stored
    steps = tuple(zip(coefficients, d_ins, masks, strict=True))
    return None, loops.transposed_loop(rule, w_h, steps, cts)


_linear.defvjp(_linear_forward, _linear_backward)


def _shapes_of_forward(keep_gates: bool | None, operands: Operands) -> Operands:
    return jax.eval_shape(functools.partial(_run_forward, xla.loop, keep_gates), operands)


def _shapes_of_tangent(static: None, operands: Operands) -> Operands:
    return Operands(rows=operands.rows[1])


def _shapes_of_backward(wanted: tuple[Moving, ...], operands: Operands) -> Operands:
    (shared, _), (rows, _) = operands.shared, operands.rows
    return split(where_moving(wanted, list(map(parts_of, join_directions(shared, rows)))))


def _transpose_tangent(static: None, cotangents: Operands, operands: Operands) -> Any:
    backward = Operands(operands.shared, operands.rows, d_rows=cotangents.rows)
    grads = _backward.bind(find_wanted(operands), backward)
    return grads.shared, grads.rows


_forward = Operation(
    "birnn_tpu_forward",
    functools.partial(_run_forward, xla.loop),
    _shapes_of_forward,
    native=launch_forward,
    platform="tpu",
    folds=False,  # what is stored is over time first
)
_tangent = Operation(
    "birnn_tpu_tangent",
    functools.partial(_run_tangent, scan_linear),
    _shapes_of_tangent,
    transpose=_transpose_tangent,
    folds=False,
)
_backward = Operation(
    "birnn_tpu_backward",
    functools.partial(_run_backward, scan_linear),
    _shapes_of_backward,
    native=launch_backward,
    platform="tpu",
    folds=False,
)
