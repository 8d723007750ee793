"""Linear-chain conditional random field, in log space."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.checks import as_labels, as_size, check_made_by
from .._core.masks import Lengths
from .._core.meshes import over_rows, scan
from .._losses import Total, known_labels
from ._logspace import levelled, log_sum_exp, softmax, surprisal
from ._places import Places, logits_to_front


class CRFParams(NamedTuple):
    """Scores of a chain of labels beside those of its steps, in nats; -inf forbids."""

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
    num_classes = as_size("num_classes", num_classes)
    # Arrays of their own: a training step is given each buffer once, to write into.
    return CRFParams(*(jnp.zeros(shape) for shape in ([num_classes] * 2, num_classes, num_classes)))


@over_rows("logits")
def crf_loss(
    params: CRFParams, logits: jax.Array, labels: jax.Array, lengths: Lengths = None
) -> Total:
    """The negative log-likelihood of whole rows of labels.

        score(y) = start[y[1]] + sum_t logits[t, y[t]] + sum_t transitions[y[t-1], y[t]] + end[y[n]]
        loss     = log sum_y' exp(score(y')) - score(y)     over all K^n rows of labels y'

    With parameters of zero this is `birnn_jax.cross_entropy`. Steps that a `Mask` leaves out are
    passed over: the chain goes from one valid step to the next, here and in all of the CRF. With
    `Segments` every segment is a chain of its own, with its own start and end, and the rows of
    labels y' are those of all segments together. Scores of minus infinity, in params or logits,
    forbid; they get no gradient.

    Args:
      params: from `init_crf`, or from `constrain_crf`.
      logits: `[B, T, K]`, for example from `birnn_jax.tagger`.
      labels: `[B, T]` integers. What stands in padding is never used; at a valid step a label
        outside 0 to K - 1 makes the loss NaN. Labels to be ignored are left out by a `Mask`, such
        as `Mask(labels != -100)`.
      lengths: `[B]` integers, a `Mask` or `Segments`; None means that all T steps are valid.

    Returns:
      `Total` of nats over valid steps; `crf_log_likelihood` has those of each row. A row of length
      0 adds nothing, a row of forbidden labels infinity.

    Raises:
      ValueError: if the shapes do not fit.
      TypeError: if `labels` or `lengths` are not integers.

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
    params, logits, places = prepare(params, logits, lengths)
    nats = _nats(params, logits, labels, places)
    return Total(nats.sum(), places.mask.sum(dtype=nats.dtype))


@over_rows("logits")
def crf_log_likelihood(
    params: CRFParams, logits: jax.Array, labels: jax.Array, lengths: Lengths = None
) -> jax.Array:
    """The log-probability of each row of labels: `crf_loss` row by row, with the other sign.

    Args:
      params: from `init_crf`, or from `constrain_crf`.
      logits: `[B, T, K]`.
      labels: `[B, T]` integers, as in `crf_loss`; for example from `crf_decode`.
      lengths: `[B]` integers, a `Mask` or `Segments`; None means that all T steps are valid.

    Returns:
      `[B]` nats; 0 for a row of length 0, minus infinity for forbidden labels.

    Raises:
      ValueError, TypeError: as `crf_loss`.

    Example:
      >>> from birnn_jax.heads import crf_log_likelihood, init_crf
      >>> labels = jnp.array([[1, 0, 2], [3, 3, 3]])
      >>> params, logits = init_crf(num_classes=4), jnp.zeros([2, 3, 4])
      >>> jnp.exp(crf_log_likelihood(params, logits, labels, jnp.array([2, 1]))).round(4).tolist()
      [0.0625, 0.25]
    """
    params, logits, places = prepare(params, logits, lengths)
    return -_nats(params, logits, labels, places)


