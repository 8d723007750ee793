"""`[B, T, ...]` in the order of time, as callers have it, and in the order of a direction."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._core.direction import Direction


class Inputs(NamedTuple):
    """Some steps of a direction, in its order."""

    xs: jax.Array  # [T, B, D], zero in padding
    valid: jax.Array | None  # [T, B, 1], True at valid steps; None is everywhere
    is_start: jax.Array | None  # [T, B, 1], True where a segment begins; None is nowhere


def cut_inputs(direction: Direction, begin: Any, size: int) -> Inputs:
    """Steps from `begin` on, from where they stand."""
    xs = cut(direction.xs, begin, size, direction.reverse)
    valid, is_start = (
        None if flags is None else cut(flags[..., None], begin, size, direction.reverse)
        for flags in (direction.valid, at_of(direction))
    )
    return Inputs(xs if valid is None else jnp.where(valid, xs, 0), valid, is_start)


def at_of(direction: Direction) -> jax.Array | None:
    """Where segments begin, `[B, T]`."""
    return None if direction.starts is None else direction.starts.at


def over_chunks(run: Callable[..., Any], carry: Any, steps: Any, num_steps: int, size: int) -> Any:
    """`run(size, begin, carry, steps) -> (carry, ys)` over time, `size` steps at a time.

    Leaves of `steps` and `ys` are `[T, ...]`. Once more for the steps that remain.
    """
    if isinstance(num_steps, int) and num_steps in (0, size):  # and not a symbol, as in an export
        return run(num_steps, 0, carry, steps)
    count, rest = divmod(num_steps, size)
    whole = jax.tree.map(
        lambda leaf: leaf[: count * size].reshape(count, size, *leaf.shape[1:]), steps
    )
    begins = size * jnp.arange(count)
    carry, ys = jax.lax.scan(
        lambda carry, chunk: run(size, chunk[0], carry, chunk[1]), carry, (begins, whole)
    )
    ys = jax.tree.map(lambda leaf: leaf.reshape(count * size, *leaf.shape[2:]), ys)
    if rest:
        last = jax.tree.map(lambda leaf: leaf[count * size :], steps)
        carry, more = run(rest, count * size, carry, last)
        ys = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), ys, more)
    return carry, ys


def over_steps(
    run: Callable[[Any, Any], Any], carry: Any, steps: Any, size: int, unroll: int
) -> Any:
    """As `jax.lax.scan`; without a loop if all steps are unrolled."""
    if size != 1:
        return jax.lax.scan(run, carry, steps, unroll=unroll)
    carry, ys = run(carry, jax.tree.map(lambda leaf: leaf[0], steps))
    return carry, jax.tree.map(lambda leaf: leaf[None], ys)


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


def put(leaf: jax.Array, part: jax.Array, begin: Any, reverse: bool, first: int) -> jax.Array:
    """The inverse of `cut`: `leaf` with the steps of `part`, columns from `first` on."""
    size, num_steps = part.shape[0], leaf.shape[1]
    start = num_steps - size - begin if reverse else begin
    part = turn(part.swapaxes(0, 1), reverse)
    return jax.lax.dynamic_update_slice(leaf, part, (0, start, first), allow_negative_indices=False)


def to_time(leaf: jax.Array, valid: jax.Array | None, reverse: bool) -> jax.Array:
    """`[T, B, .]` in the order of the direction as `[B, T, .]`, zero where a step is not valid."""
    return clear(turn(leaf.swapaxes(0, 1), reverse), valid)


def turn(leaf: jax.Array, reverse: bool) -> jax.Array:
    """`[B, T, ...]` from the last step to the first."""
    return leaf[:, ::-1] if reverse else leaf


def clear(leaf: jax.Array, valid: jax.Array | None) -> jax.Array:
    """`[..., .]` with zeros where `valid`, of the axes before, is not true."""
    return leaf if valid is None else jnp.where(valid[..., None], leaf, 0)


def select(condition: jax.Array, new: Any, old: Any) -> Any:
    """Rows of carries, leaves `[B, .]`, of `new` where the condition `[B, 1]` is true."""
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), new, old)
