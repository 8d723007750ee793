"""A layer with rows first and time in its own order, as callers have it, by the loops of XLA."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ._form import Form
from ._layer import Direction, run_layer


class Sequences(NamedTuple):
    """What one direction of a layer reads."""

    params: Any
    carry: Any  # leaves [B, H], before the first visited step
    xs: jax.Array  # [B, T, D]
    valid: jax.Array | None  # [B, T] bool, None if every step is visited


Outputs = tuple[tuple[Any, jax.Array], ...]  # for each direction its carry and ys [B, T, H]


def run_by_xla(
    form: Form, keep_gates: bool, reverse: tuple[bool, ...], sequences: tuple[Sequences, ...]
) -> Outputs:
    """Runs every direction; `keep_gates` as in `run_layer`."""
    directions = tuple(map(to_direction, sequences, reverse))
    outputs = run_layer(form, keep_gates, directions)
    return tuple(
        (carry, to_time(hs, one, back))
        for (carry, hs), one, back in zip(outputs, sequences, reverse, strict=True)
    )


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
