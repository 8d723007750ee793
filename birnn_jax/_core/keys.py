"""Random keys, one for each row of a batch."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from .checks import refuse_key
from .describe import describe

IMPL = "threefry2x32"


def fold_in_each(keys: jax.Array, numbers: jax.Array) -> jax.Array:
    """`jax.random.fold_in` of each of `[B]` keys and numbers."""
    return jax.vmap(jax.random.fold_in)(keys, numbers)


def row_keys(
    key: jax.Array, batch_size: int, fold_in: Callable[..., jax.Array] = fold_in_each
) -> jax.Array:
    """`[B]` keys of threefry2x32: those given, or one for each row number.

    `fold_in` is `fold_in_each`, or what gives the same and compiles in less time.

    Under `vmap` keys of "rbg" and "unsafe_rbg" draw numbers that depend on the rest of the batch. A
    key of theirs, or of any other kind, is therefore taken as a seed.
    """
    if not isinstance(key, jax.Array):
        refuse_key(key)
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise TypeError(
            f"key must come from jax.random.key, got {describe(key)}. "
            "A key of the old style becomes one by jax.random.wrap_key_data."
        )
    if key.ndim == 0:
        keys = jnp.broadcast_to(_as_threefry(key), (batch_size,))
        return fold_in(keys, jnp.arange(batch_size))
    if key.shape != (batch_size,):
        raise ValueError(
            f"key must be one key or [B] keys with B = {batch_size}, got shape {key.shape}."
        )
    return _as_threefry(key)


def fold_in_number(
    keys: jax.Array | None, number: int, fold_in: Callable[..., jax.Array] = fold_in_each
) -> jax.Array | None:
    """Another key for each of the `[B]` keys, by a number; None stays None."""
    return None if keys is None else fold_in(keys, jnp.full(keys.shape, int(number)))


def _as_threefry(key: jax.Array) -> jax.Array:
    """A key of another kind as a seed: all words of its data, one after the other."""
    if jax.random.key_impl(key) == IMPL:
        return key

    def of_words(words: jax.Array) -> jax.Array:
        first, *rest = words.ravel()
        return functools.reduce(jax.random.fold_in, rest, jax.random.key(first, impl=IMPL))

    of_keys = of_words if key.ndim == 0 else jax.vmap(of_words)
    return of_keys(jax.random.key_data(key))
