"""The sigmoid by way of tanh: sigmoid(a) = tanh(a / 2) / 2 + 1 / 2.

On CPU the gates of a step cost half as much so (docs/development/kernels.md). The halving of a is a
halving of weights and bias, done once outside the loop, and exact: it changes an exponent only.
"""

import jax
import jax.numpy as jnp


def halve_sigmoids(w: jax.Array, gates: str) -> jax.Array:
    """`w` with last axis `[G*H]`, halved at each gate that is an "s" for sigmoid, not a "t"."""
    scale = jnp.array([0.5 if gate == "s" else 1.0 for gate in gates], w.dtype)
    scale = jnp.repeat(scale, w.shape[-1] // len(gates))
    return w * jnp.expand_dims(scale, range(w.ndim - 1))


def gate_of_tanh(tanh_half: jax.Array) -> jax.Array:
    """sigmoid(a) from tanh(a / 2)."""
    return 0.5 * tanh_half + 0.5
