"""The scan of cells that are linear in their state, over all of time at once."""

import jax
import jax.numpy as jnp

from ..._core.direction import Direction, Starts
from ..._core.dtypes import as_output, at_least
from ...cells._linear import LinearCarry, LinearStep


def scan_row_in_parallel(step: LinearStep, row: Direction) -> tuple[LinearCarry, jax.Array]:
    """What stepping through a single row gives; `xs` is `[T, D]`, `valid` is `[T]`."""
    xs, params, carry, reverse = row.xs, row.params, row.carry, row.reverse
    if row.valid is not None:
        xs = jnp.where(row.valid[:, None], xs, 0)
    a, b = jax.vmap(step.coefficients, in_axes=(None, 0))(params, xs)
    if row.valid is not None:
        a, b = _skip_padding(row.valid, row.starts, a, b)

    # The initial state is one more piece, before the first step of the direction.
    h = at_least(carry.h, b)
    first = (jnp.ones_like(h)[None], h[None])
    pieces = [
        jnp.concatenate([steps, before] if reverse else [before, steps])
        for before, steps in zip(first, (a, b), strict=True)
    ]
    _, hs = jax.lax.associative_scan(_compose, tuple(pieces), reverse=reverse)
    last, ys = (hs[0], hs[:-1]) if reverse else (hs[-1], hs[1:])
    if row.valid is not None:
        ys = jnp.where(row.valid[:, None], ys, 0)
    return LinearCarry(last.astype(carry.h.dtype)), as_output(ys, params)


def _skip_padding(
    valid: jax.Array, starts: Starts | None, a: jax.Array, b: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """A step in padding keeps the state; one that starts a segment follows the initial state."""
    if starts is not None:
        at, initial = starts.at[:, None], starts.carry.h
        a, b = jnp.where(at, 0, a), jnp.where(at, a * initial[None] + b, b)
    return jnp.where(valid[:, None], a, 1), jnp.where(valid[:, None], b, 0)


def _compose(
    earlier: tuple[jax.Array, jax.Array], later: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Of `h -> a * h + b`, in the order of the direction."""
    return later[0] * earlier[0], later[0] * earlier[1] + later[1]
