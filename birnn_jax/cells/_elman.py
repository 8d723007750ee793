"""The Elman cell: one hidden state, one nonlinearity."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Cell
from ._init import per_gate


class ElmanParams(NamedTuple):
    """Parameters of `ELMAN`."""

    w_x: jax.Array  # [D, H]
    w_h: jax.Array  # [H, H]
    b: jax.Array  # [H]


class ElmanCarry(NamedTuple):
    """Carry of `ELMAN`: the hidden state."""

    h: jax.Array  # [H]


def _elman_init(key: jax.Array, input_size: int, hidden_size: int) -> ElmanParams:
    key_x, key_h = jax.random.split(key)
    return ElmanParams(
        w_x=per_gate(jax.nn.initializers.glorot_uniform(), key_x, input_size, hidden_size, 1),
        w_h=per_gate(jax.nn.initializers.orthogonal(), key_h, hidden_size, hidden_size, 1),
        b=jnp.zeros(hidden_size),
    )


def _elman_initial_carry(params: ElmanParams) -> ElmanCarry:
    return ElmanCarry(h=jnp.zeros(params.w_h.shape[0], params.w_h.dtype))


def _elman_step(
    params: ElmanParams, carry: ElmanCarry, x: jax.Array
) -> tuple[ElmanCarry, jax.Array]:
    h = jnp.tanh(x @ params.w_x + carry.h @ params.w_h + params.b)
    return ElmanCarry(h), h


ELMAN = Cell(_elman_init, _elman_initial_carry, _elman_step)
"""The Elman cell.

    h[t] = tanh(x[t] w_x + h[t-1] w_h + b)

Input weights start Glorot-uniform, recurrent weights orthogonal, the bias at zero.

References:
  Elman, Finding Structure in Time, 1990.
"""
