"""minGRU and minLSTM: gates that see the input only."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.dtypes import product, sum_dtype, widen
from .._core.types import Cell
from ._init import Initializer, checked_init, init_weights
from ._linear import GatedCoefficients, LinearCarry, LinearStep


class MinGRUParams(NamedTuple):
    """Parameters of `MINGRU`; packed in the order z, h."""

    w_x: jax.Array  # [D, 2H]
    b: jax.Array  # [2H]


class MinLSTMParams(NamedTuple):
    """Parameters of `MINLSTM`; packed in the order i, f, h."""

    w_x: jax.Array  # [D, 3H]
    b: jax.Array  # [3H]


class MinGRUGates(NamedTuple):
    """Update gate and candidate of `MINGRU`."""

    z: jax.Array  # [H]
    n: jax.Array  # [H]


class MinLSTMGates(NamedTuple):
    """Gates of `MINLSTM` that add up to one, and its candidate."""

    i: jax.Array  # [H]
    f: jax.Array  # [H]
    n: jax.Array  # [H]


@checked_init
def _mingru_init(
    key: jax.Array, input_size: int, hidden_size: int, *, w_x: Initializer = "glorot_uniform"
) -> MinGRUParams:
    weights = init_weights(key, input_size, 2, hidden_size, w_x)
    return MinGRUParams(w_x=weights, b=jnp.zeros(2 * hidden_size))


def _mingru_init_carry(params: MinGRUParams) -> LinearCarry:
    return LinearCarry(h=jnp.zeros(params.b.shape[0] // 2, sum_dtype(params.b.dtype)))


def _mingru_gates(params: MinGRUParams, x: jax.Array) -> MinGRUGates:
    a_z, a_h = jnp.split(product(x, params.w_x) + widen(params.b), 2)
    return MinGRUGates(z=jax.nn.sigmoid(a_z), n=_positive(a_h))


def _mingru_coefficients(gates: MinGRUGates) -> tuple[jax.Array, jax.Array]:
    return 1 - gates.z, gates.z * gates.n


@checked_init
def _minlstm_init(
    key: jax.Array, input_size: int, hidden_size: int, *, w_x: Initializer = "glorot_uniform"
) -> MinLSTMParams:
    weights = init_weights(key, input_size, 3, hidden_size, w_x)
    return MinLSTMParams(w_x=weights, b=jnp.zeros(3 * hidden_size))


def _minlstm_init_carry(params: MinLSTMParams) -> LinearCarry:
    return LinearCarry(h=jnp.zeros(params.b.shape[0] // 3, sum_dtype(params.b.dtype)))


def _minlstm_gates(params: MinLSTMParams, x: jax.Array) -> MinLSTMGates:
    a_i, a_f, a_h = jnp.split(product(x, params.w_x) + widen(params.b), 3)
    # f / (f + i) without the quotient, which is 0/0 where both gates are closed.
    log_ratio = jax.nn.log_sigmoid(a_f) - jax.nn.log_sigmoid(a_i)
    return MinLSTMGates(i=jax.nn.sigmoid(-log_ratio), f=jax.nn.sigmoid(log_ratio), n=_positive(a_h))


def _minlstm_coefficients(gates: MinLSTMGates) -> tuple[jax.Array, jax.Array]:
    return gates.f, gates.i * gates.n


def _positive(a: jax.Array) -> jax.Array:
    """The paper's g: a + 1/2 above zero, sigmoid(a) below."""
    return jnp.where(a >= 0, a + 0.5, jax.nn.sigmoid(a))


MINGRU = Cell(
    _mingru_init,
    _mingru_init_carry,
    LinearStep(GatedCoefficients(_mingru_gates, _mingru_coefficients)),
)
"""minGRU: a GRU whose gate and candidate do not see the state.

    z = sigmoid(x[t] w_xz + b_z)
    h[t] = (1 - z) * h[t-1] + z * g(x[t] w_xh + b_h)     g(a) = a + 1/2 if a >= 0 else sigmoid(a)

Here z = 1 takes the candidate; in `birnn_jax.GRU` it keeps the state. The state starts at zero and
may have any sign: nothing is computed in log space, so that `parallel(MINGRU)` equals it from any
carry. (The paper's log-space program applies g to the initial state; to begin as it does, give
`initial_carry` 1/2.) Options of `with_init`: w_x.

References:
  Feng et al., Were RNNs All We Needed?, 2024, in the form with g.
"""

MINLSTM = Cell(
    _minlstm_init,
    _minlstm_init_carry,
    LinearStep(GatedCoefficients(_minlstm_gates, _minlstm_coefficients)),
)
"""minLSTM: an LSTM whose gates and candidate do not see the state; the gates add up to one.

    i, f = sigmoid(x[t] w_xi + b_i), sigmoid(x[t] w_xf + b_f)
    h[t] = f / (f + i) * h[t-1] + i / (f + i) * g(x[t] w_xh + b_h)     g as in `MINGRU`

The state starts at zero, and `parallel(MINLSTM)` equals it from any carry. Options of `with_init`:
w_x.

References:
  Feng et al., Were RNNs All We Needed?, 2024, in the form with g.
"""
