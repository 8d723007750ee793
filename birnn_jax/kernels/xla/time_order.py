"""`[B, T, ...]` in the order of time, as callers have it, and in the order of a direction."""

from typing import Any

import jax
import jax.numpy as jnp


def to_steps(leaf: jax.Array, valid: jax.Array | None, reverse: bool) -> jax.Array:
    """`[B, T, .]` as `[T, B, .]` in the order of the direction, zero where a step is not valid."""
    leaf = turn(clear(leaf, valid), reverse)
    return leaf.swapaxes(0, 1)


def cut(
    leaf: jax.Array, begin: Any, size: int, reverse: bool, first: int = 0, width: int | None = None
) -> jax.Array:
    """Steps of a direction from `begin` on, `[size, B, .]` of `[B, T, .]`; all columns or some."""
    batch_size, num_steps, columns = leaf.shape
    start = num_steps - size - begin if reverse else begin
    sizes = (batch_size, size, columns if width is None else width)
    part = jax.lax.dynamic_slice(leaf, (0, start, first), sizes, allow_negative_indices=False)
    return turn(part, reverse).swapaxes(0, 1)


def to_time(leaf: jax.Array, valid: jax.Array | None, reverse: bool) -> jax.Array:
    """`[T, B, .]` in the order of the direction as `[B, T, .]`, zero where a step is not valid."""
    return clear(turn(leaf.swapaxes(0, 1), reverse), valid)


def turn(leaf: jax.Array, reverse: bool) -> jax.Array:
    """`[B, T, ...]` from the last step to the first."""
    return leaf[:, ::-1] if reverse else leaf


def clear(leaf: jax.Array, valid: jax.Array | None) -> jax.Array:
    """`[..., .]` with zeros where `valid`, of the axes before, is not true."""
    return leaf if valid is None else jnp.where(valid[..., None], leaf, 0)
