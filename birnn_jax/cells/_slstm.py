"""The sLSTM: an LSTM whose input gate is exponential, with a normaliser and a stabiliser."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core.dtypes import as_output, product, sum_dtype, widen
from .._core.types import Cell
from ._gated import GatedStep
from ._heads import recurrent_product
from ._init import with_options_of
from ._lstm import lstm_init


class SLSTMParams(NamedTuple):
    """Parameters of `SLSTM`; gates are packed in the order i, f, g, o."""

    w_x: jax.Array  # [D, 4H]
    w_h: jax.Array  # [H, 4H], with K heads [H/K, 4H]
    b: jax.Array  # [4H]


class SLSTMCarry(NamedTuple):
    """Carry of `SLSTM`: cell state, normaliser, stabiliser and hidden state.

    Without the stabiliser the cell state is exp(m) * c and the normaliser exp(m) * n. A unit whose
    n is 0 has seen nothing yet: its c, n and m do not count.
    """

    # In the order in which the native kernels read them, kernels/cpu/src/lstms.h.
    c: jax.Array  # [H]
    n: jax.Array  # [H]
    m: jax.Array  # [H]
    h: jax.Array  # [H]


class SLSTMGates(NamedTuple):
    """Stabilised i and f, candidate and output gate of `SLSTM`, and the new stabiliser."""

    i: jax.Array  # [H]
    f: jax.Array  # [H]
    g: jax.Array  # [H]
    o: jax.Array  # [H]
    m: jax.Array  # [H]


@with_options_of(lstm_init)
def _init(key: jax.Array, input_size: int, hidden_size: int, **options: Any) -> SLSTMParams:
    return SLSTMParams(*lstm_init(key, input_size, hidden_size, **options))


def _init_carry(params: SLSTMParams) -> SLSTMCarry:
    zeros = jnp.zeros(params.b.shape[0] // 4, sum_dtype(params.b.dtype))
    return SLSTMCarry(c=zeros, n=zeros, m=zeros, h=zeros)


def _gates(params: SLSTMParams, carry: SLSTMCarry, x: jax.Array) -> SLSTMGates:
    log_i, log_f, g, o = slstm_activations(params, carry, x)
    i, f, m = stabilise(log_i, log_f, carry)
    return SLSTMGates(i=i, f=f, g=g, o=o, m=m)


def slstm_activations(params: SLSTMParams, carry: SLSTMCarry, x: jax.Array) -> list[jax.Array]:
    """Logarithms of i and f before they are stabilised, g and o."""
    a = product(x, params.w_x) + recurrent_product(carry.h, params.w_h) + widen(params.b)
    a_i, a_f, a_g, a_o = jnp.split(a, 4)
    return [a_i, jax.nn.log_sigmoid(a_f), jnp.tanh(a_g), jax.nn.sigmoid(a_o)]


def stabilise(
    log_i: jax.Array, log_f: jax.Array, carry: SLSTMCarry
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Both gates over exp(m), so that the larger one is 1, and the new m."""
    is_empty = carry.n == 0
    log_kept = log_f + carry.m
    m = jnp.where(is_empty, log_i, jnp.maximum(log_i, log_kept))
    # Nothing is kept of nothing; its exponential could overflow, in the gradient too.
    f = jnp.where(is_empty, 0, jnp.exp(jnp.where(is_empty, 0, log_kept - m)))
    return jnp.exp(log_i - m), f, m


def _update(
    params: SLSTMParams, carry: SLSTMCarry, gates: SLSTMGates
) -> tuple[SLSTMCarry, jax.Array]:
    c = gates.f * carry.c + gates.i * gates.g
    n = gates.f * carry.n + gates.i
    h = gates.o * (c / n)
    return SLSTMCarry(c=c, n=n, m=gates.m, h=h), as_output(h, params)


SLSTM = Cell(_init, _init_carry, GatedStep(_gates, _update))
"""The scalar LSTM of xLSTM: exponential input gate, normalised and stabilised.

    a_i, a_f, a_g, a_o = x[t] w_x + h[t-1] w_h + b
    m[t] = max(a_i, log sigmoid(a_f) + m[t-1])     a_i at the first step
    i = exp(a_i - m[t])
    f = exp(log sigmoid(a_f) + m[t-1] - m[t])
    c[t] = f * c[t-1] + i * tanh(a_g)
    n[t] = f * n[t-1] + i
    h[t] = sigmoid(a_o) * c[t] / n[t]

h does not depend on m, which keeps the exponentials from overflowing; the forget gate is a
sigmoid, as in the published code. With `heads` (as in `LSTM`) this is the published step with
as many heads. Initialisation and options of `with_init` are those of `LSTM`.

References:
  Beck et al., xLSTM: Extended Long Short-Term Memory, 2024; their code is github.com/NX-AI/xlstm.
"""
