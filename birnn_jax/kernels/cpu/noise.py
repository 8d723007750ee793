"""The noise of a direction as arrays, the same that the step of the cell draws from its keys."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ...cells._noise import NoisyCarry
from ..xla.time_order import turn
from .cells import rates_of
from .draws import Draw, draw_flags, number_steps


class Noise(NamedTuple):
    """What noise does in a direction; None where there is none."""

    seen: jax.Array | None  # [B, H], what h is multiplied with for the gates
    candidate: jax.Array | None  # [B, T, H] bool, False where the candidate is dropped
    zoneout_c: jax.Array | None  # [B, T, H] bool, True where the old state is kept
    zoneout_h: jax.Array | None


def draw_noise(direction: Direction) -> Noise:
    """Without keys nothing is drawn."""
    carry, rates = direction.carry, rates_of(direction.cell)
    if not isinstance(carry, NoisyCarry):
        return Noise(None, None, None, None)
    (size, dtype), num_steps = (carry.carry.h.shape[-1], carry.carry.h.dtype), direction.xs.shape[1]
    drawn = jnp.result_type(float)
    keys, valid = carry.key_data, direction.valid
    starts = None if direction.starts is None else direction.starts.at

    def draw(rate: float, probability: float, site: int, size: int) -> jax.Array | None:
        if rate == 0:
            return None
        static = Draw(probability, size, num_steps, site, drawn, direction.reverse)
        return draw_flags(static, keys, carry.visited, valid, starts)

    seen = None
    if rates.recurrent:
        static = Draw(1 - rates.recurrent, size, 1, None, drawn)
        keep = draw_flags(static, keys, jnp.full_like(carry.visited, -1), None, None)[:, 0]
        seen = jnp.where(keep, jnp.asarray(1 / (1 - rates.recurrent), dtype), 0)
    units = getattr(carry.carry, "c", carry.carry.h).shape[-1]
    return Noise(
        seen=seen,
        candidate=draw(rates.candidate, 1 - rates.candidate, 0, units),
        zoneout_c=draw(rates.zoneout_c, rates.zoneout_c, 1, units),
        zoneout_h=draw(rates.zoneout_h, rates.zoneout_h, 2, size),
    )


def advance_noise(direction: Direction, state: Any) -> Any:
    """The carry with its keys after the last step, whose state is given."""
    carry = direction.carry
    if not isinstance(carry, NoisyCarry):
        return state
    if direction.xs.shape[1] == 0:
        return NoisyCarry(state, carry.key_data, carry.visited)
    starts = None if direction.starts is None else direction.starts.at
    num_steps = direction.xs.shape[1]
    numbers = number_steps(num_steps, direction.reverse, carry.visited, direction.valid, starts)
    order = turn(jnp.arange(numbers.shape[1])[None], direction.reverse)
    place = jnp.where(numbers >= 0, order, -1).argmax(axis=1)[:, None]
    last = jnp.take_along_axis(numbers, place, axis=1)[:, 0]
    return NoisyCarry(state, carry.key_data, jnp.where(last < 0, carry.visited, last))
