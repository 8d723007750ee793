"""From the states of a sequence to one vector for each row, under the mask of the lengths."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.checks import as_axes, as_size, check_key, check_made_by
from .._core.describe import describe
from .._core.dtypes import product, sum_dtype, widen
from .._core.masks import Lengths, named_valid_steps, softmax_over_valid
from .._core.meshes import over_rows
from .._core.types import Bi, Carry


@over_rows("carry")
def final_states(carry: Carry) -> jax.Array:
    """The hidden states at the true ends, `[h_fwd(n), h_bwd(1)]`.

    This is not `ys[:, -1]`, whose backward half has seen one step only.

    Args:
      carry: from `bidirectional`, or from `scan_cell`, with a field `h` of `[B, H]`.

    Returns:
      `[B, 2H]`, or `[B, H]` for one direction. A row of length 0 has its initial state.

    Raises:
      ValueError: if the carry has no field `h`.

    Example:
      >>> from birnn_jax.cells import ElmanCarry
      >>> final_states(Bi(ElmanCarry(jnp.array([[1.0]])), ElmanCarry(jnp.array([[2.0]])))).tolist()
      [[1.0, 2.0]]
    """
    carries = list(carry) if isinstance(carry, Bi) else [carry]
    for part in carries:
        if not hasattr(part, "h"):
            raise ValueError(f"final_states reads a field h of the carry, got {describe(part)}.")
    return jnp.concatenate([part.h for part in carries], axis=-1)


@over_rows("ys")
def mean_pool(ys: jax.Array, lengths: Lengths = None) -> jax.Array:
    """The mean of the valid steps.

    Args:
      ys: `[B, T, H]`.
      lengths: `[B]` integers; None means that all T steps are valid.

    Returns:
      `[B, H]`; zero for a row of length 0.

    Raises:
      ValueError: if the ranks or sizes do not fit.
      TypeError: if `lengths` are not integers.

    Example:
      >>> mean_pool(jnp.array([[[2.0], [4.0], [9.0]]]), jnp.array([2])).tolist()
      [[3.0]]
    """
    ys, mask = _masked(ys, lengths)
    dtype = sum_dtype(ys.dtype)
    count = jnp.maximum(mask.sum(axis=1), 1).astype(dtype)
    return (jnp.where(mask, ys, 0).sum(axis=1, dtype=dtype) / count).astype(ys.dtype)


@over_rows("ys")
def max_pool(ys: jax.Array, lengths: Lengths = None) -> jax.Array:
    """The maximum of the valid steps, feature by feature.

    Args:
      ys: `[B, T, H]`.
      lengths: `[B]` integers; None means that all T steps are valid.

    Returns:
      `[B, H]`; zero for a row of length 0.

    Raises:
      ValueError: if the ranks or sizes do not fit.
      TypeError: if `lengths` are not integers.

    Example:
      >>> max_pool(jnp.array([[[-2.0], [-4.0], [9.0]]]), jnp.array([2])).tolist()
      [[-2.0]]
    """
    ys, mask = _masked(ys, lengths)
    highest = jnp.max(ys, axis=1, initial=-jnp.inf, where=mask)
    return jnp.where(mask.any(axis=1), highest, 0)


class AttentionPoolParams(NamedTuple):
    """Parameters of `attention_pool`."""

    w: jax.Array  # [H, A]
    b: jax.Array  # [A]
    v: jax.Array  # [A]


def init_attention_pool(
    key: jax.Array, *, input_size: int, attention_size: int
) -> AttentionPoolParams:
    """Makes the parameters of `attention_pool`, Glorot-uniform with zero bias.

    Args:
      key: consumed.
      input_size: features H of each step.
      attention_size: hidden units A of the score.

    Example:
      >>> from birnn_jax.models import init_attention_pool
      >>> init_attention_pool(jax.random.key(0), input_size=8, attention_size=3).w.shape
      (8, 3)
    """
    check_key(key)
    input_size = as_size("input_size", input_size)
    attention_size = as_size("attention_size", attention_size)
    key_w, key_v = jax.random.split(key)
    glorot = jax.nn.initializers.glorot_uniform()
    return AttentionPoolParams(
        w=glorot(key_w, (input_size, attention_size)),
        b=jnp.zeros(attention_size),
        v=glorot(key_v, (attention_size, 1))[:, 0],
    )


@over_rows("ys")
def attention_pool(
    params: AttentionPoolParams, ys: jax.Array, lengths: Lengths = None
) -> tuple[jax.Array, jax.Array]:
    """A weighted mean of the valid steps, with weights that are learned.

        score[t] = v . tanh(w y[t] + b)
        pooled   = sum_t softmax(score)[t] y[t]

    Args:
      params: from `init_attention_pool`.
      ys: `[B, T, H]`.
      lengths: `[B]` integers; None means that all T steps are valid.

    Returns:
      pooled: `[B, H]`; zero for a row of length 0.
      weights: `[B, T]`, zero in padding; each row adds up to 1, to 0 at length 0. In float32 at
        least.

    Raises:
      ValueError: if the ranks or sizes do not fit.
      TypeError: if `lengths` are not integers.

    Example:
      >>> from birnn_jax.models import attention_pool, init_attention_pool
      >>> params = init_attention_pool(jax.random.key(0), input_size=4, attention_size=3)
      >>> ys = jax.random.normal(jax.random.key(1), [1, 5, 4])
      >>> pooled, weights = attention_pool(params, ys, jnp.array([2]))
      >>> bool((weights[0, 2:] == 0).all())
      True

    References:
      Yang et al., Hierarchical Attention Networks for Document Classification, 2016.
    """
    check_made_by("init_attention_pool", AttentionPoolParams, params)
    ys, mask = _masked(ys, lengths)
    if ys.shape[-1] != params.w.shape[0]:
        raise ValueError(
            f"ys has {ys.shape[-1]} features but params were made for {params.w.shape[0]}."
        )
    ys = jnp.where(mask, ys, 0)
    hidden = jnp.tanh(product(ys, params.w) + widen(params.b)[None, None])
    scores = product(hidden, params.v)
    weights = softmax_over_valid(scores, mask[..., 0])
    return jnp.einsum("bt,bth->bh", weights, widen(ys)).astype(ys.dtype), weights


def _masked(ys: jax.Array, lengths: Lengths) -> tuple[jax.Array, jax.Array]:
    """`ys` as an array, and `[B, T, 1]`, True at valid steps."""
    ys = as_axes("ys", ys, "B, T, H")
    return ys, named_valid_steps(ys, lengths, name="ys")[..., None]
