"""The best rows of labels of a conditional random field."""

import functools

import jax
import jax.numpy as jnp

from .._core.checks import as_size
from .._core.masks import Lengths
from .._core.meshes import over_rows, scan
from ._crf import CRFParams, prepare
from ._logspace import levelled


@over_rows("logits")
def crf_decode(
    params: CRFParams, logits: jax.Array, lengths: Lengths = None
) -> tuple[jax.Array, jax.Array]:
    """The row of labels with the highest score, by the Viterbi algorithm.

    Args:
      params: from `init_crf`, or from `constrain_crf`.
      logits: `[B, T, K]`.
      lengths: `[B]` integers, a `Mask` or `Segments`; None means that all T steps are valid.

    Returns:
      labels: `[B, T]` int32, -1 in padding.
      scores: `[B]`; 0 for a row of length 0; minus infinity, with labels of -1, where every row of
        labels is forbidden. `crf_log_likelihood` has their log-probability.

    Raises:
      ValueError, TypeError: as `crf_loss`.

    Example:
      >>> from birnn_jax.heads import crf_decode, init_crf
      >>> logits = jnp.array([[[0.0, 1.0], [2.0, 0.0], [9.0, 9.0]]])
      >>> labels, scores = crf_decode(init_crf(num_classes=2), logits, jnp.array([2]))
      >>> labels.tolist(), scores.tolist()
      ([[1, 0, -1]], [3.0])
    """
    labels, scores = crf_decode_n_best(params, logits, lengths, n=1)
    return labels[:, 0], scores[:, 0]


@over_rows("logits")
def crf_decode_n_best(
    params: CRFParams, logits: jax.Array, lengths: Lengths = None, *, n: int
) -> tuple[jax.Array, jax.Array]:
    """The n rows of labels with the highest scores, best first; with `Segments`, of whole rows.

    Args:
      params: from `init_crf`, or from `constrain_crf`.
      logits: `[B, T, K]`.
      lengths: `[B]` integers, a `Mask` or `Segments`; None means that all T steps are valid.
      n: how many; at least 1.

    Returns:
      labels: `[B, n, T]` int32, -1 in padding.
      scores: `[B, n]`; minus infinity, with labels of -1, where fewer than n rows of labels
        exist or are allowed.

    Raises:
      ValueError, TypeError: as `crf_loss`; also if `n` is below 1.

    Example:
      >>> from birnn_jax.heads import crf_decode_n_best, init_crf
      >>> logits = jnp.array([[[0.0, 1.0], [2.0, 0.0]]])
      >>> labels, scores = crf_decode_n_best(init_crf(num_classes=2), logits, n=3)
      >>> labels[0].tolist(), scores[0].tolist()
      ([[1, 0], [0, 0], [1, 1]], [3.0, 2.0, 1.0])
    """
    n = as_size("n", n)
    params, logits, places = prepare(params, logits, lengths)
    n_best = jax.vmap(functools.partial(_n_best_row, n=n), in_axes=(None, 0, 0, 0))
    labels, scores = n_best(params, logits, places.mask, places.starts)
    return places.to_origin(labels, axis=2), scores


def _n_best_row(
    params: CRFParams, logits: jax.Array, mask: jax.Array, starts: jax.Array | None, *, n: int
) -> tuple[jax.Array, jax.Array]:
    """`logits` is `[T, K]`; the labels are `[n, T]`, the scores `[n]`."""
    num_classes = len(params.start)
    only_first = jnp.where(jnp.arange(n) == 0, 0.0, -jnp.inf).astype(logits.dtype)

    def forwards(best: jax.Array, inputs: tuple) -> tuple[jax.Array, tuple]:
        t, scores, valid, is_start = inputs  # best: [K, n], of the rows that end in each label
        links = params.transitions
        if is_start is not None:
            links = jnp.where(is_start, params.end[:, None] + params.start[None], links)
        rows = best[:, :, None] + links[:, None]  # [K, n, K]
        rows, origins = jax.lax.top_k(rows.reshape(num_classes * n, num_classes).T, n)
        # Before the first step there is one empty row of labels, not n.
        rows = jnp.where(t == 0, params.start[:, None] + only_first[None], rows)
        new, lowered = levelled((rows + scores[:, None]).reshape(-1))
        new = jnp.where(valid, new.reshape(num_classes, n), best)
        return new, (jnp.where(valid, lowered[0], 0), jnp.where(valid, origins, -1))

    steps = (jnp.arange(mask.shape[0]), logits, mask, starts)
    best, (lowered, origins) = scan(forwards, jnp.zeros([num_classes, n], logits.dtype), steps)
    ended = (best + params.end[:, None]).reshape(-1)
    scores, places = jax.lax.top_k(ended, n)
    scores = jnp.where(mask.any(), scores + lowered.sum(), only_first)

    def backwards(places: jax.Array, inputs: tuple) -> tuple[jax.Array, jax.Array]:
        origins, valid = inputs  # places: [n], label * n + rank
        labels, ranks = places // n, places % n
        return jnp.where(valid, origins[labels, ranks], places), jnp.where(valid, labels, -1)

    _, labels = scan(backwards, places, (origins, mask), reverse=True)
    return jnp.where(jnp.isneginf(scores)[:, None], -1, labels.T), scores
