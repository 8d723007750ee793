"""The scan of cells that are linear in their state, over all of time at once."""

import jax
import jax.numpy as jnp

from .._core.dtypes import as_output, at_least
from .._core.masks import Visits
from .._core.types import Params
from ..cells._linear import LinearCarry, LinearStep


def scan_row_in_parallel(
    step: LinearStep,
    params: Params,
    reverse: bool,
    xs: jax.Array,
    visits: Visits | None,
    carry: LinearCarry,
    initial: LinearCarry,
) -> tuple[LinearCarry, jax.Array]:
    """What stepping through one row gives; `xs` is `[T, D]`, leaves of `visits` are `[T]`."""
    if visits is not None:
        xs = jnp.where(visits.valid[:, None], xs, 0)
    a, b = jax.vmap(step.coefficients, in_axes=(None, 0))(params, xs)
    if visits is not None:
        a, b = _pass_over_padding(visits, a, b, initial.h)

    # The initial state is one more piece, before the step that is visited first.
    h = at_least(carry.h, b)
    first = (jnp.ones_like(h)[None], h[None])
    pieces = [
        jnp.concatenate([steps, one] if reverse else [one, steps])
        for one, steps in zip(first, (a, b), strict=True)
    ]
    _, hs = jax.lax.associative_scan(_compose, tuple(pieces), reverse=reverse)
    last, ys = (hs[0], hs[:-1]) if reverse else (hs[-1], hs[1:])
    if visits is not None:
        ys = jnp.where(visits.valid[:, None], ys, 0)
    return LinearCarry(last.astype(carry.h.dtype)), as_output(ys, params)


def _pass_over_padding(
    visits: Visits, a: jax.Array, b: jax.Array, initial: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """A step in padding keeps the state; one that starts a segment follows the initial state."""
    if visits.starts is not None:
        starts = visits.starts[:, None]
        a, b = jnp.where(starts, 0, a), jnp.where(starts, a * initial[None] + b, b)
    valid = visits.valid[:, None]
    return jnp.where(valid, a, 1), jnp.where(valid, b, 0)


def _compose(
    earlier: tuple[jax.Array, jax.Array], later: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Of `h -> a * h + b`, in the order of the visit."""
    return later[0] * earlier[0], later[0] * earlier[1] + later[1]
