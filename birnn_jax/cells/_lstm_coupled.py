"""LSTM whose input gate is what its forget gate leaves."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.dtypes import product, widen
from .._core.types import Cell
from ._gated import GatedStep
from ._init import Bias, Initializer, checked_init, init_gate_bias, init_weights
from ._lstm import LSTMCarry, LSTMGates, lstm_update, zeros_of


class CoupledLSTMParams(NamedTuple):
    """Parameters of `COUPLED_LSTM`; gates are packed in the order f, g, o."""

    w_x: jax.Array  # [D, 3H]
    w_h: jax.Array  # [H, 3H]
    b: jax.Array  # [3H]


@checked_init
def _init(
    key: jax.Array,
    input_size: int,
    hidden_size: int,
    *,
    w_x: Initializer = "glorot_uniform",
    w_h: Initializer = "orthogonal",
    b: Bias = "zeros",
    forget_bias: float | None = None,
    time_span: int | None = None,
) -> CoupledLSTMParams:
    key_x, key_h, key_b = jax.random.split(key, 3)
    return CoupledLSTMParams(
        w_x=init_weights(key_x, input_size, 3, hidden_size, w_x),
        w_h=init_weights(key_h, hidden_size, 3, hidden_size, w_h),
        b=init_gate_bias(
            key_b, "fgo", hidden_size, b=b, forget_bias=forget_bias, time_span=time_span
        ),
    )


def _init_carry(params: CoupledLSTMParams) -> LSTMCarry:
    return zeros_of(params, 3)


def _gates(params: CoupledLSTMParams, carry: LSTMCarry, x: jax.Array) -> LSTMGates:
    a = product(x, params.w_x) + product(carry.h, params.w_h) + widen(params.b)
    a_f, a_g, a_o = jnp.split(a, 3)
    f = jax.nn.sigmoid(a_f)
    return LSTMGates(i=1 - f, f=f, g=jnp.tanh(a_g), o=jax.nn.sigmoid(a_o))


COUPLED_LSTM = Cell(_init, _init_carry, GatedStep(_gates, lstm_update))
"""LSTM with coupled input and forget gates (CIFG), three quarters of the weights.

    f = sigmoid(x[t] w_xf + h[t-1] w_hf + b_f)
    g = tanh(x[t] w_xg + h[t-1] w_hg + b_g)
    o = sigmoid(x[t] w_xo + h[t-1] w_ho + b_o)
    c[t] = f * c[t-1] + (1 - f) * g
    h[t] = o * tanh(c[t])

Options of `with_init`: as for `LSTM`.

References:
  Greff et al., LSTM: A Search Space Odyssey, 2015.
"""
