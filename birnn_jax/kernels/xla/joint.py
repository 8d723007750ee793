"""Cells whose sums of input and state are of one kind: one product serves both."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._core.dtypes import product, widen
from ...cells._heads import multiply_heads, split_heads
from .gates import halve_sigmoids
from .plan import get_plan


class JointWeights(NamedTuple):
    """The weights of [x, h], packed once a call; recurrent weights of several heads stand apart."""

    w: jax.Array  # [D+H, G*H], with K heads [D, G*H]
    b: jax.Array  # [G*H]
    w_h: jax.Array | None  # [K, H/K, G*H/K], None with one head


def pack(params: Any, gates: str) -> JointWeights:
    """The weights `w_x`, `w_h` and `b`, halved for each gate that is an "s"."""
    w_x, w_h, b = (halve_sigmoids(w, gates) for w in (params.w_x, params.w_h, params.b))
    hidden_size = b.shape[0] // len(gates)
    if w_h.shape[0] == hidden_size and not get_plan().hoisted:
        return JointWeights(jnp.concatenate([w_x, w_h]), b, None)
    return JointWeights(w_x, b, split_heads(w_h, hidden_size))


def project(weights: JointWeights, x: jax.Array) -> jax.Array:
    """x w_x + b, `[..., G*H]`."""
    return product(x, weights.w[: x.shape[-1]]) + _bias(weights, x)


def add_state(weights: JointWeights, a_x: jax.Array, h: jax.Array) -> jax.Array:
    """a_x + h w_h."""
    w_h = weights.w[-h.shape[-1] :] if weights.w_h is None else weights.w_h
    return a_x + multiply_heads(h, w_h)


def add_up(weights: JointWeights, x: jax.Array, h: jax.Array) -> jax.Array:
    """x w_x + h w_h + b, in one product if there is one head."""
    if weights.w_h is not None:
        return add_state(weights, project(weights, x), h)
    both = jnp.concatenate([x, h.astype(x.dtype)], axis=-1)
    return product(both, weights.w) + _bias(weights, x)


def finish(weights: JointWeights, a_x: jax.Array, h: jax.Array) -> jax.Array:
    """The tanh of everything: cells with sigmoids have theirs in the weights (`gates`)."""
    return jnp.tanh(add_state(weights, a_x, h))


def recurrent(weights: JointWeights, hidden_size: int) -> tuple[jax.Array, None]:
    """The weights of the state, with one head; its product has no bias."""
    return (weights.w[-hidden_size:] if weights.w_h is None else weights.w_h), None


def combine(a_x: jax.Array, a_h: jax.Array) -> jax.Array:
    """As `finish`, with the product done by others."""
    return jnp.tanh(a_x + a_h)


def activate(weights: JointWeights, x: jax.Array, h: jax.Array) -> jax.Array:
    """As `finish(project)`, in one product and one pass."""
    return jnp.tanh(add_up(weights, x, h))


def _bias(weights: JointWeights, x: jax.Array) -> jax.Array:
    return jnp.expand_dims(widen(weights.b), range(x.ndim - 1))
