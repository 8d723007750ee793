"""What the written steps need of JAX, and of rows that end early."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp

OPS = SimpleNamespace(
    sigmoid=jax.nn.sigmoid,
    tanh=jnp.tanh,
    relu=jax.nn.relu,
    exp=jnp.exp,
    log_sigmoid=jax.nn.log_sigmoid,
    maximum=jnp.maximum,
    where=jnp.where,
    einsum=jnp.einsum,
    split=lambda a, parts: jnp.split(a, parts, axis=-1),
    concat=lambda parts: jnp.concatenate(parts, axis=-1),
)


def flip(xs: jax.Array, lengths: jax.Array | None) -> jax.Array:
    """`[B, T, ...]` with the valid steps of each row turned around; padding stays behind them."""
    if lengths is None:
        return xs[:, ::-1]
    steps = jnp.arange(xs.shape[1])
    turned = jnp.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    return jnp.take_along_axis(xs, turned[..., None], axis=1)
