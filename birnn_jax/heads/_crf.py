"""Linear-chain conditional random field, in log space."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.masks import Lengths
from .._models.losses import Total
from ._places import Places, find_places


class CRFParams(NamedTuple):
    """Scores of a chain of labels beside those of its steps, in nats."""

    transitions: jax.Array  # [K, K], from the row's label to the column's
    start: jax.Array  # [K], of the label of the first step
    end: jax.Array  # [K], of the label of the last step


def init_crf(*, num_classes: int) -> CRFParams:
    """Makes the parameters of a chain that prefers nothing: all zero, so that no key is needed.

    Args:
      num_classes: labels K.

    Example:
      >>> from birnn_jax.heads import init_crf
      >>> init_crf(num_classes=5).transitions.shape
      (5, 5)
    """
    # Arrays of their own: a training step is given each buffer once, to write into.
    return CRFParams(*(jnp.zeros(shape) for shape in ([num_classes] * 2, num_classes, num_classes)))


def crf_loss(
    params: CRFParams, logits: jax.Array, labels: jax.Array, lengths: Lengths = None
) -> Total:
    """The negative log-likelihood of whole rows of labels.

        score(y) = start[y[1]] + sum_t logits[t, y[t]] + sum_t transitions[y[t-1], y[t]] + end[y[n]]
        loss     = log sum_y' exp(score(y')) - score(y)     over all K^n rows of labels y'

    With parameters of zero this is `birnn_jax.cross_entropy`. Steps that a `Mask` leaves out are
    passed over: the chain goes from one valid step to the next, here and in all of the CRF.

    Args:
      params: from `init_crf`, or from `constrain_crf`.
      logits: `[B, T, K]`, for example from `birnn_jax.tagger`.
      labels: `[B, T]` integers, 0 to K - 1; what stands in padding is never used.
      lengths: `[B]` integers, or a `Mask`; None means that all T steps are valid.

    Returns:
      `Total` of nats over valid steps. A row of length 0 adds nothing.

    Raises:
      ValueError: if the shapes do not fit, or for `Segments`.
      TypeError: if `lengths` are not integers.

    Example:
      >>> from birnn_jax.heads import crf_loss, init_crf
      >>> labels = jnp.array([[1, 0, 2]])
      >>> total = crf_loss(init_crf(num_classes=4), jnp.zeros([1, 3, 4]), labels, jnp.array([2]))
      >>> round(float(total.mean), 4), int(total.count)
      (1.3863, 2)

    References:
      Lafferty, McCallum and Pereira, Conditional Random Fields, 2001; Huang, Xu and Yu,
      Bidirectional LSTM-CRF Models for Sequence Tagging, 2015.
    """
    params, logits, places = _prepare(params, logits, lengths)
    mask = places.mask
    if labels.shape != mask.shape:
        raise ValueError(f"labels must be [B, T] = {mask.shape}, got shape {labels.shape}.")
    labels = places.to_front(labels)
    score = jax.vmap(_score_row, in_axes=(None, 0, 0, 0))(params, logits, labels, mask)
    nats = _log_partition(params, logits, mask) - score
    return Total(nats.sum(), mask.sum(dtype=nats.dtype))


def crf_marginals(params: CRFParams, logits: jax.Array, lengths: Lengths = None) -> jax.Array:
    """The probability of every label at every step, given the whole row.

    Args:
      params: from `init_crf`, or from `constrain_crf`.
      logits: `[B, T, K]`.
      lengths: `[B]` integers, or a `Mask`; None means that all T steps are valid.

    Returns:
      `[B, T, K]`; each valid step adds up to 1, padding is zero.

    Raises:
      ValueError, TypeError: as `crf_loss`.

    Example:
      >>> from birnn_jax.heads import crf_marginals, init_crf
      >>> crf_marginals(init_crf(num_classes=2), jnp.zeros([1, 3, 2]), jnp.array([2]))[0].tolist()
      [[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]]
    """
    params, logits, places = _prepare(params, logits, lengths)
    # The derivative of log Z by a score is the expectation of what the score counts.
    log_partition = lambda logits: _log_partition(params, logits, places.mask).sum()  # noqa: E731
    return places.to_origin(jax.grad(log_partition)(logits), axis=1)


def crf_decode(
    params: CRFParams, logits: jax.Array, lengths: Lengths = None
) -> tuple[jax.Array, jax.Array]:
    """The row of labels with the highest score, by the Viterbi algorithm.

    Args:
      params: from `init_crf`, or from `constrain_crf`.
      logits: `[B, T, K]`.
      lengths: `[B]` integers, or a `Mask`; None means that all T steps are valid.

    Returns:
      labels: `[B, T]` int32, -1 in padding.
      scores: `[B]`; 0 for a row of length 0. Minus the log partition it is the log-probability.

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


