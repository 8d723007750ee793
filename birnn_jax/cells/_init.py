"""Initialisers shared by the cells, applied to each gate on its own."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def per_gate(
    initializer: Callable[..., jax.Array], key: jax.Array, rows: int, columns: int, num_gates: int
) -> jax.Array:
    """`[rows, num_gates * columns]`, every gate block drawn by `initializer` by itself.

    Orthogonal or Glorot draws over the wide matrix would give each gate the wrong scale.
    """
    keys = jax.random.split(key, num_gates)
    return jnp.concatenate([initializer(k, (rows, columns)) for k in keys], axis=1)
