"""LSTM and GRU with layer normalisation inside the recurrence."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core.dtypes import as_output, product, widen
from .._core.types import Cell
from ._gated import GatedStep
from ._gru import GRUCarry, GRUGates, gru_init_carry, gru_update
from ._gru_reset_before import GRU_RESET_BEFORE
from ._heads import recurrent_product
from ._init import with_options_of
from ._lstm import LSTMCarry, LSTMGates, activate, lstm_init, lstm_init_carry


class LayerNormLSTMParams(NamedTuple):
    """Parameters of the layer-normalised LSTMs; gates are packed in the order i, f, g, o.

    The shifts of the norms of both products are in `b`: as functions they are one and the same.
    """

    w_x: jax.Array  # [D, 4H]
    w_h: jax.Array  # [H, 4H], with K heads [H/K, 4H]
    b: jax.Array  # [4H]
    scale_x: jax.Array  # [4H]
    scale_h: jax.Array  # [4H]
    scale_c: jax.Array  # [H]
    shift_c: jax.Array  # [H]


class LayerNormGRUParams(NamedTuple):
    """Parameters of `LAYER_NORM_GRU_BA`; gates are packed in the order r, z, n."""

    w_x: jax.Array  # [D, 3H]
    w_h: jax.Array  # [H, 3H]
    b: jax.Array  # [3H]
    b_hn: jax.Array  # [H]
    scale_x: jax.Array  # [3H]
    scale_h: jax.Array  # [3H]


def normalise(a: jax.Array, epsilon: float) -> jax.Array:
    """`(a - mean(a)) / sqrt(var(a) + epsilon)` over the last axis."""
    centred = a - a.mean(axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + epsilon)


@with_options_of(lstm_init)
def _lstm_init(
    key: jax.Array, input_size: int, hidden_size: int, **options: Any
) -> LayerNormLSTMParams:
    params = lstm_init(key, input_size, hidden_size, **options)
    ones = jnp.ones(hidden_size)
    return LayerNormLSTMParams(
        *params,
        scale_x=jnp.ones(4 * hidden_size),
        scale_h=jnp.ones(4 * hidden_size),
        scale_c=ones,
        shift_c=jnp.zeros(hidden_size),
    )


@dataclasses.dataclass(frozen=True)
class _LSTMGatesFn:
    epsilon: float

    def __call__(self, params: LayerNormLSTMParams, carry: LSTMCarry, x: jax.Array) -> LSTMGates:
        a_x = normalise(product(x, params.w_x), self.epsilon) * widen(params.scale_x)
        a_h = normalise(recurrent_product(carry.h, params.w_h), self.epsilon)
        a_h = a_h * widen(params.scale_h)
        return activate(a_x + a_h + widen(params.b))


def _lstm_update_ba(
    params: LayerNormLSTMParams, carry: LSTMCarry, gates: LSTMGates
) -> tuple[LSTMCarry, jax.Array]:
    c = gates.f * carry.c + gates.i * gates.g
    h = gates.o * jnp.tanh(_scale(normalise(c, 1e-5), params))
    return LSTMCarry(c=c, h=h), as_output(h, params)


def _lstm_update_tfa(
    params: LayerNormLSTMParams, carry: LSTMCarry, gates: LSTMGates
) -> tuple[LSTMCarry, jax.Array]:
    c = gates.f * carry.c + gates.i * gates.g
    c = _scale(normalise(c, 1e-3), params)
    h = gates.o * jnp.tanh(c)
    return LSTMCarry(c=c, h=h), as_output(h, params)


def _scale(c: jax.Array, params: LayerNormLSTMParams) -> jax.Array:
    return c * widen(params.scale_c) + widen(params.shift_c)


LAYER_NORM_LSTM_BA = Cell(
    _lstm_init, lstm_init_carry, GatedStep(_LSTMGatesFn(epsilon=1e-5), _lstm_update_ba)
)
"""Layer-normalised LSTM of Ba, Kiros and Hinton: the cell state is carried as it is.

    a = LN(x[t] w_x) * scale_x + LN(h[t-1] w_h) * scale_h + b, split into i, f, g, o as in `LSTM`
    c[t] = f * c[t-1] + i * g
    h[t] = o * tanh(LN(c[t]) * scale_c + shift_c)

