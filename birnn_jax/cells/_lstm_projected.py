"""LSTM whose hidden state is a projection of what the cell state puts out.

Example:
  >>> from birnn_jax.cells import PROJECTED_LSTM
  >>> cell = PROJECTED_LSTM.with_init(projection_size=2)
  >>> carry, ys = scan_cell(cell, cell.init(jax.random.key(0), 3, 7), jnp.zeros([1, 5, 3]))
  >>> carry.c.shape, carry.h.shape, ys.shape
  ((1, 7), (1, 2), (1, 5, 2))
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.dtypes import as_output, product, sum_dtype
from .._core.types import Cell
from ._gated import GatedStep
from ._init import Bias, Initializer, checked_init, init_gate_bias, init_weights
from ._lstm import LSTMCarry, LSTMGates, lstm_gates, lstm_update


class ProjectedLSTMParams(NamedTuple):
    """Parameters of `PROJECTED_LSTM`; gates are packed in the order i, f, g, o."""

    w_x: jax.Array  # [D, 4H]
    w_h: jax.Array  # [P, 4H]
    b: jax.Array  # [4H]
    w_p: jax.Array  # [H, P]


@checked_init
def _init(
    key: jax.Array,
    input_size: int,
    hidden_size: int,
    *,
    projection_size: int | None = None,
    w_x: Initializer = "glorot_uniform",
    w_h: Initializer = "orthogonal",
    w_p: Initializer = "glorot_uniform",
    b: Bias = "zeros",
    forget_bias: float | None = None,
    time_span: int | None = None,
) -> ProjectedLSTMParams:
    if projection_size is None or not 0 < projection_size < hidden_size:
        raise ValueError(
            f"projection_size must be from 1 to {hidden_size - 1}, below hidden_size, got "
            f"{projection_size}. Give it as PROJECTED_LSTM.with_init(projection_size=...)."
        )
    key_x, key_h, key_b, key_p = jax.random.split(key, 4)
    return ProjectedLSTMParams(
        w_x=init_weights(key_x, input_size, 4, hidden_size, w_x),
        w_h=init_weights(key_h, projection_size, 4, hidden_size, w_h),
        b=init_gate_bias(
            key_b, "ifgo", hidden_size, b=b, forget_bias=forget_bias, time_span=time_span
        ),
        w_p=init_weights(key_p, hidden_size, 1, hidden_size, w_p, columns=projection_size),
    )


def _init_carry(params: ProjectedLSTMParams) -> LSTMCarry:
    hidden_size, projection_size = params.w_p.shape
    dtype = sum_dtype(params.w_p.dtype)
    return LSTMCarry(c=jnp.zeros(hidden_size, dtype), h=jnp.zeros(projection_size, dtype))


def _update(
    params: ProjectedLSTMParams, carry: LSTMCarry, gates: LSTMGates
) -> tuple[LSTMCarry, jax.Array]:
    unprojected, y = lstm_update(params, carry, gates)
    h = product(y, params.w_p)
    return unprojected._replace(h=h), as_output(h, params)


PROJECTED_LSTM = Cell(_init, _init_carry, GatedStep(lstm_gates, _update))
"""LSTM with a recurrent projection, `proj_size` in torch: h is smaller than c.

    i, f, g, o and c[t] as in `LSTM`, from h[t-1] of size P; c has size H
    h[t] = (o * tanh(c[t])) w_p

Outputs are `[P]`. There is no bias and no nonlinearity after the projection. Options of
`with_init`: projection_size, which must be given, w_p, and those of `LSTM`.
References:
  Sak et al., Long Short-Term Memory Recurrent Neural Network Architectures for Large Scale
  Acoustic Modeling, 2014.
"""
