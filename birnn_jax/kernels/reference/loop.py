"""The definition: what a layer computes, one row and one step after the other.

Every other backend is held to this one.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from ..._core.direction import Direction, Outputs
from ..._core.dtypes import cast_like, widen
from ..._core.meshes import scan
from ..._core.types import Carry, Cell, Params
from ...cells._diagonal import NewtonStep
from ...cells._linear import ParallelStep
from .newton import Solution, scan_by_newton, solve
from .parallel import scan_row_in_parallel


def run(directions: tuple[Direction, ...], keep_gates: bool) -> Outputs:
    """Runs every direction; without `keep_gates` the gradient computes each step again."""
    carries, ys = zip(*(_run(direction, keep_gates) for direction in directions), strict=True)
    return Outputs(carries, ys)


def _run(direction: Direction, keep_gates: bool) -> tuple[Carry, jax.Array]:
    if not keep_gates:
        step = jax.checkpoint(direction.cell.step, prevent_cse=False)
        direction = direction.replace(cell=direction.cell._replace(step=step))
    params = direction.params
    return jax.vmap(lambda row: scan_row(row.replace(params=params)))(direction.rows())


def scan_row(row: Direction) -> tuple[Carry, jax.Array]:
    """A direction of a single row: `xs` is `[T, D]`, `valid` is `[T]`, the carry has no rows."""
    step, is_counted = row.cell.step, isinstance(row.xs.shape[0], int)
    # In an export for any T only a loop can be.
    if isinstance(step, ParallelStep) and is_counted:
        return scan_row_in_parallel(step, row)
    move, shared, inputs = _as_scan(row)
    if isinstance(step, NewtonStep) and is_counted:
        last, ys = scan_by_newton(move, shared, row.carry, _turn(inputs, row.reverse))
        return last, _turn(ys, row.reverse)
    return scan(functools.partial(move, shared), row.carry, inputs, reverse=row.reverse)


def solve_row(row: Direction) -> Solution:
    """How Newton iterations find the states of a single row, in the order of the direction."""
    move, shared, inputs = _as_scan(row)
    return solve(move, shared, row.carry, _turn(inputs, row.reverse))


def _as_scan(row: Direction) -> tuple[Any, Any, Any]:
    """The body of a scan, what all of its steps share, and the inputs of each."""
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), row.params)
    start, at = (None, None) if row.starts is None else (row.starts.carry, row.starts.at)
    # Wide: what the gradient is added to, step after step.
    shared = widen(row.params), start
    return functools.partial(_move, row.cell, like), shared, (row.xs, row.valid, at)


def _move(cell: Cell, like: Any, shared: Any, carry: Carry, inputs: Any) -> tuple[Carry, Any]:
    """One step, of which padding keeps the carry."""
    (wide, start), (x, valid, is_start) = shared, inputs
    params = cast_like(wide, like)
    if valid is None:
        return advance(cell, params, carry, x)
    before = carry if start is None else _select(is_start, start, carry)
    # The input is masked too: through an unused branch a NaN would still reach the gradient.
    new_carry, y = advance(cell, params, before, jnp.where(valid, x, 0))
    y = jax.tree.map(lambda leaf: jnp.where(valid, leaf, 0), y)  # inspection has many
    return _select(valid, new_carry, carry), y


def _turn(tree: Any, reverse: bool) -> Any:
    return jax.tree.map(lambda leaf: leaf[::-1], tree) if reverse else tree


def advance(cell: Cell, params: Params, carry: Carry, x: jax.Array) -> tuple[Carry, jax.Array]:
    """`cell.step`, with the dtypes of the carry kept."""
    new_carry, y = cell.step(params, carry, x)
    return cast_like(new_carry, carry), y


def _select(condition: jax.Array, new: Carry, old: Carry) -> Carry:
    return jax.tree.map(functools.partial(jnp.where, condition), new, old)
