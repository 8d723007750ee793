"""A layer with rows first and time in its own order, as callers have it, by the loops of XLA."""

import dataclasses
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ._form import Form
from ._layer import Direction, run_layer


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


def run_by_xla(
    form: Form, keep_gates: bool, reverse: tuple[bool, ...], sequences: tuple[Sequences, ...]
) -> Outputs:
    """Runs every direction; `keep_gates` as in `run_layer`."""
    directions = tuple(map(to_direction, sequences, reverse))
    carries, hs = zip(*run_layer(form, keep_gates, directions), strict=True)
    ys = tuple(map(to_time, hs, sequences, reverse))
    return Outputs(carries, ys)


def to_direction(one: Sequences, reverse: bool) -> Direction:
    """In the order in which the direction visits time; what stands in padding is gone."""
    if one.valid is None:
        return Direction(one.params, one.carry, _to_visit(one.xs, reverse), None)
    mask = one.valid[..., None]
    xs = jnp.where(mask, one.xs, 0)
    return Direction(one.params, one.carry, _to_visit(xs, reverse), _to_visit(mask, reverse))


def to_time(hs: jax.Array, one: Sequences, reverse: bool) -> jax.Array:
    """`[T, B, .]` in the order of the visit to `[B, T, .]`, zero where nothing was visited."""
    ys = (hs[::-1] if reverse else hs).swapaxes(0, 1)
    return ys if one.valid is None else jnp.where(one.valid[..., None], ys, 0)


def _to_visit(xs: jax.Array, reverse: bool) -> jax.Array:
    xs = xs.swapaxes(0, 1)
    return xs[::-1] if reverse else xs
