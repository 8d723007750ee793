"""ParaGRU and ParaLSTM: every unit sees its own state only, but through nonlinear gates."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.dtypes import product, widen
from .._core.types import Cell
from ._diagonal import DiagonalStep
from ._gru import GRUCarry, GRUGates, gru_init_carry, gru_update
from ._init import Bias, Initializer, checked_init, init_gate_bias, init_weights
from ._lstm import LSTMCarry, zeros_of
from ._lstm_peephole import PeepholeLSTMGates, peephole_update


class ParaGRUParams(NamedTuple):
    """Parameters of `PARA_GRU`; gates are packed in the order r, z, n."""

    w_x: jax.Array  # [D, 3H]
    w_h: jax.Array  # [3H], one weight a unit and gate
    b: jax.Array  # [3H]


class ParaLSTMParams(NamedTuple):
    """Parameters of `PARA_LSTM`; gates are packed in the order f, g, o."""

    w_x: jax.Array  # [D, 3H]
    w_h: jax.Array  # [3H], one weight a unit and gate
    b: jax.Array  # [3H]
    w_c: jax.Array  # [2H], peepholes, in the order f, o


@checked_init
def _gru_init(
    key: jax.Array,
    input_size: int,
    hidden_size: int,
    *,
    w_x: Initializer = "glorot_uniform",
    b: Bias = "zeros",
    time_span: int | None = None,
) -> ParaGRUParams:
    key_x, key_h, key_rz, key_n = jax.random.split(key, 4)
    b_rz = init_gate_bias(key_rz, "rz", hidden_size, b=b, time_span=time_span)
    return ParaGRUParams(
        w_x=init_weights(key_x, input_size, 3, hidden_size, w_x),
        w_h=jax.random.uniform(key_h, (3 * hidden_size,), minval=-1.0),
        b=jnp.concatenate([b_rz, init_gate_bias(key_n, "n", hidden_size, b=b)]),
    )


def _gru_gates(params: ParaGRUParams, carry: GRUCarry, x: jax.Array) -> GRUGates:
    a_r, a_z, a_n = jnp.split(product(x, params.w_x) + widen(params.b), 3)
    w_r, w_z, w_n = jnp.split(widen(params.w_h), 3)
    r = jax.nn.sigmoid(a_r + w_r * carry.h)
    z = jax.nn.sigmoid(a_z + w_z * carry.h)
    return GRUGates(r=r, z=z, n=jnp.tanh(a_n + w_n * (r * carry.h)))


@checked_init
def _lstm_init(
    key: jax.Array,
    input_size: int,
    hidden_size: int,
    *,
    w_x: Initializer = "glorot_uniform",
    b: Bias = "zeros",
    forget_bias: float | None = None,
    time_span: int | None = None,
) -> ParaLSTMParams:
    key_x, key_h, key_b = jax.random.split(key, 3)
    return ParaLSTMParams(
        w_x=init_weights(key_x, input_size, 3, hidden_size, w_x),
        w_h=jax.random.uniform(key_h, (3 * hidden_size,), minval=-1.0),
        b=init_gate_bias(
            key_b, "fgo", hidden_size, b=b, forget_bias=forget_bias, time_span=time_span
        ),
        w_c=jnp.zeros(2 * hidden_size),
    )


def _lstm_init_carry(params: ParaLSTMParams) -> LSTMCarry:
    return zeros_of(params, 3)


def _lstm_gates(params: ParaLSTMParams, carry: LSTMCarry, x: jax.Array) -> PeepholeLSTMGates:
    a = product(x, params.w_x) + widen(params.b)
    a_f, a_g, a_o = jnp.split(a + widen(params.w_h) * jnp.tile(carry.h, 3), 3)
    w_cf, _ = jnp.split(widen(params.w_c), 2)
    f = jax.nn.sigmoid(a_f + w_cf * carry.c)
    return PeepholeLSTMGates(i=1 - f, f=f, g=jnp.tanh(a_g), a_o=a_o)


PARA_GRU = Cell(_gru_init, gru_init_carry, DiagonalStep(_gru_gates, gru_update))
"""ParaGRU: a GRU with one recurrent weight a unit and gate, for `parallel`.

    r = sigmoid(x[t] w_xr + w_hr * h[t-1] + b_r)
    z = sigmoid(x[t] w_xz + w_hz * h[t-1] + b_z)
    n = tanh(x[t] w_xn + w_hn * (r * h[t-1]) + b_n)
    h[t] = (1 - z) * n + z * h[t-1]

Units meet only in the layer above, as in `INDRNN`. The update gate z keeps the state, as in
`birnn_jax.GRU`; that of the paper is 1 - z. `parallel(PARA_GRU)` computes all steps at once, by
Newton iterations. Recurrent weights start uniform between -1 and 1. Options of `with_init`: w_x, b,
time_span.

References:
  Danieli et al., ParaRNN: Unlocking Parallel Training of Nonlinear RNNs for Large Language Models,
  2025.
"""

PARA_LSTM = Cell(_lstm_init, _lstm_init_carry, DiagonalStep(_lstm_gates, peephole_update))
"""ParaLSTM: an LSTM with coupled gates, peepholes, and one recurrent weight a unit and gate.

    f = sigmoid(x[t] w_xf + w_hf * h[t-1] + w_cf * c[t-1] + b_f)
    g = tanh(x[t] w_xg + w_hg * h[t-1] + b_g)
    c[t] = f * c[t-1] + (1 - f) * g
    o = sigmoid(x[t] w_xo + w_ho * h[t-1] + w_co * c[t] + b_o)
    h[t] = o * tanh(c[t])

`parallel(PARA_LSTM)` computes all steps at once, as for `PARA_GRU`. Recurrent weights start uniform
between -1 and 1, peepholes at zero. Options of `with_init`: w_x, b, forget_bias, time_span.

References:
  Danieli et al., ParaRNN: Unlocking Parallel Training of Nonlinear RNNs for Large Language Models,
  2025.
"""
