"""The rule of the LSTM."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ...cells import LSTMCarry, LSTMParams
from .cell_rule import CellRule
from .gates import gate_of_tanh
from .joint import JointWeights, activate, combine, finish, pack, project, recurrent


class _Coefficients(NamedTuple):
    """Of d_c[t] = f d_c[t-1] + i d_i + f_in d_f + g d_g and d_h[t] = o d_o + c d_c[t]."""

    i: jax.Array  # [..., H], as all
    f_in: jax.Array
    g: jax.Array
    o: jax.Array
    f: jax.Array
    c: jax.Array


def _pack(params: LSTMParams) -> JointWeights:
    return pack(params, "ssts")


def _update(activations: jax.Array, carry: LSTMCarry) -> LSTMCarry:
    i, f, g, o = _gates(activations)
    c = f * carry.c + i * g
    return LSTMCarry(c=c, h=o * jnp.tanh(c))


def _coefficients(activations: jax.Array, carry: LSTMCarry) -> _Coefficients:
    i, f, g, o = _gates(activations)
    tanh_c = jnp.tanh(f * carry.c + i * g)
    return _Coefficients(
        i=i * (1 - i) * g,
        f_in=f * (1 - f) * carry.c,
        g=i * (1 - g * g),
        o=o * (1 - o) * tanh_c,
        f=f,
        c=o * (1 - tanh_c * tanh_c),
    )


def _inject(coefficients: _Coefficients, d_a_x: jax.Array, d_a_h: jax.Array) -> jax.Array:
    del coefficients
    return d_a_x + d_a_h


def _advance(
    coefficients: _Coefficients, d_carry: LSTMCarry, d_u: jax.Array, d_in: jax.Array
) -> LSTMCarry:
    i, f, g, o = jnp.split(d_in + d_u, 4, axis=-1)
    c = coefficients.f * d_carry.c
    c = c + coefficients.i * i + coefficients.f_in * f + coefficients.g * g
    return LSTMCarry(c=c, h=coefficients.o * o + coefficients.c * c)


def _gates(activations: jax.Array) -> tuple[jax.Array, ...]:
    i, f, g, o = jnp.split(activations, 4, axis=-1)
    return gate_of_tanh(i), gate_of_tanh(f), g, gate_of_tanh(o)


LSTM_RULE = CellRule(
    pack=_pack,
    project=project,
    finish=finish,
    activate=activate,
    recurrent=recurrent,
    combine=combine,
    update=_update,
    coefficients=_coefficients,
    inject=_inject,
    advance=_advance,
)
