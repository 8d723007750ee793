"""One random key for each row of a batch."""

import jax
import jax.numpy as jnp


def row_keys(key: jax.Array, batch_size: int) -> jax.Array:
    """`[B]` keys: those given, or one for each row number."""
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise TypeError(
            f"key must come from jax.random.key, got an array of {key.dtype}. "
            "A key of the old style becomes one by jax.random.wrap_key_data."
        )
    if key.ndim == 0:
        return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(batch_size))
    if key.shape != (batch_size,):
        raise ValueError(
            f"key must be one key or [B] keys with B = {batch_size}, got shape {key.shape}."
        )
    return key
