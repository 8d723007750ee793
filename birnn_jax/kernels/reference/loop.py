"""The definition: what a layer computes, one row and one step after the other.

Every other backend is held to this one.
"""

import functools

import jax
import jax.numpy as jnp

from ..._core.direction import Direction, Outputs
from ..._core.dtypes import cast_like, widen
from ..._core.meshes import scan
from ..._core.types import Carry, Cell, Params
from ...cells._linear import ParallelStep
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
    cell, params = row.cell, row.params
    is_counted = isinstance(row.xs.shape[0], int)  # in an export for any T only a loop can be
    if isinstance(cell.step, ParallelStep) and is_counted:
        return scan_row_in_parallel(cell.step, row)
    wide = widen(params)  # what the gradient is added to, step after step

    def step(carry, x):
        return advance(cell, cast_like(wide, params), carry, x)

    if row.valid is None:
        return scan(step, row.carry, row.xs, reverse=row.reverse)

    def body(carry, inputs):
        x, valid, is_start = inputs
        start = carry if row.starts is None else _select(is_start, row.starts.carry, carry)
        # The input is masked too: through an unused branch a NaN would still reach the gradient.
        new_carry, y = step(start, jnp.where(valid, x, 0))
        y = jax.tree.map(lambda leaf: jnp.where(valid, leaf, 0), y)  # inspection has many
        return _select(valid, new_carry, carry), y

    inputs = (row.xs, row.valid, None if row.starts is None else row.starts.at)
    return scan(body, row.carry, inputs, reverse=row.reverse)


def advance(cell: Cell, params: Params, carry: Carry, x: jax.Array) -> tuple[Carry, jax.Array]:
    """`cell.step`, with the dtypes of the carry kept."""
    new_carry, y = cell.step(params, carry, x)
    return cast_like(new_carry, carry), y


def _select(condition: jax.Array, new: Carry, old: Carry) -> Carry:
    return jax.tree.map(functools.partial(jnp.where, condition), new, old)
