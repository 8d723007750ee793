"""The valid steps of each row: its first `lengths`, or what `Mask` or `Segments` say."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from typing_extensions import TypeAliasType

from .checks import as_array, as_lengths


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


Lengths = TypeAliasType("Lengths", ArrayLike | Mask | Segments | None)
"""`[B]` integers, a `Mask` or `Segments`; None means that all T steps are valid."""


def segment_starts(lengths: Lengths, xs: jax.Array, *, reverse: bool) -> jax.Array | None:
    """`[B, T]` bool, True where a segment begins in the order of a direction; None without any."""
    if not isinstance(lengths, Segments):
        return None
    ids = _as_steps("Segments.ids", lengths.ids, jnp.integer, "integers", xs)
    return jax.vmap(functools.partial(_segment_starts, reverse=reverse))(ids)


def valid_steps(xs: jax.Array, lengths: Lengths = None) -> jax.Array:
    """Makes the mask of valid steps that `lengths` stand for.

    Args:
      xs: `[B, T]` or `[B, T, ...]`: inputs, logits or labels; only the shape matters.
      lengths: `[B]` integers, a `Mask` or `Segments`; None means that all T steps are valid.

    Returns:
      `[B, T]` bool, True at valid steps.

    Raises:
      ValueError: if the shapes do not fit.
      TypeError: if lengths are not integers, or a `Mask` is not bool.

    Example:
      >>> labels = jnp.array([[2, 0, 1], [-100, 3, 0]])  # -100: not to be counted
      >>> (valid_steps(labels, jnp.array([3, 2])) & (labels != -100)).tolist()
      [[True, True, True], [False, True, False]]
    """
    return named_valid_steps(xs, lengths)


def named_valid_steps(
    xs: jax.Array, lengths: Lengths, *, name: str = "xs", lengths_name: str = "lengths"
) -> jax.Array:
    """`valid_steps`, for a function whose arguments have other names."""
    xs = as_array(name, xs)
    if xs.ndim < 2:
        raise ValueError(f"{name} must be [B, T] or [B, T, ...], got shape {xs.shape}.")
    if lengths is None:
        return jnp.ones(xs.shape[:2], bool)
    if isinstance(lengths, Mask):
        return _as_steps("Mask.valid", lengths.valid, jnp.bool, "bool", xs, name)
    if isinstance(lengths, Segments):
        return _as_steps("Segments.ids", lengths.ids, jnp.integer, "integers", xs, name) != 0
    lengths = as_lengths(lengths, batch_size=xs.shape[0], name=lengths_name, of=name)
    return jnp.arange(xs.shape[1], dtype=lengths.dtype)[None] < lengths[:, None]


def clear_padding(xs: jax.Array, lengths: Lengths) -> jax.Array:
    """`xs`, `[B, T, D]`, with zeros at the steps that are not valid, in gradients too."""
    return xs if lengths is None else jnp.where(valid_steps(xs, lengths)[..., None], xs, 0)


def softmax_over_valid(scores: jax.Array, mask: jax.Array) -> jax.Array:
    """Softmax over the last axis among the entries where `mask` is True; zero where none is.

    Without minus infinity on the way: less itself it is NaN, which `jax_debug_nans` reports.
    """
    mask = jnp.broadcast_to(mask, scores.shape)
    lowest = jnp.finfo(scores.dtype).min
    highest = jnp.max(jnp.where(mask, scores, lowest), axis=-1, keepdims=True, initial=lowest)
    lowered = jnp.where(mask, scores - jax.lax.stop_gradient(highest), 0)
    shares = jnp.where(mask, jnp.exp(lowered), 0)
    total = shares.sum(axis=-1, keepdims=True)
    return shares / jnp.where(total == 0, jnp.ones_like(total), total)


def _segment_starts(ids: jax.Array, *, reverse: bool) -> jax.Array:
    """`[T]` bool, True where a valid step and the one before it are of different segments."""
    if not ids.size:  # of which nothing can be looked up
        return jnp.zeros(ids.shape, bool)
    if reverse:
        return _segment_starts(ids[::-1], reverse=False)[::-1]
    places = jnp.where(ids != 0, jnp.arange(ids.size), -1)
    before = jnp.concatenate([jnp.array([-1]), jax.lax.cummax(places)[:-1]])
    return (ids != 0) & ((before < 0) | (ids != ids[before]))


def _as_steps(
    name: str, steps: ArrayLike, kind: type, kind_name: str, xs: jax.Array, of: str = "xs"
) -> jax.Array:
    steps = jnp.asarray(steps)
    if not jnp.issubdtype(steps.dtype, kind):
        raise TypeError(f"{name} must be {kind_name}, got {steps.dtype}.")
    if steps.shape != xs.shape[:2]:
        raise ValueError(
            f"{name} must be [B, T] as in {of}, {xs.shape[:2]}, got shape {steps.shape}."
        )
    return steps
