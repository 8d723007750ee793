"""Random keys, one for each row of a batch."""

import jax

IMPL = "threefry2x32"


def fold_in_each(keys: jax.Array, numbers: jax.Array) -> jax.Array:
    """`jax.random.fold_in` of each of `[B]` keys and numbers."""
    return jax.vmap(jax.random.fold_in)(keys, numbers)
