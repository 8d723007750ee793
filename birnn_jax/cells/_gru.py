"""The gated recurrent unit with the reset gate after the product, as in PyTorch and cuDNN."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._types import Cell
from ._init import per_gate


class GRUParams(NamedTuple):
    """Parameters of `GRU`; gates are packed in the order r, z, n.

    `b` and `b_hn` do not add up to one bias: the reset gate multiplies `b_hn` only.
    """

    w_x: jax.Array  # [D, 3H]
    w_h: jax.Array  # [H, 3H]
    b: jax.Array  # [3H]
    b_hn: jax.Array  # [H]


class GRUCarry(NamedTuple):
    """Carry of `GRU`: the hidden state."""

    h: jax.Array  # [H]


def _gru_init(key: jax.Array, input_size: int, hidden_size: int) -> GRUParams:
    key_x, key_h = jax.random.split(key)
    return GRUParams(
        w_x=per_gate(jax.nn.initializers.glorot_uniform(), key_x, input_size, hidden_size, 3),
        w_h=per_gate(jax.nn.initializers.orthogonal(), key_h, hidden_size, hidden_size, 3),
        b=jnp.zeros(3 * hidden_size),
        b_hn=jnp.zeros(hidden_size),
    )


def _gru_initial_carry(params: GRUParams) -> GRUCarry:
    return GRUCarry(h=jnp.zeros(params.w_h.shape[0], params.w_h.dtype))


def _gru_step(params: GRUParams, carry: GRUCarry, x: jax.Array) -> tuple[GRUCarry, jax.Array]:
    x_r, x_z, x_n = jnp.split(x @ params.w_x + params.b, 3)
    h_r, h_z, h_n = jnp.split(carry.h @ params.w_h, 3)
    r = jax.nn.sigmoid(x_r + h_r)
    z = jax.nn.sigmoid(x_z + h_z)
    n = jnp.tanh(x_n + r * (h_n + params.b_hn))
    h = (1 - z) * n + z * carry.h
    return GRUCarry(h), h


GRU = Cell(_gru_init, _gru_initial_carry, _gru_step)
"""The gated recurrent unit, reset after the product.

    r = sigmoid(x[t] w_xr + h[t-1] w_hr + b_r)
    z = sigmoid(x[t] w_xz + h[t-1] w_hz + b_z)
    n = tanh(x[t] w_xn + b_n + r * (h[t-1] w_hn + b_hn))
    h[t] = (1 - z) * n + z * h[t-1]

Input weights start Glorot-uniform, recurrent weights orthogonal gate by gate, biases at zero.

References:
  Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014 (the unit);
  Appleyard et al., Optimizing Performance of Recurrent Neural Networks on GPUs, 2016 (cuDNN's
  form, with the reset after the product).
"""
