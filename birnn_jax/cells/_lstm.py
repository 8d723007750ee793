"""The long short-term memory cell."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Cell
from ._init import per_gate


class LSTMParams(NamedTuple):
    """Parameters of `LSTM`; gates are packed in the order i, f, g, o."""

    w_x: jax.Array  # [D, 4H]
    w_h: jax.Array  # [H, 4H]
    b: jax.Array  # [4H]


class LSTMCarry(NamedTuple):
    """Carry of `LSTM`: cell state and hidden state. Read it by field name."""

    c: jax.Array  # [H]
    h: jax.Array  # [H]


def _lstm_init(
    key: jax.Array, input_size: int, hidden_size: int, *, forget_bias: float = 1.0
) -> LSTMParams:
    key_x, key_h = jax.random.split(key)
    b = jnp.zeros(4 * hidden_size).at[hidden_size : 2 * hidden_size].set(forget_bias)
    return LSTMParams(
        w_x=per_gate(jax.nn.initializers.glorot_uniform(), key_x, input_size, hidden_size, 4),
        w_h=per_gate(jax.nn.initializers.orthogonal(), key_h, hidden_size, hidden_size, 4),
        b=b,
    )


def _lstm_initial_carry(params: LSTMParams) -> LSTMCarry:
    zeros = jnp.zeros(params.w_h.shape[0], params.w_h.dtype)
    return LSTMCarry(c=zeros, h=zeros)


def _lstm_step(params: LSTMParams, carry: LSTMCarry, x: jax.Array) -> tuple[LSTMCarry, jax.Array]:
    a = x @ params.w_x + carry.h @ params.w_h + params.b
    a_i, a_f, a_g, a_o = jnp.split(a, 4)
    c = jax.nn.sigmoid(a_f) * carry.c + jax.nn.sigmoid(a_i) * jnp.tanh(a_g)
    h = jax.nn.sigmoid(a_o) * jnp.tanh(c)
    return LSTMCarry(c=c, h=h), h


LSTM = Cell(_lstm_init, _lstm_initial_carry, _lstm_step)
"""The long short-term memory cell.

    i = sigmoid(x[t] w_xi + h[t-1] w_hi + b_i)
    f = sigmoid(x[t] w_xf + h[t-1] w_hf + b_f)
    g = tanh(x[t] w_xg + h[t-1] w_hg + b_g)
    o = sigmoid(x[t] w_xo + h[t-1] w_ho + b_o)
    c[t] = f * c[t-1] + i * g
    h[t] = o * tanh(c[t])

Input weights start Glorot-uniform, recurrent weights orthogonal gate by gate, the bias of the
forget gate at one (`LSTM.init(..., forget_bias=...)`), the others at zero.

References:
  Hochreiter and Schmidhuber, Long Short-Term Memory, 1997; Gers et al., Learning to Forget, 2000;
  Jozefowicz et al., An Empirical Exploration of Recurrent Network Architectures, 2015 (bias one).
"""
