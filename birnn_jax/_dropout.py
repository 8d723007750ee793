"""Dropout whose masks do not depend on padding or on the rest of the batch."""

import jax
import jax.numpy as jnp

from ._checks import check_rate, check_xs


def dropout(xs: jax.Array, rate: float, key: jax.Array | None) -> jax.Array:
    """Zeroes each value of `xs` with probability `rate` and scales the others by 1/(1 - rate).

    The mask at step t of row b is a function of the row's key and of t only: a row keeps its mask
    when the padding grows, and, if it brings its own key, wherever it stands in a batch.

    Args:
      xs: `[B, T, D]`.
      rate: 0 up to, not including, 1.
      key: consumed; one key, from which row b takes `fold_in(key, b)`, or `[B]` keys. None gives
        back `xs`, as in evaluation.

    Returns:
      `[B, T, D]`.

    Raises:
      ValueError: if `rate` is not in [0, 1), or `xs` or the keys do not have the right shape.

    Example:
      >>> xs = dropout(jnp.full([1, 2, 1000], 3.0), 0.25, jax.random.key(0))
      >>> sorted(set(xs.ravel().tolist()))
      [0.0, 4.0]

    References:
      Zaremba et al., Recurrent Neural Network Regularization, 2014.
    """
    check_xs(xs)
    check_rate("dropout rate", rate)
    if key is None or rate == 0:
        return xs
    batch_size, num_steps, size = xs.shape

    def keep_step(row_key, step):
        return jax.random.bernoulli(jax.random.fold_in(row_key, step), 1 - rate, (size,))

    keep_row = jax.vmap(keep_step, in_axes=(None, 0))
    keep = jax.vmap(keep_row, in_axes=(0, None))(row_keys(key, batch_size), jnp.arange(num_steps))
    return jnp.where(keep, xs / (1 - rate), 0)


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
