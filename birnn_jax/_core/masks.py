"""The valid steps of each row: its first `lengths`, or what `Mask` or `Segments` say."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .checks import as_lengths, as_xs


class Mask(NamedTuple):
    """Valid steps anywhere in a row, given in place of `lengths`: gaps, padding on the left.

    Steps that are not valid are skipped: a row gives the carry and, at its valid steps, the
    outputs of the same row with the others cut out.

    Example:
      >>> params = init_bidirectional(LSTM, jax.random.key(0), input_size=3, hidden_size=4)
      >>> xs = jax.random.normal(jax.random.key(1), [1, 3, 3])
      >>> _, ys = bidirectional(LSTM, params, xs, Mask(jnp.array([[False, True, True]])))
      >>> _, cut = bidirectional(LSTM, params, xs[:, 1:])
      >>> bool(jnp.allclose(ys[:, 1:], cut)), bool((ys[:, 0] == 0).all())
      (True, True)
    """

    valid: ArrayLike  # [B, T] bool


class Segments(NamedTuple):
    """Several sequences packed into one row, given in place of `lengths`.

    Steps of one sequence carry its number; 0 is padding. In either direction the initial carry
    stands before the first step of each segment, so that every sequence is computed as
    if it were alone. The carry returned is that of the last segment of the direction.

    Example:
      >>> params = init_bidirectional(LSTM, jax.random.key(0), input_size=3, hidden_size=4)
      >>> xs = jax.random.normal(jax.random.key(1), [1, 5, 3])
      >>> _, ys = bidirectional(LSTM, params, xs, Segments(jnp.array([[1, 1, 2, 2, 2]])))
      >>> _, alone = bidirectional(LSTM, params, xs[:, 2:])
      >>> bool(jnp.allclose(ys[:, 2:], alone))
      True

    References:
      Krell et al., Efficient Sequence Packing without Cross-contamination, 2021.
    """

    ids: ArrayLike  # [B, T] integers, 0 for padding


Lengths = ArrayLike | Mask | Segments | None


def segment_starts(lengths: Lengths, xs: jax.Array, *, reverse: bool) -> jax.Array | None:
    """`[B, T]` bool, True where a segment begins in the order of a direction; None without any."""
    if not isinstance(lengths, Segments):
        return None
    ids = _as_steps("Segments.ids", lengths.ids, jnp.integer, "integers", xs)
    return jax.vmap(functools.partial(_segment_starts, reverse=reverse))(ids)


def valid_steps(xs: jax.Array, lengths: Lengths) -> jax.Array:
    """`[B, T]` bool, True at the steps of `xs`, `[B, T, D]`, that are valid."""
    xs = as_xs(xs)
    if lengths is None:
        return jnp.ones(xs.shape[:2], bool)
    if isinstance(lengths, Mask):
        return _as_steps("Mask.valid", lengths.valid, jnp.bool, "bool", xs)
    if isinstance(lengths, Segments):
        return _as_steps("Segments.ids", lengths.ids, jnp.integer, "integers", xs) != 0
    lengths = as_lengths(lengths, batch_size=xs.shape[0])
    return jnp.arange(xs.shape[1], dtype=lengths.dtype)[None] < lengths[:, None]


def clear_padding(xs: jax.Array, lengths: Lengths) -> jax.Array:
    """`xs`, `[B, T, D]`, with zeros at the steps that are not valid, in gradients too."""
    return xs if lengths is None else jnp.where(valid_steps(xs, lengths)[..., None], xs, 0)


def _segment_starts(ids: jax.Array, *, reverse: bool) -> jax.Array:
    """`[T]` bool, True where a valid step and the one before it are of different segments."""
    if not ids.size:  # of which nothing can be looked up
        return jnp.zeros(ids.shape, bool)
    if reverse:
        return _segment_starts(ids[::-1], reverse=False)[::-1]
    places = jnp.where(ids != 0, jnp.arange(ids.size), -1)
    before = jnp.concatenate([jnp.array([-1]), jax.lax.cummax(places)[:-1]])
    return (ids != 0) & ((before < 0) | (ids != ids[before]))


def _as_steps(name: str, steps: ArrayLike, kind: type, kind_name: str, xs: jax.Array) -> jax.Array:
    steps = jnp.asarray(steps)
    if not jnp.issubdtype(steps.dtype, kind):
        raise TypeError(f"{name} must be {kind_name}, got {steps.dtype}.")
    if steps.shape != xs.shape[:2]:
        raise ValueError(
            f"{name} must be [B, T] as in xs, {xs.shape[:2]}, got shape {steps.shape}."
        )
    return steps
