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
from ...cells._linear import ParallelStep, is_parallel
from .newton import Solution, scan_by_newton, solve
from .parallel import scan_row_in_parallel

Directions = tuple[Direction, ...]
Results = tuple[tuple[Carry, ...], tuple[jax.Array, ...]]  # of each direction


def run(directions: Directions, keep_gates: bool, auto: bool = False) -> Outputs:
    """Runs every direction; without `keep_gates` the gradient computes each step again."""
    del auto  # all platforms store alike
    if not keep_gates:
        directions = tuple(map(_without_residuals, directions))
    together = [directions]
    if any(map(_is_at_once, directions)):
        together = [(direction,) for direction in directions]
    results = [_run(group) for group in together]
    carries, ys = (tuple(part for result in results for part in result[k]) for k in (0, 1))
    return Outputs(carries, ys)


def _run(directions: Directions) -> Results:
    """Every row by itself."""

    def of_rows(rows: Directions) -> Results:
        pairs = zip(rows, directions, strict=True)
        rows = tuple(row.replace(params=direction.params) for row, direction in pairs)
        if not _is_at_once(rows[0]):
            return _scan_together(rows)
        carry, ys = scan_row(rows[0])
        return (carry,), (ys,)

    return jax.vmap(of_rows)(tuple(direction.rows() for direction in directions))


def _without_residuals(direction: Direction) -> Direction:
    step = jax.checkpoint(direction.cell.step, prevent_cse=False)
    return direction.replace(cell=direction.cell._replace(step=step))


def _is_at_once(direction: Direction) -> bool:
    """Whether all steps are computed at once; in an export for any T only a loop can be."""
    is_counted = isinstance(direction.xs.shape[-2], int)
    return is_parallel(direction.cell.step) and is_counted


def scan_row(row: Direction) -> tuple[Carry, jax.Array]:
    """A direction of a single row: `xs` is `[T, D]`, `valid` is `[T]`, the carry has no rows."""
    if not _is_at_once(row):
        (carry,), (ys,) = _scan_together((row,))
        return carry, ys
    if isinstance(row.cell.step, ParallelStep):
        return scan_row_in_parallel(row.cell.step, row)
    move, shared, inputs = _as_scan(row)
    carry, ys = scan_by_newton(move, shared, row.carry, _turn(inputs, row.reverse))
    return carry, _clear(_turn(ys, row.reverse), row.valid)


def solve_row(row: Direction) -> Solution:
    """How Newton iterations find the states of a single row, in the order of the direction."""
    move, shared, inputs = _as_scan(row)
    return solve(move, shared, row.carry, _turn(inputs, row.reverse))


def _scan_together(rows: Directions) -> Results:
    """The directions of a single row in one loop: their steps are independent work inside it."""
    reverse = all(row.reverse for row in rows)
    moves, inputs = [], []
    for row in rows:
        move, shared, steps = _as_scan(row)
        moves.append(functools.partial(move, shared))
        inputs.append(_turn(steps, row.reverse != reverse))

    def body(carries: Any, steps: Any) -> Any:
        results = [
            move(carry, step) for move, carry, step in zip(moves, carries, steps, strict=True)
        ]
        return tuple(new for new, _ in results), tuple(y for _, y in results)

    carries = tuple(row.carry for row in rows)
    carries, ys = scan(body, carries, tuple(inputs), reverse=reverse)
    return carries, tuple(
        _clear(_turn(y, row.reverse != reverse), row.valid) for y, row in zip(ys, rows, strict=True)
    )


def _as_scan(row: Direction) -> tuple[Any, Any, Any]:
    """The body of a scan, what all of its steps share, and the inputs of each."""
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), row.params)
    start, at = (None, None) if row.starts is None else (row.starts.carry, row.starts.at)
    # Wide: what the gradient is added to, step after step.
    shared = widen(row.params), start
    # Through an unused branch a NaN in padding would still reach the gradient.
    xs = _clear(row.xs, row.valid)
    return functools.partial(_move, row.cell, like), shared, (xs, row.valid, at)


def _move(cell: Cell, like: Any, shared: Any, carry: Carry, inputs: Any) -> tuple[Carry, Any]:
    """One step, of which padding keeps the carry; what it puts out there does not count."""
    (wide, start), (x, valid, is_start) = shared, inputs
    params = cast_like(wide, like)
    if valid is None:
        return advance(cell, params, carry, x)
    before = carry if start is None else _select(is_start, start, carry)
    new_carry, y = advance(cell, params, before, x)
    return _select(valid, new_carry, carry), y


def _turn(tree: Any, reverse: bool) -> Any:
    return jax.tree.map(lambda leaf: leaf[::-1], tree) if reverse else tree


def _clear(tree: Any, valid: jax.Array | None) -> Any:
    """Leaves `[T, ...]` with zeros where a step is not valid; inspection has many."""
    if valid is None:
        return tree
    spread = lambda leaf: jnp.expand_dims(valid, range(1, leaf.ndim))  # noqa: E731
    return jax.tree.map(lambda leaf: jnp.where(spread(leaf), leaf, 0), tree)


def advance(cell: Cell, params: Params, carry: Carry, x: jax.Array) -> tuple[Carry, jax.Array]:
    """`cell.step`, with the dtypes of the carry kept."""
    new_carry, y = cell.step(params, carry, x)
    return cast_like(new_carry, carry), y


def _select(condition: jax.Array, new: Carry, old: Carry) -> Carry:
    return jax.tree.map(functools.partial(jnp.where, condition), new, old)
