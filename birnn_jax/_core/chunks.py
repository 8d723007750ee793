"""A long sequence in chunks of the square root of its length, each run again for its gradient."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .meshes import scan


def run_in_chunks(
    run: Callable[[Any, Any], tuple[Any, Any]],
    carries: tuple[Any, ...],
    sequences: tuple[Any, ...],
    reverse: tuple[bool, ...],
) -> tuple[Any, Any]:
    """`run(carries, sequences) -> (carries, ys)` over chunks of time, one entry a direction.

    Sequences and ys have leaves `[B, T, ...]`. Stored for the gradient: the carry before each
    chunk, and what `run` stores of a single chunk.
    """
    num_steps = jax.tree.leaves(sequences)[0].shape[1]
    if not isinstance(num_steps, int):  # a symbol, as in an export for any number of steps
        return run(carries, sequences)
    size = near_divisor(num_steps, math.isqrt(num_steps))
    run = jax.checkpoint(run, prevent_cse=False)
    whole, rest = zip(
        *(
            split_chunks(sequence, size, back)
            for sequence, back in zip(sequences, reverse, strict=True)
        ),
        strict=True,
    )
    carries, ys = scan(run, carries, whole)
    ys = tuple(join_chunks(y, back) for y, back in zip(ys, reverse, strict=True))
    if num_steps % size:
        carries, more = run(carries, rest)
        ys = tuple(
            jnp.concatenate([b, a] if back else [a, b], axis=1)
            for a, b, back in zip(ys, more, reverse, strict=True)
        )
    return carries, ys


def near_divisor(number: int, target: int) -> int:
    """A divisor within a factor of two of `target`: a remainder is a second program to compile."""
    if target >= number:
        return max(number, 1)
    near = [d for d in range(-(-target // 2), 2 * target + 1) if number % d == 0]
    return min(near, key=lambda d: max(d / target, target / d), default=target)


def split_chunks(sequence: Any, size: int, back: bool) -> tuple[Any, Any]:
    """Leaves `[B, T, ...]` as `[chunks, B, size, ...]` in their order, and the rest."""

    def whole(leaf):
        count, rest = divmod(leaf.shape[1], size)
        leaf = leaf[:, rest:] if back else leaf[:, : count * size]
        leaf = leaf.reshape(leaf.shape[0], count, size, *leaf.shape[2:]).swapaxes(0, 1)
        return leaf[::-1] if back else leaf

    def rest(leaf):
        rest = leaf.shape[1] % size
        return leaf[:, :rest] if back else leaf[:, leaf.shape[1] - rest :]

    return jax.tree.map(whole, sequence), jax.tree.map(rest, sequence)


def join_chunks(ys: jax.Array, back: bool) -> jax.Array:
    """The inverse of `split_chunks`, without the rest."""
    ys = (ys[::-1] if back else ys).swapaxes(0, 1)
    return ys.reshape(ys.shape[0], ys.shape[1] * ys.shape[2], *ys.shape[3:])
