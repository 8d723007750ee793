"""Random keys that belong to the examples of a batch."""

import jax
import jax.numpy as jnp

from ..kernels.keys import fold_in_numbers, split_each


def row_keys(key: jax.Array, rows: jax.Array) -> jax.Array:
    """Makes a random key for each row of a batch, from the number of its example.

    What is drawn with it does not depend on where a row stands, nor on which rows stand beside it:
    a batch that is cut over devices, processes or accumulation steps gets the noise of the whole
    batch. `dropout` and everything else that draws noise for rows takes such keys as `key`.

    Args:
      key: one random key, consumed.
      rows: `[B]` integers, `Batch.rows`.

    Returns:
      `[B]` keys.

    Example:
      >>> from birnn_jax.data import row_keys
      >>> keys = row_keys(jax.random.key(0), jnp.array([5, 3]))
      >>> bool(keys[1] == row_keys(jax.random.key(0), jnp.array([3, 7]))[0])
      True
    """
    return fold_in_numbers(jnp.broadcast_to(key, rows.shape), rows)


def split_row_keys(keys: jax.Array, num: int) -> tuple[jax.Array, ...]:
    """Splits the key of each row into several, one for each thing that is drawn.

    Args:
      keys: `[B]` keys, consumed.
      num: how many new ones for each.

    Returns:
      `num` arrays of `[B]` keys.

    Example:
      >>> from birnn_jax.data import row_keys, split_row_keys
      >>> keys = row_keys(jax.random.key(0), jnp.array([5, 3]))
      >>> key_input, key_stack = split_row_keys(keys, 2)
      >>> key_input.shape
      (2,)
    """
    return split_each(keys, num)
