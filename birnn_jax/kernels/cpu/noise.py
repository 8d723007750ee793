"""The noise of a direction as arrays, the same that the step of the cell draws from its keys."""

import math
from typing import Any, NamedTuple

import jax
import jax.ffi
import jax.numpy as jnp
import numpy as np

from ..._core.direction import Direction
from ..._core.keys import IMPL
from ...cells._noise import NoisyCarry
from ..operation import Operands, Operation
from ..xla.time_order import turn
from . import library
from .cells import rates_of


class Noise(NamedTuple):
    """What noise does in a direction; None where there is none."""

    seen: jax.Array | None  # [B, H], what h is multiplied with for the gates
    candidate: jax.Array | None  # [B, T, H] bool, False where the candidate is dropped
    zoneout_c: jax.Array | None  # [B, T, H] bool, True where the old state is kept
    zoneout_h: jax.Array | None


class _Draw(NamedTuple):
    """Flags `[B, T, size]` that are true with a probability, from the keys of rows and steps."""

    probability: float
    size: int
    num_steps: int
    site: int | None  # folded into the key of a step; None: not
    dtype: Any  # of the numbers that are drawn and compared: that of a Python float
    reverse: bool = False


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
        static = _Draw(probability, size, num_steps, site, drawn, direction.reverse)
        return _draw(static, keys, carry.visited, valid, starts)

    seen = None
    if rates.recurrent:
        static = _Draw(1 - rates.recurrent, size, 1, None, drawn)
        keep = _draw(static, keys, jnp.full_like(carry.visited, -1), None, None)[:, 0]
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
    numbers = _number_steps(direction, carry.visited, direction.valid, starts)
    order = turn(jnp.arange(numbers.shape[1])[None], direction.reverse)
    place = jnp.where(numbers >= 0, order, -1).argmax(axis=1)[:, None]
    last = jnp.take_along_axis(numbers, place, axis=1)[:, 0]
    return NoisyCarry(state, carry.key_data, jnp.where(last < 0, carry.visited, last))


def _draw(static: _Draw, *rows: Any) -> jax.Array:
    # The native code knows the bits that JAX draws by this setting.
    config: Any = jax.config
    if not config.jax_threefry_partitionable or (
        static.dtype == "float64" and not library.has_float64()
    ):
        return _define_draw(static, Operands(rows=rows)).rows
    return _operation.bind(static, Operands(rows=rows)).rows


def _define_draw(static: _Draw, operands: Operands) -> Operands:
    key_data, visited, valid, starts = operands.rows

    def draw_step(key: jax.Array, number: jax.Array) -> jax.Array:
        key = jax.random.fold_in(key, number)
        if static.site is not None:
            key = jax.random.fold_in(key, static.site)
        probability = jnp.asarray(static.probability, static.dtype)
        return jax.random.bernoulli(key, probability, (static.size,))

    keys = jax.random.wrap_key_data(key_data, impl=IMPL)
    numbers = _number_steps(static, visited, valid, starts)
    flags = jax.vmap(jax.vmap(draw_step, in_axes=(None, 0)))(keys, numbers)
    return Operands(rows=flags & (numbers >= 0)[..., None])


def _number_steps(order: Any, visited: Any, valid: Any, starts: Any) -> jax.Array:
    """`[B, T]`: valid steps before and with this one, in its segment; -1 where it is not valid."""
    num_steps = order.num_steps if isinstance(order, _Draw) else order.xs.shape[1]
    if valid is None:
        valid = jnp.ones([len(visited), num_steps], bool)
    total = jnp.cumsum(turn(valid, order.reverse), axis=1, dtype=jnp.int32)
    before = jnp.broadcast_to(-visited[:, None], total.shape)
    if starts is not None:
        before = jnp.where(turn(starts, order.reverse), total - 1, before)
        before = jax.lax.cummax(before, axis=1)
    return jnp.where(valid, turn(total - before, order.reverse), -1)


def _shapes_of_draw(static: _Draw, operands: Operands) -> Operands:
    key_data, *_ = operands.rows
    shape = (key_data.shape[0], static.num_steps, static.size)
    return Operands(rows=jax.ShapeDtypeStruct(shape, jnp.bool))


def _call_draw(static: _Draw, operands: Operands) -> Operands:
    key_data, visited, *flags = operands.rows
    flags = [jnp.zeros([0, 0], bool) if leaf is None else leaf for leaf in flags]
    name = library.target_name("birnn_draw", static.dtype)
    call = jax.ffi.ffi_call(name, _shapes_of_draw(static, operands).rows)
    bits = jnp.finfo(static.dtype).nmant
    probability = float(np.asarray(static.probability, static.dtype))
    return Operands(
        rows=call(
            key_data,
            visited,
            *flags,
            site=np.int64(-1 if static.site is None else static.site),
            threshold=np.int64(math.ceil(probability * 2**bits)),
            reverse=static.reverse,
        )
    )


_operation = Operation("birnn_draw", _define_draw, _shapes_of_draw, native=_call_draw)
