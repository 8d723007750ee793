"""The rule of the sLSTM."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ...cells import SLSTMCarry, SLSTMParams
from ...cells._slstm import stabilise
from .cell_rule import CellRule
from .gates import gate_of_tanh
from .joint import JointWeights, add_state, add_up, pack, project, recurrent


class SLSTMActivations(NamedTuple):
    """Logarithms of i and f before they are stabilised, g and o."""

    log_i: jax.Array  # [..., H], as all
    log_f: jax.Array
    g: jax.Array
    o: jax.Array


class _Coefficients(NamedTuple):
    """With d_kept = d_m[t-1] + log_f d_f and d_gap = d_i - d_kept, where d_i, ... are of the sums:

    d_m[t] = d_kept + m d_gap, d_c[t] = f d_c[t-1] + g d_g + c d_gap, d_n[t] = f d_n[t-1] + n d_gap,
    d_h[t] = o d_o + h_c d_c[t] - h_n d_n[t].
    """

    log_f: jax.Array  # [..., H], as all
    f: jax.Array
    g: jax.Array
    m: jax.Array
    c: jax.Array
    n: jax.Array
    o: jax.Array
    h_c: jax.Array
    h_n: jax.Array


def _pack(params: SLSTMParams) -> JointWeights:
    return pack(params, "ttts")


def _finish(weights: JointWeights, a_x: jax.Array, h: jax.Array) -> SLSTMActivations:
    return _of_sums(add_state(weights, a_x, h))


def _activate(weights: JointWeights, x: jax.Array, h: jax.Array) -> SLSTMActivations:
    return _of_sums(add_up(weights, x, h))


def _combine(a_x: jax.Array, a_h: jax.Array) -> SLSTMActivations:
    return _of_sums(a_x + a_h)


def _of_sums(a: jax.Array) -> SLSTMActivations:
    a_i, a_f, a_g, a_o = jnp.split(a, 4, axis=-1)
    log_f = jnp.minimum(a_f, 0) - jnp.log1p(jnp.exp(-jnp.abs(a_f)))
    return SLSTMActivations(log_i=a_i, log_f=log_f, g=jnp.tanh(a_g), o=gate_of_tanh(jnp.tanh(a_o)))


def _update(activations: SLSTMActivations, carry: SLSTMCarry) -> SLSTMCarry:
    i, f, m = stabilise(activations.log_i, activations.log_f, carry)
    c = f * carry.c + i * activations.g
    n = f * carry.n + i
    return SLSTMCarry(c=c, n=n, m=m, h=activations.o * (c / n))


def _coefficients(activations: SLSTMActivations, carry: SLSTMCarry) -> _Coefficients:
    log_i, log_f, g, o = activations
    i, f, m = stabilise(log_i, log_f, carry)
    new = _update(activations, carry)
    # The part of a_i in the derivative of the maximum.
    gap = log_i - (log_f + carry.m)
    part = jnp.where((carry.n == 0) | (gap > 0), 1, jnp.where(gap == 0, 0.5, 0)).astype(m.dtype)
    part_i, part_f = (1 - part) * i, part * f
    quotient = new.c / new.n
    return _Coefficients(
        log_f=-jnp.expm1(log_f),
        f=f,
        g=i * (1 - g * g),
        m=part,
        c=part_i * g - part_f * carry.c,
        n=part_i - part_f * carry.n,
        o=o * (1 - o) * quotient,
        h_c=o / new.n,
        h_n=o * quotient / new.n,
    )


def _inject(coefficients: _Coefficients, d_a_x: jax.Array, d_a_h: jax.Array) -> jax.Array:
    del coefficients
    return d_a_x + d_a_h


def _advance(
    coefficients: _Coefficients, d_carry: SLSTMCarry, d_u: jax.Array, d_in: jax.Array
) -> SLSTMCarry:
    d_i, d_f, d_g, d_o = jnp.split(d_in + d_u, 4, axis=-1)
    kept = d_carry.m + coefficients.log_f * d_f
    gap = d_i - kept
    c = coefficients.f * d_carry.c + coefficients.g * d_g + coefficients.c * gap
    n = coefficients.f * d_carry.n + coefficients.n * gap
    h = coefficients.o * d_o + coefficients.h_c * c - coefficients.h_n * n
    return SLSTMCarry(c=c, n=n, m=kept + coefficients.m * gap, h=h)


SLSTM_RULE = CellRule(
    pack=_pack,
    project=project,
    finish=_finish,
    activate=_activate,
    recurrent=recurrent,
    combine=_combine,
    update=_update,
    coefficients=_coefficients,
    inject=_inject,
    advance=_advance,
)
