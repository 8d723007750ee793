"""The GRU, reset after the product, as the kernels see it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._dtypes import product, widen
from ..cells import GRUCarry, GRUParams
from ._form import Form
from ._gates import gate_of_tanh, halve_sigmoids


class _Activations(NamedTuple):
    tanh_rz: jax.Array  # [..., 2H], of half the sums
    n: jax.Array  # [..., H]
    h_n: jax.Array  # [..., H], h w_hn + b_hn, which the reset gate multiplies


class _Coefficients(NamedTuple):
    """Of d_h = z d_h + sum over gates of x d_a_x + h d_a_h, for the sums before the gates."""

    x: jax.Array  # [..., 3H]
    h: jax.Array  # [..., 3H]
    z: jax.Array  # [..., H]


def _pack(params: GRUParams) -> GRUParams:
    w_x, w_h, b = (halve_sigmoids(w, "sst") for w in (params.w_x, params.w_h, params.b))
    return GRUParams(w_x=w_x, w_h=w_h, b=b, b_hn=params.b_hn)


def _project(weights: GRUParams, x: jax.Array) -> jax.Array:
    return product(x, weights.w_x) + jnp.expand_dims(widen(weights.b), range(x.ndim - 1))


def _finish(weights: GRUParams, a_x: jax.Array, h: jax.Array) -> _Activations:
    size = h.shape[-1]
    a_h = product(h, weights.w_h)
    tanh_rz = jnp.tanh(a_x[..., : 2 * size] + a_h[..., : 2 * size])
    h_n = a_h[..., 2 * size :] + jnp.expand_dims(widen(weights.b_hn), range(h.ndim - 1))
    n = jnp.tanh(a_x[..., 2 * size :] + gate_of_tanh(tanh_rz[..., :size]) * h_n)
    return _Activations(tanh_rz=tanh_rz, n=n, h_n=h_n)


def _activate(weights: GRUParams, x: jax.Array, h: jax.Array) -> _Activations:
    return _finish(weights, _project(weights, x), h)


def _update(activations: _Activations, carry: GRUCarry) -> GRUCarry:
    z = gate_of_tanh(jnp.split(activations.tanh_rz, 2, axis=-1)[1])
    return GRUCarry(h=(1 - z) * activations.n + z * carry.h)


def _coefficients(activations: _Activations, carry: GRUCarry) -> _Coefficients:
    n = activations.n
    r, z = jnp.split(gate_of_tanh(activations.tanh_rz), 2, axis=-1)
    a_n = (1 - z) * (1 - n * n)
    a_r = a_n * r * (1 - r) * activations.h_n
    a_z = (carry.h - n) * z * (1 - z)
    return _Coefficients(
        x=jnp.concatenate([a_r, a_z, a_n], axis=-1),
        h=jnp.concatenate([a_r, a_z, a_n * r], axis=-1),
        z=z,
    )


def _inject(coefficients: _Coefficients, d_a_x: jax.Array, d_a_h: jax.Array) -> GRUCarry:
    terms = coefficients.x * d_a_x + coefficients.h * d_a_h
    r, z, n = jnp.split(terms, 3, axis=-1)
    return GRUCarry(h=r + z + n)


def _advance(
    coefficients: _Coefficients, d_carry: GRUCarry, d_u: jax.Array, d_in: GRUCarry
) -> GRUCarry:
    r, z, n = jnp.split(coefficients.h * d_u, 3, axis=-1)
    return GRUCarry(h=coefficients.z * d_carry.h + r + z + n + d_in.h)


GRU_FORM = Form(_pack, _project, _finish, _activate, _update, _coefficients, _inject, _advance)
