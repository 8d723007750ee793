"""`[B, T, ...]` in the order of time, as callers have it, and in the order of a direction."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint

from ..._core.direction import Direction
from ..target import takes_layouts
from .plan import get_plan


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


def over_steps(
    run: Callable[[Any, Any], Any], carry: Any, steps: Any, size: int, unroll: int
) -> Any:
    """As `jax.lax.scan`; without a loop if all steps are unrolled."""
    if size != 1:
        return jax.lax.scan(run, carry, steps, unroll=unroll)
    carry, ys = run(carry, jax.tree.map(lambda leaf: leaf[0], steps))
    return carry, jax.tree.map(lambda leaf: leaf[None], ys)


def cut(
    leaf: jax.Array, begin: Any, size: int, reverse: bool, first: int = 0, width: int | None = None
) -> jax.Array:
    """Steps of a direction from `begin` on, `[size, B, .]` of `[B, T, .]`; all columns or some.

    `begin` is a multiple of `size`, or of so many steps are the last.
    """
    batch_size, num_steps, columns = leaf.shape
    width = columns if width is None else width
    if _is_whole(num_steps, size):
        leaf = leaf.reshape(batch_size, num_steps // size, size, columns)
        index = _index(num_steps, begin, size, reverse)
        starts, sizes = (0, index, 0, first), (batch_size, 1, size, width)
    else:
        start = num_steps - size - begin if reverse else begin
        starts, sizes = (0, start, first), (batch_size, size, width)
    part = jax.lax.dynamic_slice(leaf, starts, sizes, allow_negative_indices=False)
    return to_steps(part.reshape(batch_size, size, width), reverse)


def put(leaf: jax.Array, part: jax.Array, begin: Any, reverse: bool, first: int) -> jax.Array:
    """The inverse of `cut`: `leaf` with the steps of `part`, columns from `first` on."""
    size, (batch_size, num_steps, columns) = part.shape[0], leaf.shape
    part = from_steps(part, reverse)
    if _is_whole(num_steps, size):
        parts = leaf.reshape(batch_size, num_steps // size, size, columns)
        part, starts = part[:, None], (0, _index(num_steps, begin, size, reverse), 0, first)
    else:
        start = num_steps - size - begin if reverse else begin
        parts, starts = leaf, (0, start, first)
    parts = jax.lax.dynamic_update_slice(parts, part, starts, allow_negative_indices=False)
    return parts.reshape(leaf.shape)


def _index(num_steps: int, begin: Any, size: int, reverse: bool) -> Any:
    """Of the part from the step `begin` on. No begin is negative: that saves six instructions."""
    index = jax.lax.div(jnp.uint32(begin), jnp.uint32(size)).astype(int)
    return num_steps // size - 1 - index if reverse else index


def _is_whole(num_steps: int, size: int) -> bool:
    """Whether parts are whole numbers on an axis of their own.

    XLA for TPUs turns an array over before it cuts one of the last two axes anywhere.
    """
    known = all(isinstance(n, int) for n in (num_steps, size))  # no symbol, as in an export
    return known and size > 1 and num_steps % size == 0


def to_steps(leaf: jax.Array, reverse: bool) -> jax.Array:
    """`[B, T, .]` as `[T, B, .]` in the order of the direction."""
    own, other = _namers()
    return other(turn(own(leaf), reverse).swapaxes(0, 1))


def from_steps(leaf: jax.Array, reverse: bool) -> jax.Array:
    """The inverse of `to_steps`."""
    own, other = _namers()
    return own(turn(other(leaf).swapaxes(0, 1), reverse))


def _namers() -> tuple[Callable[[jax.Array], jax.Array], ...]:
    """For the order of time and that of a direction: what says that an array is so in memory, too.

    XLA would turn over the whole of which it is a part.
    """
    named = (names and takes_layouts() for names in get_plan().in_order)
    return tuple(_in_order if is_named else _as_it_is for is_named in named)


def _in_order(leaf: jax.Array) -> jax.Array:
    return with_layout_constraint(leaf, Layout((0, 1, 2)))


def _as_it_is(leaf: jax.Array) -> jax.Array:
    return leaf


def turn(leaf: jax.Array, reverse: bool) -> jax.Array:
    """`[B, T, ...]` from the last step to the first."""
    return leaf[:, ::-1] if reverse else leaf


def clear(leaf: jax.Array, valid: jax.Array | None) -> jax.Array:
    """`[..., .]` with zeros where `valid`, of the axes before, is not true."""
    return leaf if valid is None else jnp.where(valid[..., None], leaf, 0)


def select(condition: jax.Array, new: Any, old: Any) -> Any:
    """Rows of carries, leaves `[B, .]`, of `new` where the condition `[B, 1]` is true."""
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), new, old)
