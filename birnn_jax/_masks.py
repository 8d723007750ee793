"""From lengths to masks."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ._checks import as_lengths, check_xs


def valid_steps(xs: jax.Array, lengths: ArrayLike | None) -> jax.Array:
    """`[B, T]` bool, True at the valid steps of `xs`, which is `[B, T, D]`."""
    check_xs(xs)
    lengths = as_lengths(lengths, batch_size=xs.shape[0])
    if lengths is None:
        return jnp.ones(xs.shape[:2], bool)
    return jnp.arange(xs.shape[1])[None, :] < lengths[:, None]
