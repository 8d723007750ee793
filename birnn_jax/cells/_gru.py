"""The gated recurrent unit with the reset gate after the product, as in PyTorch and cuDNN."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.dtypes import as_output, product, sum_dtype, widen
from .._core.types import Cell, Params
from ._gated import GatedStep
from ._heads import init_recurrent_weights, recurrent_product
from ._init import Bias, Initializer, checked_init, init_bias, init_gate_bias, init_weights


class GRUParams(NamedTuple):
    """Parameters of `GRU`; gates are packed in the order r, z, n.

    `b` and `b_hn` do not add up to one bias: the reset gate multiplies `b_hn` only.
    """

    # In the order in which the native kernels read them, kernels/cpu/src/buffers.h.
    w_x: jax.Array  # [D, 3H]
    w_h: jax.Array  # [H, 3H], with K heads [H/K, 3H]
    b: jax.Array  # [3H]
    b_hn: jax.Array  # [H]


class GRUCarry(NamedTuple):
    """Carry of `GRU` and its variants: the hidden state."""

    h: jax.Array  # [H]


class GRUGates(NamedTuple):
    """Reset gate, update gate and candidate of `GRU` and its variants."""

    r: jax.Array  # [H]
    z: jax.Array  # [H]
    n: jax.Array  # [H]


def gru_init_carry(params: Params) -> GRUCarry:
    """Zeros, by the bias, in which every gate has H entries."""
    return GRUCarry(h=jnp.zeros(params.b.shape[0] // 3, sum_dtype(params.b.dtype)))


def gru_update(params: Params, carry: GRUCarry, gates: GRUGates) -> tuple[GRUCarry, jax.Array]:
    """Between the old state and the candidate; z keeps the old one."""
    h = (1 - gates.z) * gates.n + gates.z * carry.h
    return GRUCarry(h), as_output(h, params)


@checked_init
def _gru_init(
    key: jax.Array,
    input_size: int,
    hidden_size: int,
    *,
    w_x: Initializer = "glorot_uniform",
    w_h: Initializer = "orthogonal",
    b: Bias = "zeros",
    time_span: int | None = None,
    heads: int = 1,
) -> GRUParams:
    key_x, key_h, key_rz, key_n, key_hn = jax.random.split(key, 5)
    b_rz = init_gate_bias(key_rz, "rz", hidden_size, b=b, time_span=time_span)
    return GRUParams(
        w_x=init_weights(key_x, input_size, 3, hidden_size, w_x),
        w_h=init_recurrent_weights(key_h, 3, hidden_size, w_h, heads),
        b=jnp.concatenate([b_rz, init_bias(key_n, 1, hidden_size, b)]),
        b_hn=init_bias(key_hn, 1, hidden_size, b),
    )


def _gru_gates(params: GRUParams, carry: GRUCarry, x: jax.Array) -> GRUGates:
    x_r, x_z, x_n = jnp.split(product(x, params.w_x) + widen(params.b), 3)
    h_r, h_z, h_n = jnp.split(recurrent_product(carry.h, params.w_h), 3)
    r = jax.nn.sigmoid(x_r + h_r)
    z = jax.nn.sigmoid(x_z + h_z)
    n = jnp.tanh(x_n + r * (h_n + widen(params.b_hn)))
    return GRUGates(r=r, z=z, n=n)


GRU = Cell(_gru_init, gru_init_carry, GatedStep(_gru_gates, gru_update))
"""The gated recurrent unit, reset after the product.

    r = sigmoid(x[t] w_xr + h[t-1] w_hr + b_r)
    z = sigmoid(x[t] w_xz + h[t-1] w_hz + b_z)
    n = tanh(x[t] w_xn + b_n + r * (h[t-1] w_hn + b_hn))
    h[t] = (1 - z) * n + z * h[t-1]

Input weights start Glorot-uniform, recurrent weights orthogonal gate by gate, biases at zero;
options of `with_init`: w_x, w_h, b, time_span, heads (as in `LSTM`).

References:
  Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014 (the unit);
  Appleyard et al., Optimizing Performance of Recurrent Neural Networks on GPUs, 2016 (cuDNN's
  form, with the reset after the product).
"""
