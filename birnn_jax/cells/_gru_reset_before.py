"""The gated recurrent unit with the reset gate before the product, as first printed."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.dtypes import product, widen
from .._core.types import Cell
from ._gated import GatedStep
from ._gru import GRUCarry, GRUGates, gru_init_carry, gru_update
from ._init import Bias, Initializer, checked_init, init_gate_bias, init_weights


class GRUResetBeforeParams(NamedTuple):
    """Parameters of `GRU_RESET_BEFORE`; gates are packed in the order r, z, n."""

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
    time_span: int | None = None,
) -> GRUResetBeforeParams:
    key_x, key_h, key_rz, key_n = jax.random.split(key, 4)
    b_rz = init_gate_bias(key_rz, "rz", hidden_size, b=b, time_span=time_span)
    b_n = init_gate_bias(key_n, "n", hidden_size, b=b)
    return GRUResetBeforeParams(
        w_x=init_weights(key_x, input_size, 3, hidden_size, w_x),
        w_h=init_weights(key_h, hidden_size, 3, hidden_size, w_h),
        b=jnp.concatenate([b_rz, b_n]),
    )


def _gates(params: GRUResetBeforeParams, carry: GRUCarry, x: jax.Array) -> GRUGates:
    x_r, x_z, x_n = jnp.split(product(x, params.w_x) + widen(params.b), 3)
    w_hrz, w_hn = jnp.split(params.w_h, [2 * x_r.shape[0]], axis=1)
    h_r, h_z = jnp.split(product(carry.h, w_hrz), 2)
    r = jax.nn.sigmoid(x_r + h_r)
    z = jax.nn.sigmoid(x_z + h_z)
    n = jnp.tanh(x_n + product(r * carry.h, w_hn))
    return GRUGates(r=r, z=z, n=n)


GRU_RESET_BEFORE = Cell(_init, gru_init_carry, GatedStep(_gates, gru_update))
"""The gated recurrent unit, reset before the product; two products follow each other in a step.

    r = sigmoid(x[t] w_xr + h[t-1] w_hr + b_r)
    z = sigmoid(x[t] w_xz + h[t-1] w_hz + b_z)
    n = tanh(x[t] w_xn + (r * h[t-1]) w_hn + b_n)
    h[t] = (1 - z) * n + z * h[t-1]

Its weights and those of `birnn_jax.GRU` are not interchangeable. Keras has it as
`reset_after=False`, ONNX as `linear_before_reset=0`. Options of `with_init`: as for `GRU`.

References:
  Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014;
  Chung et al., Empirical Evaluation of Gated Recurrent Neural Networks, 2014.
"""