@over_rows("logits")
def crf_marginals(params: CRFParams, logits: jax.Array, lengths: Lengths = None) -> jax.Array:
    """The probability of every label at every step, given the whole row.

    Args:
      params: from `init_crf`, or from `constrain_crf`.
      logits: `[B, T, K]`.
      lengths: `[B]` integers, a `Mask` or `Segments`; None means that all T steps are valid.

    Returns:
      `[B, T, K]`; each valid step adds up to 1, padding is zero, and so is a row in which every row
      of labels is forbidden.

    Raises:
      ValueError, TypeError: as `crf_loss`.

    Example:
      >>> from birnn_jax.heads import crf_marginals, init_crf
      >>> crf_marginals(init_crf(num_classes=2), jnp.zeros([1, 3, 2]), jnp.array([2]))[0].tolist()
      [[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]]
    """
    params, logits, places = prepare(params, logits, lengths)
    before, after = (_messages(params, logits, places, reverse=back) for back in (False, True))
    marginals = jnp.where(places.mask[..., None], softmax(before + logits + after), 0)
    return places.to_origin(marginals, axis=1)


def prepare(
    params: CRFParams, logits: jax.Array, lengths: Lengths
) -> tuple[CRFParams, jax.Array, Places]:
    """Parameters and logits in float32 at least, valid steps first, and zeros behind them."""
    check_made_by("init_crf", CRFParams, params)
    logits, places = logits_to_front(logits, lengths)
    num_classes = params.start.shape[0]
    if logits.shape[-1] != num_classes:
        raise ValueError(f"logits has {logits.shape[-1]} classes but params are for {num_classes}.")
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, logits.dtype), params), logits, places


def _nats(params: CRFParams, logits: jax.Array, labels: jax.Array, places: Places) -> jax.Array:
    """`[B]`, minus the log-probability of the labels.

    The probability of a row is the product of those of its labels, each given the one before it and
    all logits: with `after` the messages from behind,

        p(y[t] | y[t-1]) = softmax(transitions[y[t-1]] + logits[t] + after[t])[y[t]]

    A sum of terms that are positive and exact is so itself, however long the row is. The difference
    of two scores of whole rows, which grow with their length, is not.
    """
    mask = places.mask
    labels = as_labels(labels)
    if labels.shape != mask.shape:
        raise ValueError(f"labels must be [B, T] = {mask.shape}, got shape {labels.shape}.")
    labels, known = known_labels(places.to_front(labels), mask, num_classes=logits.shape[-1])
    after = _messages(params, logits, places, reverse=True)
    first = jnp.broadcast_to(params.start, logits.shape)
    given = jnp.concatenate([first[:, :1], params.transitions[labels[:, :-1]]], axis=1)
    given = given[:, : mask.shape[1]]
    if places.starts is not None:  # the score of the end before is the same for all labels
        given = jnp.where(places.starts[..., None], first, given)
    nats = surprisal(given + logits + after, labels)
    return jnp.where(mask, nats * known.astype(nats.dtype), 0).sum(axis=1)


def _messages(params: CRFParams, logits: jax.Array, places: Places, *, reverse: bool) -> jax.Array:
    """`[B, T, K]`, for each label what leads up to it, or on from it if `reverse`, in nats.

    It is the logarithm of the sum over all labels on that side of the step, without the logits of
    the step itself and up to a constant for each step.
    """
    edge, links, starts = params.start, params.transitions, places.starts
    if reverse:
        edge, links = params.end, links.T
    elif starts is not None:  # what leads on from a step is of the step behind it
        starts = jnp.roll(starts, -1, axis=1)

    def body(message: jax.Array, step: tuple) -> tuple[jax.Array, jax.Array]:
        scores, valid, is_turn = step  # [B, K], [B], [B]
        pairs = (message + scores)[:, :, None] + links[None]
        new, _ = levelled(log_sum_exp(pairs, axis=1))
        if is_turn is not None:  # from one chain to the next
            new = jnp.where(is_turn[:, None], edge[None], new)
        return jnp.where(valid[:, None], new, message), message

    first = jnp.broadcast_to(edge, (logits.shape[0], len(edge)))
    by_time = jax.tree.map(jnp.transpose, (places.mask, starts))
    steps = (jnp.moveaxis(logits, 1, 0), *by_time)
    _, messages = scan(body, first, steps, reverse=reverse)
    return jnp.moveaxis(messages, 0, 1)
