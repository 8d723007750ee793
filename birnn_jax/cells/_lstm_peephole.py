"""LSTM whose gates also see the cell state."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core.dtypes import as_output, product, widen
from .._core.types import Cell, Params
from ._gated import GatedStep
from ._heads import recurrent_product
from ._init import with_options_of
from ._lstm import LSTMCarry, LSTMGates, lstm_init, lstm_init_carry


class PeepholeLSTMParams(NamedTuple):
    """Parameters of `PEEPHOLE_LSTM`; gates are packed in the order i, f, g, o."""

    w_x: jax.Array  # [D, 4H]
    w_h: jax.Array  # [H, 4H], with K heads [H/K, 4H]
    b: jax.Array  # [4H]
    w_c: jax.Array  # [3H], one weight a unit, in the order i, f, o


class PeepholeLSTMGates(NamedTuple):
    """The gates of `LSTM`, except that the output gate waits for the new cell state."""

    i: jax.Array  # [H]
    f: jax.Array  # [H]
    g: jax.Array  # [H]
    a_o: jax.Array  # [H], before the peephole and the sigmoid


@with_options_of(lstm_init)
def _init(key: jax.Array, input_size: int, hidden_size: int, **options: Any) -> PeepholeLSTMParams:
    params = lstm_init(key, input_size, hidden_size, **options)
    return PeepholeLSTMParams(*params, w_c=jnp.zeros(3 * hidden_size))


def _gates(params: PeepholeLSTMParams, carry: LSTMCarry, x: jax.Array) -> PeepholeLSTMGates:
    a = product(x, params.w_x) + recurrent_product(carry.h, params.w_h) + widen(params.b)
    a_i, a_f, a_g, a_o = jnp.split(a, 4)
    w_ci, w_cf, _ = jnp.split(widen(params.w_c), 3)
    i = jax.nn.sigmoid(a_i + w_ci * carry.c)
    f = jax.nn.sigmoid(a_f + w_cf * carry.c)
    return PeepholeLSTMGates(i=i, f=f, g=jnp.tanh(a_g), a_o=a_o)


def peephole_update(
    params: Params, carry: LSTMCarry, gates: PeepholeLSTMGates
) -> tuple[LSTMCarry, jax.Array]:
    """The new cell state, and what the output gate, which sees it, lets out."""
    c = gates.f * carry.c + gates.i * gates.g
    h = open_output(params, gates, c).o * jnp.tanh(c)
    return LSTMCarry(c=c, h=h), as_output(h, params)


def open_output(params: Params, gates: PeepholeLSTMGates, c: jax.Array) -> LSTMGates:
    """The gates with the output gate at last, which sees the new cell state."""
    w_co = widen(params.w_c)[-c.shape[0] :]
    i, f, g, a_o = gates
    return LSTMGates(i=i, f=f, g=g, o=jax.nn.sigmoid(a_o + w_co * c))


PEEPHOLE_LSTM = Cell(_init, lstm_init_carry, GatedStep(_gates, peephole_update))
"""LSTM with peepholes: one weight a unit from the cell state to each gate.

    i = sigmoid(x[t] w_xi + h[t-1] w_hi + w_ci * c[t-1] + b_i)
    f = sigmoid(x[t] w_xf + h[t-1] w_hf + w_cf * c[t-1] + b_f)
    g = tanh(x[t] w_xg + h[t-1] w_hg + b_g)
    c[t] = f * c[t-1] + i * g
    o = sigmoid(x[t] w_xo + h[t-1] w_ho + w_co * c[t] + b_o)
    h[t] = o * tanh(c[t])

The output gate sees the new cell state, the others the old one. Peepholes start at zero, the rest
as in `LSTM`, with its options of `with_init`.

References:
  Gers and Schmidhuber, Recurrent Nets that Time and Count, 2000;
  Sak et al., Long Short-Term Memory Recurrent Neural Network Architectures for Large Scale
  Acoustic Modeling, 2014 (diagonal peepholes in this form).
"""
