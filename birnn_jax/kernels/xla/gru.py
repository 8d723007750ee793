"""The rule of the GRU, reset after the product."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..._core.dtypes import product, widen
from ...cells import GRUCarry, GRUParams
from ...cells._heads import multiply_heads, split_heads
from .cell_rule import CellRule
from .gates import gate_of_tanh, halve_sigmoids


class GRUActivations(NamedTuple):
    """What the derivative of a GRU reads of a step."""

    tanh_rz: jax.Array  # [..., 2H], of half the sums
    n: jax.Array  # [..., H]
    h_n: jax.Array  # [..., H], h w_hn + b_hn, which the reset gate multiplies


class _Coefficients(NamedTuple):
    """Of d_h = keep d_h + r d_a_r + z d_a_z + n d_a_xn + reset_n d_a_hn, sums before the gates."""

    r: jax.Array  # [..., H], as all
    z: jax.Array
    n: jax.Array  # of a_xn = x w_xn + b_n
    reset_n: jax.Array  # of a_hn = h w_hn + b_hn, which the reset gate multiplies
    keep: jax.Array


def _pack(params: GRUParams) -> GRUParams:
    """With several heads `w_h` is what `split_heads` makes."""
    w_x, w_h, b = (halve_sigmoids(w, "sst") for w in (params.w_x, params.w_h, params.b))
    w_h = split_heads(w_h, params.b_hn.shape[0])
    return GRUParams(w_x=w_x, w_h=w_h, b=b, b_hn=params.b_hn)


def _project(weights: GRUParams, x: jax.Array) -> jax.Array:
    return product(x, weights.w_x) + jnp.expand_dims(widen(weights.b), range(x.ndim - 1))


def _finish(weights: GRUParams, a_x: jax.Array, h: jax.Array) -> GRUActivations:
    size = h.shape[-1]
    a_h = multiply_heads(h, weights.w_h)
    h_n = a_h[..., 2 * size :] + jnp.expand_dims(widen(weights.b_hn), range(h.ndim - 1))
    return _of_sums(a_x, a_h[..., : 2 * size], h_n)


def _combine(a_x: jax.Array, a_h: jax.Array) -> GRUActivations:
    size = a_h.shape[-1] // 3
    return _of_sums(a_x, a_h[..., : 2 * size], a_h[..., 2 * size :])


def _of_sums(a_x: jax.Array, a_rz: jax.Array, h_n: jax.Array) -> GRUActivations:
    size = h_n.shape[-1]
    tanh_rz = jnp.tanh(a_x[..., : 2 * size] + a_rz)
    n = jnp.tanh(a_x[..., 2 * size :] + gate_of_tanh(tanh_rz[..., :size]) * h_n)
    return GRUActivations(tanh_rz=tanh_rz, n=n, h_n=h_n)


def _recurrent(weights: GRUParams, hidden_size: int) -> tuple[jax.Array, jax.Array]:
    return weights.w_h, jnp.pad(widen(weights.b_hn), (2 * hidden_size, 0))


def _activate(weights: GRUParams, x: jax.Array, h: jax.Array) -> GRUActivations:
    return _finish(weights, _project(weights, x), h)


def _update(activations: GRUActivations, carry: GRUCarry) -> GRUCarry:
    z = gate_of_tanh(jnp.split(activations.tanh_rz, 2, axis=-1)[1])
    return GRUCarry(h=(1 - z) * activations.n + z * carry.h)


def _coefficients(activations: GRUActivations, carry: GRUCarry) -> _Coefficients:
    n = activations.n
    r, z = jnp.split(gate_of_tanh(activations.tanh_rz), 2, axis=-1)
    a_n = (1 - z) * (1 - n * n)
    return _Coefficients(
        r=a_n * r * (1 - r) * activations.h_n,
        z=(carry.h - n) * z * (1 - z),
        n=a_n,
        reset_n=a_n * r,
        keep=z,
    )


def _inject(coefficients: _Coefficients, d_a_x: jax.Array, d_a_h: jax.Array) -> GRUCarry:
    of_x = _sum_gates(coefficients, coefficients.n, d_a_x)
    return GRUCarry(h=of_x + _sum_gates(coefficients, coefficients.reset_n, d_a_h))


def _advance(
    coefficients: _Coefficients, d_carry: GRUCarry, d_u: jax.Array, d_in: GRUCarry
) -> GRUCarry:
    of_h = _sum_gates(coefficients, coefficients.reset_n, d_u)
    return GRUCarry(h=coefficients.keep * d_carry.h + of_h + d_in.h)


def _sum_gates(coefficients: _Coefficients, of_n: jax.Array, d_sums: jax.Array) -> jax.Array:
    """Gate by gate, so that the transpose joins products and not three copies of one gradient."""
    r, z, n = jnp.split(d_sums, 3, axis=-1)
    return coefficients.r * r + coefficients.z * z + of_n * n


GRU_RULE = CellRule(
    pack=_pack,
    project=_project,
    finish=_finish,
    activate=_activate,
    recurrent=_recurrent,
    combine=_combine,
    update=_update,
    coefficients=_coefficients,
    inject=_inject,
    advance=_advance,
)
