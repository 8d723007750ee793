"""Dropout whose masks do not depend on padding or on the rest of the batch."""

from typing import Any

import jax
import jax.numpy as jnp

from .._core.checks import as_array, as_xs, check_key, check_rate, is_off
from .._core.meshes import over_rows
from .._core.types import Params
from ..kernels.keys import flags_by_step, row_keys, uniform


@over_rows("xs")
def dropout(xs: jax.Array, rate: float | jax.Array, key: jax.Array | None) -> jax.Array:
    """Zeroes each value of `xs` with probability `rate` and scales the others by 1/(1 - rate).

    The mask at step t of row b is a function of the row's key and of t only: a row keeps its mask
    when the padding grows, and, if it brings its own key, wherever it stands in a batch.

    Args:
      xs: `[B, T, D]`.
      rate: 0 up to, not including, 1; a traced one, as of a schedule, is not checked.
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
    xs = as_xs(xs)
    check_rate("dropout rate", rate)
    if key is None or is_off(rate):
        return xs
    return jnp.where(_keep_by_step(xs, rate, key), _scaled(xs, rate), 0)


@over_rows("xs")
def locked_dropout(xs: jax.Array, rate: float | jax.Array, key: jax.Array | None) -> jax.Array:
    """Dropout that zeroes the same features at every step of a row.

    The mask of row b is a function of the row's key only.

    Args:
      xs: `[B, T, D]`.
      rate: 0 up to, not including, 1; a traced one, as of a schedule, is not checked.
      key: consumed; one key or `[B]` keys as in `dropout`. None gives back `xs`.

    Returns:
      `[B, T, D]`.

    Raises:
      ValueError: if `rate` is not in [0, 1), or `xs` or the keys do not have the right shape.

    Example:
      >>> xs = locked_dropout(jnp.ones([1, 2, 1000]), 0.25, jax.random.key(0))
      >>> bool((xs[:, 0] == xs[:, 1]).all())
      True

    References:
      Gal and Ghahramani, A Theoretically Grounded Application of Dropout in Recurrent Neural
      Networks, 2016; beside `birnn_jax.cells.recurrent_dropout`, which does the same to the state.
    """
    xs = as_xs(xs)
    check_rate("dropout rate", rate)
    if key is None or is_off(rate):
        return xs

    keep = uniform(row_keys(key, xs.shape[0]), xs.shape[-1]) < 1 - rate
    return jnp.where(keep[:, None], _scaled(xs, rate), 0)


@over_rows("tokens")
def word_dropout(
    tokens: jax.Array, rate: float | jax.Array, key: jax.Array | None, *, unknown_id: int
) -> jax.Array:
    """Replaces each token with probability `rate` by the unknown one, so that it learns something.

    With a rate for each token rare words may be replaced more often than frequent ones:
    `a / (a + count)` for a word that training has `count` times.

    What happens to the token at step t of row b is a function of the row's key and of t only.

    Args:
      tokens: `[B, T]` integers.
      rate: 0 up to, not including, 1, or `[B, T]` floats, one for each token; a traced one, as of
        a schedule, is not checked.
      key: consumed; one key or `[B]` keys as in `dropout`. None gives back `tokens`.
      unknown_id: what stands for a word outside the vocabulary.

    Returns:
      `[B, T]` integers.

    Raises:
      ValueError: if `rate` is not in [0, 1), or `rate`, `tokens` or the keys do not have the right
        shape.

    Example:
      >>> tokens = word_dropout(jnp.full([1, 1000], 7), 0.25, jax.random.key(0), unknown_id=1)
      >>> sorted(set(tokens.ravel().tolist()))
      [1, 7]

    References:
      Iyyer et al., Deep Unordered Composition Rivals Syntactic Methods for Text Classification,
      2015 (dropping words); Kiperwasser and Goldberg, Simple and Accurate Dependency Parsing Using
      Bidirectional LSTM Feature Representations, 2016 (replacing them, by their counts).
    """
    tokens = as_array("tokens", tokens)
    if tokens.ndim != 2:
        raise ValueError(f"tokens must be [B, T], got shape {tokens.shape}.")
    if not jnp.ndim(rate):
        check_rate("word dropout rate", rate)
    elif jnp.shape(rate) != tokens.shape:
        raise ValueError(
            f"word dropout rate must be a number or [B, T] = {tokens.shape}, got shape "
            f"{jnp.shape(rate)}."
        )
    if key is None or (not jnp.ndim(rate) and is_off(rate)):
        return tokens
    rate = jnp.asarray(rate)[..., None] if jnp.ndim(rate) else rate
    keep = _keep_by_step(tokens[..., None], rate, key)[..., 0]
    return jnp.where(keep, tokens, unknown_id)


def drop_connect(params: Params, rate: float | jax.Array, key: jax.Array | None) -> Params:
    """Zeroes each recurrent weight with probability `rate` and scales the others by 1/(1 - rate).

    The same weights for all rows and all steps: give the result to `bidirectional` or `stack` in
    place of the parameters. Each direction of each layer has a mask of its own.

    Args:
      params: any tree with fields `w_h`: parameters of a cell, a pair, a stack or a model.
      rate: 0 up to, not including, 1; a traced one, as of a schedule, is not checked.
      key: consumed; one key. None gives back `params`.

    Returns:
      `params`, every `w_h` being masked.

    Raises:
      ValueError: if `rate` is not in [0, 1), or nothing in `params` is called `w_h`.

    Example:
      >>> params = init_bidirectional(LSTM, jax.random.key(0), input_size=3, hidden_size=4)
      >>> dropped = drop_connect(params, 0.5, jax.random.key(1))
      >>> bool((dropped.fwd.w_h == 0).any()), bool((dropped.fwd.w_x == params.fwd.w_x).all())
      (True, True)

    References:
      Wan et al., Regularization of Neural Networks using DropConnect, 2013; Merity et al.,
      Regularizing and Optimizing LSTM Language Models, 2017 (on recurrent weights).
    """
    check_rate("drop_connect rate", rate)
    leaves, structure = jax.tree.flatten_with_path(params)
    places = [index for index, (path, _) in enumerate(leaves) if _is_field(path, "w_h")]
    if not places:
        raise ValueError("drop_connect found no recurrent weights: no field of params is w_h.")
    values = [leaf for _, leaf in leaves]
    if key is None or is_off(rate):
        return params
    check_key(key)
    for number, place in enumerate(places):
        w_h = values[place]
        keep = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - rate, w_h.shape)
        values[place] = jnp.where(keep, _scaled(w_h, rate), 0)
    return jax.tree.unflatten(structure, values)


def _scaled(values: jax.Array, rate: float | jax.Array) -> jax.Array:
    """`values / (1 - rate)`, in their dtype."""
    keep = 1 - rate
    if isinstance(keep, jax.Array) and jnp.issubdtype(values.dtype, jnp.floating):
        keep = keep.astype(values.dtype)
    return values / keep


def _is_field(path: tuple[Any, ...], name: str) -> bool:
    return bool(path) and getattr(path[-1], "name", None) == name


def _keep_by_step(xs: jax.Array, rate: float | jax.Array, key: jax.Array) -> jax.Array:
    """`[B, T, D]` bool, drawn from the row's key and the step."""
    batch_size, num_steps, size = xs.shape
    return flags_by_step(row_keys(key, batch_size), 1 - rate, num_steps, size)
