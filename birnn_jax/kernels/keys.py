"""Random keys, one for each row of a batch, and what is drawn with them.

All results are bit-identical to those of `jax.random` with the same keys. On CPUs native code
computes them, which takes no time to compile.
"""

import functools
from typing import Any, overload

import jax
import jax.numpy as jnp

from .._core.checks import refuse_key
from .._core.describe import describe
from .._core.keys import IMPL, fold_in_each
from .cpu.draws import Draw, draw_flags
from .cpu.keys import fold_in


def row_keys(key: jax.Array, batch_size: int) -> jax.Array:
    """`[B]` keys of threefry2x32: those given, or one for each row number.

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


@overload
def fold_in_number(keys: jax.Array, number: int) -> jax.Array: ...


@overload
def fold_in_number(keys: None, number: int) -> None: ...


def fold_in_number(keys: jax.Array | None, number: int) -> jax.Array | None:
    """Another key for each of the `[B]` keys, by a number; None stays None."""
    return None if keys is None else fold_in(keys, jnp.full(keys.shape, int(number)))


def fold_in_numbers(keys: jax.Array, numbers: jax.Array) -> jax.Array:
    """`jax.random.fold_in` of keys and numbers of one shape, which may be `[]`, of any kind."""
    if jax.random.key_impl(keys) != IMPL:
        return fold_in_each(keys.ravel(), numbers.ravel()).reshape(keys.shape)
    return fold_in(keys.ravel(), numbers.ravel()).reshape(keys.shape)


def split_each(keys: jax.Array, num: int) -> tuple[jax.Array, ...]:
    """`jax.random.split` of each of `[B]` keys: `num` times `[B]`."""
    if not _knows_bits(keys):
        return jax.vmap(lambda key: tuple(jax.random.split(key, num)))(keys)
    words = jax.random.key_data(_fold_in_range(keys, num))
    return tuple(jax.random.wrap_key_data(words[:, place], impl=IMPL) for place in range(num))


def uniform(keys: jax.Array, size: int) -> jax.Array:
    """`jax.random.uniform(key, [size])` of each of `[B]` keys: `[B, size]`."""
    if not _knows_bits(keys) or jnp.result_type(float) != jnp.float32:
        return jax.vmap(lambda key: jax.random.uniform(key, (size,)))(keys)
    words = jax.random.key_data(_fold_in_range(keys, size))
    bits = words[..., 0] ^ words[..., 1]  # 23 of them behind the point
    return (bits >> 9).astype(jnp.float32) * 2.0**-23


def flags_by_step(
    keys: jax.Array, probability: float | jax.Array, num_steps: int, size: int
) -> jax.Array:
    """`[B, T, size]` bool: `jax.random.bernoulli` of `fold_in(key, t)` of each row and step.

    A probability that is an array may have any shape that broadcasts to that of the result.
    """
    if isinstance(probability, float):
        static = Draw(float(probability), size, num_steps, None, jnp.result_type(float))
        first = jnp.full(keys.shape, -1, jnp.int32)
        return draw_flags(static, jax.random.key_data(keys), first, None, None)
    drawn = uniform(_fold_in_range(keys, num_steps).ravel(), size)
    return drawn.reshape(*keys.shape, num_steps, size) < probability


def _fold_in_range(keys: jax.Array, size: int) -> jax.Array:
    """`[B, size]`, each key with the numbers from 0."""
    shape = (*keys.shape, size)
    return fold_in_numbers(
        jnp.broadcast_to(keys[:, None], shape), jnp.broadcast_to(jnp.arange(size), shape)
    )


def _knows_bits(keys: jax.Array) -> bool:
    """Whether the bits drawn at place i are those of `fold_in(key, i)`."""
    config: Any = jax.config
    return bool(config.jax_threefry_partitionable) and jax.random.key_impl(keys) == IMPL


def _as_threefry(key: jax.Array) -> jax.Array:
    """A key of another kind as a seed: all words of its data, one after the other."""
    if jax.random.key_impl(key) == IMPL:
        return key

    def of_words(words: jax.Array) -> jax.Array:
        first, *rest = words.ravel()
        return functools.reduce(jax.random.fold_in, rest, jax.random.key(first, impl=IMPL))

    of_keys = of_words if key.ndim == 0 else jax.vmap(of_words)
    return of_keys(jax.random.key_data(key))
