"""A loop over chunks of time, `[T, ...]` cut in the order of a direction or `InTime`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ..._core.chunks import join_chunks, split_chunks


@partial(jax.tree_util.register_dataclass, data_fields=["leaf"], meta_fields=["reverse"])
@dataclass(frozen=True)
class InTime:
    """`[B, T, .]` as callers have it, whose steps a direction takes from the last if `reverse`.

    Each chunk is turned by itself: to turn all steps at once takes XLA for TPUs as long to compile
    as the loop.
    """

    leaf: jax.Array
    reverse: bool


def over_chunks(run: Callable[..., Any], carry: Any, steps: Any, num_steps: int, size: int) -> Any:
    """`run(size, begin, carry, steps) -> (carry, ys)` over time, `size` steps at a time.

    Leaves of `steps` and `ys` are `[T, ...]` or `InTime`. Once more for the steps that remain.
    """
    if num_steps in (0, size):
        return run(num_steps, 0, carry, steps)
    count, rest = divmod(num_steps, size)
    begins = size * jnp.arange(count)
    carry, ys = jax.lax.scan(
        lambda carry, chunk: run(size, chunk[0], carry, chunk[1]),
        carry,
        (begins, _map(partial(_whole, size), steps)),
    )
    ys = _map(_join, ys)
    if rest:
        carry, more = run(rest, count * size, carry, _map(partial(_rest, size), steps))
        ys = _map(_concatenate, ys, more)
    return carry, ys


def _map(function: Callable[..., Any], *trees: Any) -> Any:
    return jax.tree.map(function, *trees, is_leaf=lambda leaf: isinstance(leaf, InTime))


def _whole(size: int, leaf: Any) -> Any:
    """All whole chunks, `[chunks, ...]`."""
    if isinstance(leaf, InTime):
        return replace(leaf, leaf=split_chunks(leaf.leaf, size, leaf.reverse)[0])
    count = leaf.shape[0] // size
    return leaf[: count * size].reshape(count, size, *leaf.shape[1:])


def _rest(size: int, leaf: Any) -> Any:
    """The steps after them."""
    if isinstance(leaf, InTime):
        return replace(leaf, leaf=split_chunks(leaf.leaf, size, leaf.reverse)[1])
    return leaf[leaf.shape[0] // size * size :]


def _join(leaf: Any) -> Any:
    """The inverse of `_whole`."""
    if isinstance(leaf, InTime):
        return replace(leaf, leaf=join_chunks(leaf.leaf, leaf.reverse))
    count, size, *shape = leaf.shape
    return leaf.reshape(count * size, *shape)


def _concatenate(first: Any, last: Any) -> Any:
    if isinstance(first, InTime):
        pair = (last, first) if first.reverse else (first, last)
        return replace(first, leaf=jnp.concatenate([part.leaf for part in pair], axis=1))
    return jnp.concatenate([first, last])
