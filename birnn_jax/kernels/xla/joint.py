"""Cells whose sums of input and state are of one kind: one product serves both."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..._core.dtypes import product, widen


class JointWeights(NamedTuple):
    """The weights of [x, h], packed once a call."""

    w: jax.Array  # [D+H, G*H]
    b: jax.Array  # [G*H]


def project(weights: JointWeights, x: jax.Array) -> jax.Array:
    """x w_x + b, `[..., G*H]`."""
    return product(x, weights.w[: x.shape[-1]]) + _bias(weights, x)


def finish(weights: JointWeights, a_x: jax.Array, h: jax.Array) -> jax.Array:
    """The tanh of everything: cells with sigmoids have theirs in the weights (`gates`)."""
    return jnp.tanh(a_x + product(h, weights.w[-h.shape[-1] :]))


def activate(weights: JointWeights, x: jax.Array, h: jax.Array) -> jax.Array:
    """As `finish(project)`, in one product and one pass."""
    both = jnp.concatenate([x, h.astype(x.dtype)], axis=-1)
    return jnp.tanh(product(both, weights.w) + _bias(weights, x))


def _bias(weights: JointWeights, x: jax.Array) -> jax.Array:
    return jnp.expand_dims(widen(weights.b), range(x.ndim - 1))
