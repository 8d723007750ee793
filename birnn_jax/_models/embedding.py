"""The inputs of a model: features, or tokens that an embedding turns into vectors."""

import jax
import jax.numpy as jnp

from .._core.checks import as_array, as_size
from .._core.describe import describe
from .._core.masks import Lengths, named_valid_steps
from .._losses import known_labels
from .._stacks.dropout import dropout as apply_dropout
from .._stacks.dropout import locked_dropout as apply_locked_dropout
from ..kernels.keys import fold_in_number, row_keys


def init_embedding(key: jax.Array, num_tokens: int, size: int) -> jax.Array:
    """A table `[V, size]` of vectors of length about 1, normally distributed."""
    num_tokens = as_size("num_tokens", num_tokens)
    return jax.nn.initializers.normal(size**-0.5)(key, (num_tokens, size))


def init_inputs(key: jax.Array, num_tokens: int | None, input_size: int) -> jax.Array | None:
    """The embedding of a model that reads tokens; None for one that reads features."""
    return None if num_tokens is None else init_embedding(key, num_tokens, input_size)


def embed(
    embedding: jax.Array, tokens: jax.Array, lengths: Lengths, *, name: str = "xs"
) -> jax.Array:
    """`[B, T]` tokens as `[B, T, D]`. Tokens in padding are not looked at.

    A valid token outside 0 to V - 1 becomes NaN, as there is no row for it.
    """
    tokens = as_array(name, tokens)
    if not jnp.issubdtype(tokens.dtype, jnp.integer) or tokens.ndim != 2:
        raise TypeError(
            f"{name} must be tokens, integers [B, T], as the params have an embedding, got "
            f"{describe(tokens)}. A model of features [B, T, D] is made without num_tokens."
        )
    valid = named_valid_steps(tokens, lengths, name=name)
    known, mark = known_labels(tokens, valid, num_classes=embedding.shape[0])
    return embedding[known] * mark.astype(embedding.dtype)[..., None]


def read_inputs(
    embedding: jax.Array | None,
    xs: jax.Array,
    lengths: Lengths,
    *,
    rates: tuple[float | jax.Array, float | jax.Array],
    key: jax.Array | None,
) -> jax.Array:
    """The inputs of the stack: `xs` as they are, or embedded tokens after dropout.

    Args:
      embedding: `[V, D]`, or None for a model that reads features.
      xs: `[B, T, D]` floats, or `[B, T]` tokens.
      lengths: as the model takes them.
      rates: of dropout and of locked dropout.
      key: as `stack` takes it, and draws from it for every layer by its number; the embedding has
        a number that no layer has.
    """
    if embedding is None:
        return xs
    xs = embed(embedding, xs, lengths)
    if key is None:
        return xs
    keys = fold_in_number(row_keys(key, xs.shape[0]), _EMBEDDING)
    dropout, locked_dropout = rates
    return apply_locked_dropout(apply_dropout(xs, dropout, keys), locked_dropout, keys)


_EMBEDDING = 2**31 - 1
