"""The LSTM as the kernels see it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..cells import LSTMCarry, LSTMParams
from ._form import Form
from ._gates import gate_of_tanh, halve_sigmoids


class _Coefficients(NamedTuple):
    """Of d_c = f d_c + a_i d_i + a_f d_f + a_g d_g and d_h = a_o d_o + c d_c, d_i.. of the sums."""

    a: jax.Array  # [..., 4H]
    f: jax.Array  # [..., H]
    c: jax.Array  # [..., H]


def _pack(params: LSTMParams) -> tuple[jax.Array, jax.Array]:
    w = jnp.concatenate([params.w_x, params.w_h])
    return halve_sigmoids(w, "ssts"), halve_sigmoids(params.b, "ssts")


def _activate(weights: tuple[jax.Array, jax.Array], x: jax.Array, h: jax.Array) -> jax.Array:
    """`[..., 4H]`, the tanh of everything: one product and one pass."""
    w, b = weights
    return jnp.tanh(jnp.concatenate([x, h], axis=-1) @ w + jnp.expand_dims(b, range(x.ndim - 1)))


def _update(activations: jax.Array, carry: LSTMCarry) -> LSTMCarry:
    i, f, g, o = _gates(activations)
    c = f * carry.c + i * g
    return LSTMCarry(c=c, h=o * jnp.tanh(c))


def _coefficients(activations: jax.Array, carry: LSTMCarry) -> _Coefficients:
    i, f, g, o = _gates(activations)
    tanh_c = jnp.tanh(f * carry.c + i * g)
    a_i, a_f, a_g = i * (1 - i) * g, f * (1 - f) * carry.c, i * (1 - g * g)
    a = jnp.concatenate([a_i, a_f, a_g, o * (1 - o) * tanh_c], axis=-1)
    return _Coefficients(a=a, f=f, c=o * (1 - tanh_c * tanh_c))


def _inject(coefficients: _Coefficients, d_a_x: jax.Array, d_a_h: jax.Array) -> LSTMCarry:
    i, f, g, o = jnp.split(coefficients.a * (d_a_x + d_a_h), 4, axis=-1)
    return LSTMCarry(c=i + f + g, h=o)


def _advance(
    coefficients: _Coefficients, d_carry: LSTMCarry, d_u: jax.Array, d_in: LSTMCarry
) -> LSTMCarry:
    i, f, g, o = jnp.split(coefficients.a * d_u, 4, axis=-1)
    c = coefficients.f * d_carry.c + i + f + g + d_in.c
    return LSTMCarry(c=c, h=coefficients.c * c + o + d_in.h)


def _gates(activations: jax.Array) -> tuple[jax.Array, ...]:
    i, f, g, o = jnp.split(activations, 4, axis=-1)
    return gate_of_tanh(i), gate_of_tanh(f), g, gate_of_tanh(o)


LSTM_FORM = Form(_pack, _activate, _update, _coefficients, _inject, _advance)
