"""The scan of cells that are linear in their state, over all of time at once."""

import jax
import jax.numpy as jnp

from ._types import Params
from .cells._linear import LinearCarry, LinearStep


def scan_row_in_parallel(
    step: LinearStep,
    params: Params,
    reverse: bool,
    xs: jax.Array,
    is_valid: jax.Array | None,
    carry: LinearCarry,
) -> tuple[LinearCarry, jax.Array]:
    """What stepping through one row gives; `xs` is `[T, D]`, `is_valid` `[T]` or None."""
    if is_valid is not None:
        xs = jnp.where(is_valid[:, None], xs, 0)
    a, b = jax.vmap(step.coefficients, in_axes=(None, 0))(params, xs)
    if is_valid is not None:  # a step in padding keeps the state
        a, b = jnp.where(is_valid[:, None], a, 1), jnp.where(is_valid[:, None], b, 0)

    # The initial state is one more piece, before the step that is visited first.
    first = (jnp.ones_like(carry.h)[None], carry.h[None])
    pieces = [
        jnp.concatenate([steps, one] if reverse else [one, steps])
        for one, steps in zip(first, (a, b), strict=True)
    ]
    _, hs = jax.lax.associative_scan(_compose, tuple(pieces), reverse=reverse)
    last, ys = (hs[0], hs[:-1]) if reverse else (hs[-1], hs[1:])
    if is_valid is not None:
        ys = jnp.where(is_valid[:, None], ys, 0)
    return LinearCarry(last.astype(carry.h.dtype)), ys


def _compose(
    earlier: tuple[jax.Array, jax.Array], later: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Of `h -> a * h + b`, in the order of the visit."""
    return later[0] * earlier[0], later[0] * earlier[1] + later[1]