def crf_decode_n_best(
    params: CRFParams, logits: jax.Array, lengths: Lengths = None, *, n: int
) -> tuple[jax.Array, jax.Array]:
    """The n rows of labels with the highest scores, best first.

    Args:
      params: from `init_crf`, or from `constrain_crf`.
      logits: `[B, T, K]`.
      lengths: `[B]` integers, or a `Mask`; None means that all T steps are valid.
      n: how many; at least 1.

    Returns:
      labels: `[B, n, T]` int32, -1 in padding.
      scores: `[B, n]`; minus infinity, with labels of -1, where a row has fewer than n.

    Raises:
      ValueError, TypeError: as `crf_loss`; also if `n` is below 1.

    Example:
      >>> from birnn_jax.heads import crf_decode_n_best, init_crf
      >>> logits = jnp.array([[[0.0, 1.0], [2.0, 0.0]]])
      >>> labels, scores = crf_decode_n_best(init_crf(num_classes=2), logits, n=3)
      >>> labels[0].tolist(), scores[0].tolist()
      ([[1, 0], [0, 0], [1, 1]], [3.0, 2.0, 1.0])
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}.")
    params, logits, places = _prepare(params, logits, lengths)
    n_best = jax.vmap(_n_best_row, in_axes=(None, 0, 0, None))
    labels, scores = n_best(params, logits, places.mask, n)
    return places.to_origin(labels, axis=2), scores


def _prepare(
    params: CRFParams, logits: jax.Array, lengths: Lengths
) -> tuple[CRFParams, jax.Array, Places]:
    """At least float32, valid steps first, and zeros behind them."""
    places = find_places(logits, lengths)
    num_classes = params.start.shape[0]
    if logits.shape[-1] != num_classes:
        raise ValueError(f"logits has {logits.shape[-1]} classes but params are for {num_classes}.")
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    logits = jnp.where(places.mask[..., None], places.to_front(logits), 0)
    return params, logits.astype(dtype), places


def _score_row(
    params: CRFParams, logits: jax.Array, labels: jax.Array, mask: jax.Array
) -> jax.Array:
    """`logits` is `[T, K]`, `labels` and `mask` are `[T]`."""
    steps = jnp.where(mask, jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0], 0).sum()
    pairs = jnp.where(mask[1:], params.transitions[labels[:-1], labels[1:]], 0).sum()
    if len(mask) == 0:
        return jnp.zeros([], logits.dtype)
    last = labels[jnp.maximum(mask.sum() - 1, 0)]
    ends = jnp.where(mask[0], params.start[labels[0]] + params.end[last], 0)
    return steps + pairs + ends


def _log_partition(params: CRFParams, logits: jax.Array, mask: jax.Array) -> jax.Array:
    """`[B]`."""

    def row(logits, mask):
        def body(alphas, inputs):
            t, scores, valid = inputs
            before = jax.nn.logsumexp(alphas[:, None] + params.transitions, axis=0)
            new = jnp.where(t == 0, params.start, before) + scores
            return jnp.where(valid, new, alphas), None

        steps = (jnp.arange(len(mask)), logits, mask)
        alphas, _ = jax.lax.scan(body, jnp.zeros_like(params.start), steps)
        return jnp.where(mask.any(), jax.nn.logsumexp(alphas + params.end), 0)

    return jax.vmap(row)(logits, mask)


def _n_best_row(
    params: CRFParams, logits: jax.Array, mask: jax.Array, n: int
) -> tuple[jax.Array, jax.Array]:
    """`logits` is `[T, K]`; the labels are `[n, T]`, the scores `[n]`."""
    num_classes = len(params.start)
    only_first = jnp.where(jnp.arange(n) == 0, 0.0, -jnp.inf)  # one empty row of labels, not n

    def forwards(best, inputs):  # best: [K, n], of the rows that end in each label
        t, scores, valid = inputs
        rows = best[:, :, None] + params.transitions[:, None]  # [K, n, K]
        rows, origins = jax.lax.top_k(rows.reshape(num_classes * n, num_classes).T, n)
        rows = jnp.where(t == 0, params.start[:, None] + only_first[None], rows)
        new = rows + scores[:, None]
        return jnp.where(valid, new, best), jnp.where(valid, origins, -1)

    steps = (jnp.arange(len(mask)), logits, mask)
    best, origins = jax.lax.scan(forwards, jnp.zeros([num_classes, n], logits.dtype), steps)
    ended = (best + params.end[:, None]).reshape(-1)
    scores, places = jax.lax.top_k(ended, n)
    scores = jnp.where(mask.any(), scores, only_first)

    def backwards(places, inputs):  # places: [n], label * n + rank
        origins, valid = inputs
        labels, ranks = places // n, places % n
        return jnp.where(valid, origins[labels, ranks], places), jnp.where(valid, labels, -1)

    _, labels = jax.lax.scan(backwards, places, (origins, mask), reverse=True)
    return jnp.where(jnp.isneginf(scores)[:, None], -1, labels.T), scores
