"""Random flags by native code, bit-identical to those that `jax.random` draws from the same keys.

XLA takes a tenth of a second and more to compile each call of the generator threefry2x32. A native
call takes no time to compile.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.ffi
import jax.numpy as jnp
import numpy as np

from ..._core.keys import IMPL
from ..operation import Operands, Operation
from ..xla.time_order import turn
from . import library


class Draw(NamedTuple):
    """Flags `[B, T, size]` that are true with a probability, from the keys of rows and steps."""

    probability: float
    size: int
    num_steps: int
    site: int | None  # folded into the key of a step; None: not
    dtype: Any  # of the numbers that are drawn and compared: that of a Python float
    reverse: bool = False


def draw_flags(
    static: Draw, key_data: jax.Array, visited: jax.Array, valid: Any, starts: Any
) -> jax.Array:
    """Draws flags, False at steps that are not valid.

    Args:
      static: what is drawn.
      key_data: `[B, 2]`, keys of rows.
      visited: `[B]`, minus the number of the first valid step, plus one.
      valid: `[B, T]` bool, or None if all are.
      starts: `[B, T]` bool, True where the numbers of steps begin again; None is nowhere.
    """
    operands = Operands(rows=(key_data, visited, valid, starts))
    # The native code knows the bits that JAX draws by this setting.
    config: Any = jax.config
    if (
        not library.is_registered()
        or not config.jax_threefry_partitionable
        or (static.dtype == "float64" and not library.has_float64())
    ):
        return _define(static, operands).rows
    return _operation.bind(static, operands).rows


def number_steps(num_steps: int, reverse: bool, visited: Any, valid: Any, starts: Any) -> jax.Array:
    """`[B, T]`: valid steps before and with this one, in its segment; -1 where it is not valid."""
    if valid is None and starts is None:
        steps = jnp.arange(1, num_steps + 1, dtype=jnp.int32)[None]
        return turn(visited[:, None] + steps, reverse)
    if valid is None:
        valid = jnp.ones([len(visited), num_steps], bool)
    total = jnp.cumsum(turn(valid, reverse), axis=1, dtype=jnp.int32)
    before = jnp.broadcast_to(-visited[:, None], total.shape)
    if starts is not None:
        before = jnp.where(turn(starts, reverse), total - 1, before)
        before = jax.lax.cummax(before, axis=1)
    return jnp.where(valid, turn(total - before, reverse), -1)


def _define(static: Draw, operands: Operands) -> Operands:
    key_data, visited, valid, starts = operands.rows

    def draw_step(key: jax.Array, number: jax.Array) -> jax.Array:
        key = jax.random.fold_in(key, number)
        if static.site is not None:
            key = jax.random.fold_in(key, static.site)
        probability = jnp.asarray(static.probability, static.dtype)
        return jax.random.bernoulli(key, probability, (static.size,))

    keys = jax.random.wrap_key_data(key_data, impl=IMPL)
    numbers = number_steps(static.num_steps, static.reverse, visited, valid, starts)
    flags = jax.vmap(jax.vmap(draw_step, in_axes=(None, 0)))(keys, numbers)
    return Operands(rows=flags & (numbers >= 0)[..., None])


def _shapes(static: Draw, operands: Operands) -> Operands:
    key_data, *_ = operands.rows
    shape = (key_data.shape[0], static.num_steps, static.size)
    return Operands(rows=jax.ShapeDtypeStruct(shape, jnp.bool))


def _call(static: Draw, operands: Operands) -> Operands:
    key_data, visited, *flags = operands.rows
    flags = [jnp.zeros([0, 0], bool) if leaf is None else leaf for leaf in flags]
    name = library.target_name("birnn_draw", static.dtype)
    call = jax.ffi.ffi_call(name, _shapes(static, operands).rows)
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


_operation = Operation("birnn_draw", _define, _shapes, native=_call)
