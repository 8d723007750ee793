"""Attention of a decoder over the valid states of an encoder."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.checks import as_array, as_axes, as_size, check_key, check_made_by
from .._core.dtypes import product, sum_dtype, widen
from .._core.masks import Lengths, named_valid_steps, softmax_over_valid
from .._core.meshes import over_rows


class AdditiveAttentionParams(NamedTuple):
    """Parameters of `additive_attention`."""

    w_query: jax.Array  # [Q, A]
    w_states: jax.Array  # [S, A]
    v: jax.Array  # [A]


class GeneralAttentionParams(NamedTuple):
    """Parameters of `general_attention`."""

    w: jax.Array  # [Q, S]


def init_additive_attention(
    key: jax.Array, *, query_size: int, state_size: int, attention_size: int
) -> AdditiveAttentionParams:
    """Makes the parameters of `additive_attention`, Glorot-uniform.

    Args:
      key: consumed.
      query_size: features Q of the queries.
      state_size: features S of the states.
      attention_size: hidden units A of the score.

    Example:
      >>> from birnn_jax.heads import init_additive_attention
      >>> params = init_additive_attention(
      ...     jax.random.key(0), query_size=3, state_size=8, attention_size=5
      ... )
      >>> params.w_states.shape
      (8, 5)
    """
    check_key(key)
    query_size, state_size = as_size("query_size", query_size), as_size("state_size", state_size)
    attention_size = as_size("attention_size", attention_size)
    key_query, key_states, key_v = jax.random.split(key, 3)
    glorot = jax.nn.initializers.glorot_uniform()
    return AdditiveAttentionParams(
        w_query=glorot(key_query, (query_size, attention_size)),
        w_states=glorot(key_states, (state_size, attention_size)),
        v=glorot(key_v, (attention_size, 1))[:, 0],
    )


@over_rows("states")
def additive_attention(
    params: AdditiveAttentionParams,
    queries: jax.Array,
    states: jax.Array,
    lengths: Lengths = None,
) -> tuple[jax.Array, jax.Array]:
    """Attention by a small network, as in Bahdanau et al.

        score[i, t] = v . tanh(queries[i] w_query + states[t] w_states)
        context[i]  = sum_t softmax(score[i])[t] states[t]

    Args:
      params: from `init_additive_attention`.
      queries: `[B, N, Q]`, such as states of a decoder; for one query a row use `query[:, None]`.
      states: `[B, T, S]`, of the encoder; what stands in padding is never used.
      lengths: `[B]` integers, of the states; None means that all T steps are valid.

    Returns:
      contexts: `[B, N, S]`; zero in a row of length 0.
      weights: `[B, N, T]`, zero in padding; each query's add up to 1, to 0 at length 0. In
        float32 at least; contexts are in the dtype of the states.

    Raises:
      ValueError: if the ranks or sizes do not fit.
      TypeError: if `lengths` are not integers.

    Example:
      >>> from birnn_jax.heads import additive_attention, init_additive_attention
      >>> params = init_additive_attention(
      ...     jax.random.key(0), query_size=3, state_size=8, attention_size=5
      ... )
      >>> states = jax.random.normal(jax.random.key(1), [2, 6, 8])
      >>> contexts, weights = additive_attention(params, jnp.ones([2, 4, 3]), states)
      >>> contexts.shape, weights.shape
      ((2, 4, 8), (2, 4, 6))

    References:
      Bahdanau, Cho and Bengio, Neural Machine Translation by Jointly Learning to Align and
      Translate, 2015.
    """
    check_made_by("init_additive_attention", AdditiveAttentionParams, params)
    sizes = params.w_query, params.w_states
    queries, states, mask = _prepare(queries, states, lengths, sizes=sizes)
    from_query, from_states = product(queries, params.w_query), product(states, params.w_states)
    hidden = jnp.tanh(from_query[:, :, None] + from_states[:, None])
    return _attend(product(hidden, params.v), states, mask)


@over_rows("states")
def dot_attention(
    queries: jax.Array, states: jax.Array, lengths: Lengths = None
) -> tuple[jax.Array, jax.Array]:
    """Attention by the inner product, Luong et al.'s "dot": score[i, t] = queries[i] . states[t].

    Args:
      queries: `[B, N, S]`, of the size of the states.
      states: `[B, T, S]`; what stands in padding is never used.
      lengths: `[B]` integers, of the states; None means that all T steps are valid.

    Returns:
      contexts, weights: as `additive_attention`.

    Raises:
      ValueError, TypeError: as `additive_attention`.

    Example:
      >>> from birnn_jax.heads import dot_attention
      >>> states = jnp.array([[[9.0, 0.0], [0.0, 9.0]]])
      >>> contexts, _ = dot_attention(jnp.array([[[0.0, 9.0]]]), states)
      >>> contexts.round(3).tolist()
      [[[0.0, 9.0]]]

    References:
      Luong, Pham and Manning, Effective Approaches to Attention-based Neural Machine Translation,
      2015.
    """
    queries, states, mask = _prepare(queries, states, lengths)
    if queries.shape[-1] != states.shape[-1]:
        raise ValueError(
            f"dot_attention needs queries and states of one size, got {queries.shape[-1]} and "
            f"{states.shape[-1]}. Use general_attention."
        )
    return _attend(_scores(queries, states), states, mask)


def init_general_attention(
    key: jax.Array, *, query_size: int, state_size: int
) -> GeneralAttentionParams:
    """Makes the parameters of `general_attention`, Glorot-uniform.

    Args:
      key: consumed.
      query_size: features Q of the queries.
      state_size: features S of the states.

    Example:
      >>> from birnn_jax.heads import init_general_attention
      >>> init_general_attention(jax.random.key(0), query_size=3, state_size=8).w.shape
      (3, 8)
    """
    check_key(key)
    query_size, state_size = as_size("query_size", query_size), as_size("state_size", state_size)
    glorot = jax.nn.initializers.glorot_uniform()
    return GeneralAttentionParams(w=glorot(key, (query_size, state_size)))


@over_rows("states")
def general_attention(
    params: GeneralAttentionParams,
    queries: jax.Array,
    states: jax.Array,
    lengths: Lengths = None,
) -> tuple[jax.Array, jax.Array]:
    """Attention by a bilinear form, Luong et al.'s "general".

        score[i, t] = queries[i] w states[t]

    Args:
      params: from `init_general_attention`.
      queries: `[B, N, Q]`.
      states: `[B, T, S]`; what stands in padding is never used.
      lengths: `[B]` integers, of the states; None means that all T steps are valid.

    Returns:
      contexts, weights: as `additive_attention`.

    Raises:
      ValueError, TypeError: as `additive_attention`.

    Example:
      >>> from birnn_jax.heads import general_attention, init_general_attention
      >>> params = init_general_attention(jax.random.key(0), query_size=3, state_size=8)
      >>> contexts, weights = general_attention(params, jnp.ones([2, 4, 3]), jnp.ones([2, 6, 8]))
      >>> contexts.shape, weights.shape
      ((2, 4, 8), (2, 4, 6))

    References:
      Luong, Pham and Manning, Effective Approaches to Attention-based Neural Machine Translation,
      2015.
    """
    check_made_by("init_general_attention", GeneralAttentionParams, params)
    sizes = params.w, params.w.T
    queries, states, mask = _prepare(queries, states, lengths, sizes=sizes)
    return _attend(_scores(product(queries, params.w), states), states, mask)


def _prepare(
    queries: jax.Array,
    states: jax.Array,
    lengths: Lengths,
    *,
    sizes: tuple[jax.Array, jax.Array] | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Queries, states with zeros in padding, mask `[B, T]`; `sizes` have the sizes as rows."""
    queries = as_array("queries", queries)
    states = as_axes("states", states, "B, T, S")
    mask = named_valid_steps(states, lengths, name="states")
    if queries.ndim != 3 or queries.shape[0] != states.shape[0]:
        raise ValueError(
            f"queries must be [B, N, Q] with B = {states.shape[0]} as in states, got shape "
            f"{queries.shape}. For one query a row use query[:, None]."
        )
    for name, array, weights in zip(
        ("queries", "states"), (queries, states), sizes or (), strict=False
    ):
        if array.shape[-1] != weights.shape[0]:
            raise ValueError(
                f"{name} has {array.shape[-1]} features but params were made for "
                f"{weights.shape[0]}."
            )
    return queries, jnp.where(mask[..., None], states, 0), mask


def _scores(queries: jax.Array, states: jax.Array) -> jax.Array:
    queries = queries.astype(states.dtype)
    dtype = sum_dtype(states.dtype)
    return jnp.einsum("bns,bts->bnt", queries, states, preferred_element_type=dtype)


def _attend(scores: jax.Array, states: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`scores` is `[B, N, T]`."""
    weights = softmax_over_valid(scores, mask[:, None])
    return jnp.einsum("bnt,bts->bns", weights, widen(states)).astype(states.dtype), weights
