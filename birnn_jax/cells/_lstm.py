"""The long short-term memory cell."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.dtypes import as_output, product, sum_dtype, widen
from .._core.types import Cell, Params
from ._gated import GatedStep
from ._heads import init_recurrent_weights, recurrent_product
from ._init import Bias, Initializer, checked_init, init_gate_bias, init_weights


class LSTMParams(NamedTuple):
    """Parameters of `LSTM`; gates are packed in the order i, f, g, o."""

    # In the order in which the native kernels read them, kernels/cpu/src/buffers.h.
    w_x: jax.Array  # [D, 4H]
    w_h: jax.Array  # [H, 4H], with K heads [H/K, 4H]
    b: jax.Array  # [4H]


class LSTMCarry(NamedTuple):
    """Carry of `LSTM` and its variants: cell state and hidden state. Read it by field name."""

    # In the order in which the native kernels read them, kernels/cpu/src/buffers.h.
    c: jax.Array  # [H]
    h: jax.Array  # [H]


class LSTMGates(NamedTuple):
    """Input gate, forget gate, candidate and output gate of `LSTM` and its variants."""

    i: jax.Array  # [H]
    f: jax.Array  # [H]
    g: jax.Array  # [H]
    o: jax.Array  # [H]


@checked_init
def lstm_init(
    key: jax.Array,
    input_size: int,
    hidden_size: int,
    *,
    w_x: Initializer = "glorot_uniform",
    w_h: Initializer = "orthogonal",
    b: Bias = "zeros",
    forget_bias: float | None = None,
    time_span: int | None = None,
    heads: int = 1,
) -> LSTMParams:
    """Makes the parameters; `forget_bias` is one unless another option sets the bias."""
    key_x, key_h, key_b = jax.random.split(key, 3)
    return LSTMParams(
        w_x=init_weights(key_x, input_size, 4, hidden_size, w_x),
        w_h=init_recurrent_weights(key_h, 4, hidden_size, w_h, heads),
        b=init_gate_bias(
            key_b, "ifgo", hidden_size, b=b, forget_bias=forget_bias, time_span=time_span
        ),
    )


def lstm_init_carry(params: Params) -> LSTMCarry:
    """Zeros, by the bias, in which every gate has H entries."""
    return zeros_of(params, 4)


def zeros_of(params: Params, num_gates: int) -> LSTMCarry:
    """A carry of zeros for a cell of so many gates."""
    zeros = jnp.zeros(params.b.shape[0] // num_gates, sum_dtype(params.b.dtype))
    return LSTMCarry(c=zeros, h=zeros)


def lstm_gates(params: Params, carry: LSTMCarry, x: jax.Array) -> LSTMGates:
    """The four gates."""
    a_h = recurrent_product(carry.h, params.w_h)
    return activate(product(x, params.w_x) + a_h + widen(params.b))


def activate(a: jax.Array) -> LSTMGates:
    """From the pre-activation of all gates, `[4H]`."""
    a_i, a_f, a_g, a_o = jnp.split(a, 4)
    return LSTMGates(
        i=jax.nn.sigmoid(a_i), f=jax.nn.sigmoid(a_f), g=jnp.tanh(a_g), o=jax.nn.sigmoid(a_o)
    )


def lstm_update(params: Params, carry: LSTMCarry, gates: LSTMGates) -> tuple[LSTMCarry, jax.Array]:
    """The new cell state, and what the output gate lets out of it."""
    c = gates.f * carry.c + gates.i * gates.g
    h = gates.o * jnp.tanh(c)
    return LSTMCarry(c=c, h=h), as_output(h, params)


LSTM = Cell(lstm_init, lstm_init_carry, GatedStep(lstm_gates, lstm_update))
"""The long short-term memory cell.

    i = sigmoid(x[t] w_xi + h[t-1] w_hi + b_i)
    f = sigmoid(x[t] w_xf + h[t-1] w_hf + b_f)
    g = tanh(x[t] w_xg + h[t-1] w_hg + b_g)
    o = sigmoid(x[t] w_xo + h[t-1] w_ho + b_o)
    c[t] = f * c[t-1] + i * g
    h[t] = o * tanh(c[t])

Input weights start Glorot-uniform, recurrent weights orthogonal gate by gate, the bias of the
forget gate at one, the others at zero; options of `with_init`: w_x, w_h, b, forget_bias, time_span,
heads.

With `heads` K, which must divide H, the recurrent weights of a gate are K blocks of a diagonal: a
unit sees the H/K units of its own head. That is 1/K of the weights, and of their work.

References:
  Hochreiter and Schmidhuber, Long Short-Term Memory, 1997; Gers et al., Learning to Forget, 2000;
  Jozefowicz et al., An Empirical Exploration of Recurrent Network Architectures, 2015 (bias one);
  Beck et al., xLSTM: Extended Long Short-Term Memory, 2024 (heads).
"""
