"""What a layer computes, one row and one step after the other: every other way is held to this."""

import functools

import jax
import jax.numpy as jnp

from .._core.dtypes import cast_like, widen
from .._core.masks import Visits
from .._core.types import Carry, Cell, Params
from ..cells._linear import ParallelStep
from .parallel import scan_row_in_parallel


def scan_row(
    cell: Cell,
    params: Params,
    reverse: bool,
    xs: jax.Array,
    visits: Visits | None,
    carry: Carry,
    initial: Carry,
) -> tuple[Carry, jax.Array]:
    """`xs` is `[T, D]`, leaves of `visits` are `[T]`; `initial` is what a segment starts from."""
    if isinstance(cell.step, ParallelStep):
        return scan_row_in_parallel(cell.step, params, reverse, xs, visits, carry, initial)
    wide = widen(params)  # what the gradient is added to, step after step

    def step(carry, x):
        return advance(cell, cast_like(wide, params), carry, x)

    if visits is None:
        return jax.lax.scan(step, carry, xs, reverse=reverse)

    def body(carry, inputs):
        x, visit = inputs
        start = carry if visit.starts is None else _select(visit.starts, initial, carry)
        # The input is masked too: through an unused branch a NaN would still reach the gradient.
        new_carry, y = step(start, jnp.where(visit.valid, x, 0))
        y = jax.tree.map(lambda leaf: jnp.where(visit.valid, leaf, 0), y)  # inspection has many
        return _select(visit.valid, new_carry, carry), y

    return jax.lax.scan(body, carry, (xs, visits), reverse=reverse)


def advance(cell: Cell, params: Params, carry: Carry, x: jax.Array) -> tuple[Carry, jax.Array]:
    """`cell.step`, with the dtypes of the carry kept."""
    new_carry, y = cell.step(params, carry, x)
    return cast_like(new_carry, carry), y


def _select(condition: jax.Array, new: Carry, old: Carry) -> Carry:
    return jax.tree.map(functools.partial(jnp.where, condition), new, old)
