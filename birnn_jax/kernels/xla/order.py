"""A layer with rows first and time in its own order, as callers have it, and in that of a visit."""

import dataclasses
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Sequences(NamedTuple):
    """What one direction of a layer reads."""

    params: Any
    carry: Any  # leaves [B, H], before the first visited step
    xs: Any  # [B, T, D]
    valid: jax.Array | None  # [B, T] bool, None if every step is visited


@dataclasses.dataclass(frozen=True)
class Outputs:
    """Of all directions of a layer: carries, and `[B, T, .]` in one array or in one for each."""

    carries: tuple[Any, ...]
    parts: tuple[Any, ...]
    sizes: tuple[int, ...] | None = None  # of each direction, where all are side by side

    def join(self) -> jax.Array:
        """The outputs of the directions side by side."""
        return self.parts[0] if len(self.parts) == 1 else jnp.concatenate(self.parts, axis=-1)

    def split(self) -> tuple[jax.Array, ...]:
        """The outputs of each direction."""
        if self.sizes is None:
            return self.parts
        return tuple(jnp.split(self.parts[0], list(itertools.accumulate(self.sizes))[:-1], axis=-1))


def to_visit(leaf: jax.Array, valid: jax.Array | None, reverse: bool) -> jax.Array:
    """`[B, T, .]` as `[T, B, .]` in the order of the visit, zero where nothing is visited."""
    leaf = turn(clear(leaf, valid), reverse)
    return leaf.swapaxes(0, 1)


def cut(
    leaf: jax.Array, begin: Any, size: int, reverse: bool, first: int = 0, width: int | None = None
) -> jax.Array:
    """Steps of a visit, from `begin` on, of `[B, T, .]` as `[size, B, .]`; all columns or some."""
    batch_size, num_steps, columns = leaf.shape
    start = num_steps - size - begin if reverse else begin
    sizes = (batch_size, size, columns if width is None else width)
    part = jax.lax.dynamic_slice(leaf, (0, start, first), sizes, allow_negative_indices=False)
    return turn(part, reverse).swapaxes(0, 1)


def to_time(leaf: jax.Array, valid: jax.Array | None, reverse: bool) -> jax.Array:
    """`[T, B, .]` in the order of the visit as `[B, T, .]`, zero where nothing was visited."""
    return clear(turn(leaf.swapaxes(0, 1), reverse), valid)


def turn(leaf: jax.Array, reverse: bool) -> jax.Array:
    """`[B, T, ...]` from the last step to the first."""
    return leaf[:, ::-1] if reverse else leaf


def clear(leaf: jax.Array, valid: jax.Array | None) -> jax.Array:
    """`[..., .]` with zeros where `valid`, of the axes before, is not true."""
    return leaf if valid is None else jnp.where(valid[..., None], leaf, 0)
