"""Random keys that belong to the rows of a batch.

What is drawn for a row with its own key does not depend on where the row stands, nor on which rows
stand beside it: a batch that is cut over devices or turns gets the noise of the whole batch.
"""

import jax


def key_of_rows(key: jax.Array, rows: jax.Array) -> jax.Array:
    """A key `[B]` for each row, from its number in the data.

    Example:
      >>> from jax import numpy as jnp
      >>> keys = key_of_rows(jax.random.key(0), jnp.array([5, 3]))
      >>> bool(keys[1] == key_of_rows(jax.random.key(0), jnp.array([3, 7]))[0])
      True
    """
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, rows)


def keys_of_rows(
    key: jax.Array | None, rows: jax.Array | None, num: int
) -> tuple[jax.Array | None, ...]:
    """`num` times a key `[B]` for each row, one for each thing that is drawn; None without `key`.

    Where nothing is drawn, `rows` may be None too.
    """
    if key is None:
        return (None,) * num
    assert rows is not None
    return tuple(key_of_rows(new_key, rows) for new_key in jax.random.split(key, num))


def split_rows(keys: jax.Array, num: int) -> tuple[jax.Array, ...]:
    """`num` new keys `[B]` from one for each row."""
    return jax.vmap(lambda key: tuple(jax.random.split(key, num)))(keys)
