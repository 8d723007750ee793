"""The Elman cell as the kernels see it."""

import jax
import jax.numpy as jnp

from ..cells import ElmanCarry, ElmanParams
from ._form import Form


def _pack(params: ElmanParams) -> tuple[jax.Array, jax.Array]:
    return jnp.concatenate([params.w_x, params.w_h]), params.b


def _activate(weights: tuple[jax.Array, jax.Array], x: jax.Array, h: jax.Array) -> jax.Array:
    w, b = weights
    return jnp.tanh(jnp.concatenate([x, h], axis=-1) @ w + jnp.expand_dims(b, range(x.ndim - 1)))


def _update(activations: jax.Array, carry: ElmanCarry) -> ElmanCarry:
    del carry
    return ElmanCarry(h=activations)


def _coefficients(activations: jax.Array, carry: ElmanCarry) -> jax.Array:
    del carry
    return 1 - activations * activations


def _inject(coefficients: jax.Array, d_a_x: jax.Array, d_a_h: jax.Array) -> ElmanCarry:
    return ElmanCarry(h=coefficients * (d_a_x + d_a_h))


def _advance(
    coefficients: jax.Array, d_carry: ElmanCarry, d_u: jax.Array, d_in: ElmanCarry
) -> ElmanCarry:
    del d_carry
    return ElmanCarry(h=coefficients * d_u + d_in.h)


ELMAN_FORM = Form(_pack, _activate, _update, _coefficients, _inject, _advance)