with LN(a) = (a - mean(a)) / sqrt(var(a) + 1e-5), over all four gates at once. Only the output sees
the normalised cell state; `LAYER_NORM_LSTM_TFA` carries it on. Scales start at one; options of
`with_init` as for `LSTM`.

References:
  Ba, Kiros and Hinton, Layer Normalization, 2016.
"""

LAYER_NORM_LSTM_TFA = Cell(
    _lstm_init, lstm_init_carry, GatedStep(_LSTMGatesFn(epsilon=1e-3), _lstm_update_tfa)
)
"""Layer-normalised LSTM of TensorFlow Addons: the normalised cell state is carried.

    a = LN(x[t] w_x) * scale_x + LN(h[t-1] w_h) * scale_h + b, split into i, f, g, o as in `LSTM`
    c[t] = LN(f * c[t-1] + i * g) * scale_c + shift_c
    h[t] = o * tanh(c[t])

with LN(a) = (a - mean(a)) / sqrt(var(a) + 1e-3), over all four gates at once. Not the function of
`LAYER_NORM_LSTM_BA`: their parameters are not interchangeable. Options of `with_init` as for
`LSTM`.

References:
  tensorflow_addons.rnn.LayerNormLSTMCell, 0.23.
"""


@with_options_of(GRU_RESET_BEFORE.init)
def _gru_init(
    key: jax.Array, input_size: int, hidden_size: int, **options: Any
) -> LayerNormGRUParams:
    params = GRU_RESET_BEFORE.init(key, input_size, hidden_size, **options)
    return LayerNormGRUParams(
        *params,
        b_hn=jnp.zeros(hidden_size),
        scale_x=jnp.ones(3 * hidden_size),
        scale_h=jnp.ones(3 * hidden_size),
    )


def _gru_gates(params: LayerNormGRUParams, carry: GRUCarry, x: jax.Array) -> GRUGates:
    x_r, x_z, x_n = jnp.split(
        normalise_gru(product(x, params.w_x)) * widen(params.scale_x) + widen(params.b), 3
    )
    h_r, h_z, h_n = jnp.split(
        normalise_gru(product(carry.h, params.w_h)) * widen(params.scale_h), 3
    )
    r = jax.nn.sigmoid(x_r + h_r)
    z = jax.nn.sigmoid(x_z + h_z)
    n = jnp.tanh(x_n + r * (h_n + widen(params.b_hn)))
    return GRUGates(r=r, z=z, n=n)


def normalise_gru(a: jax.Array) -> jax.Array:
    """The two gates together, the candidate by itself."""
    a_rz, a_n = jnp.split(a, [a.shape[0] // 3 * 2])
    return jnp.concatenate([normalise(a_rz, 1e-5), normalise(a_n, 1e-5)])


LAYER_NORM_GRU_BA = Cell(_gru_init, gru_init_carry, GatedStep(_gru_gates, gru_update))
"""Layer-normalised GRU of Ba, Kiros and Hinton, reset after the product.

    r, z = sigmoid(LN(x[t] w_xrz) * scale_xrz + LN(h[t-1] w_hrz) * scale_hrz + b_rz)
    n = tanh(LN(x[t] w_xn) * scale_xn + b_n + r * (LN(h[t-1] w_hn) * scale_hn + b_hn))
    h[t] = (1 - z) * n + z * h[t-1]

with LN(a) = (a - mean(a)) / sqrt(var(a) + 1e-5), over both gates at once and over the candidate by
itself. The paper's z is 1 - z here: negate its scales and biases. Scales start at one; options of
`with_init` as for `GRU`.

References:
  Ba, Kiros and Hinton, Layer Normalization, 2016, supplement.
"""
