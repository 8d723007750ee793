"""Connectionist temporal classification: labels without their times."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.checks import as_labels, as_size, check_flag
from .._core.masks import Lengths
from .._core.meshes import over_rows, scan
from .._losses import Total, known_labels
from ._logspace import levelled, log_softmax, log_sum_exp
from ._places import Places, check_whole_rows, find_places, logits_to_front


@over_rows("logits")
def ctc_loss(
    logits: jax.Array,
    lengths: Lengths,
    labels: jax.Array,
    label_lengths: Lengths = None,
    *,
    blank: int = 0,
    zero_infinity: bool = False,
) -> Total:
    """The negative log-likelihood of rows of labels, summed over where in time they could stand.

    Args:
      logits: `[B, T, K]`, for example from `birnn_jax.tagger`; K counts the blank. They are
        normalised here: log-probabilities are as good.
      lengths: `[B]` integers, of the logits, or a `Mask`, whose gaps are passed over: a label on
        both sides of one is one label. None means that all T steps are valid.
      labels: `[B, N]` integers. What stands in padding is never used; a valid label that is the
        blank or outside 0 to K - 1 makes the loss NaN.
      label_lengths: `[B]` integers, or a `Mask` of the labels; None means that all N are valid.
      blank: the class that stands for no label.
      zero_infinity: whether rows of infinite loss are left out, of sum and count.

    Returns:
      `Total` of nats over the rows with at least one step; `ctc_log_likelihood` has those of each
      row. The loss of labels that do not fit in their steps, one each and one more between equal
      neighbours, or that are impossible is infinite, with a gradient of zero.

    Raises:
      ValueError: if the shapes do not fit, `blank` is not a class, or for `Segments`.
      TypeError: if labels or lengths are not integers.

    Example:
      >>> from birnn_jax.heads import ctc_loss
      >>> total = ctc_loss(jnp.zeros([1, 2, 3]), None, jnp.array([[1]]))
      >>> round(float(jnp.exp(-total.sum)), 4)  # "1-", "-1" and "11", of nine
      0.3333

    References:
      Graves et al., Connectionist Temporal Classification, 2006.
    """
    check_flag("zero_infinity", zero_infinity)
    lattice = make_lattice(logits, lengths, labels, label_lengths, blank)
    nats = -_log_likelihood(lattice)
    counted = lattice.steps.mask.any(axis=1)
    if zero_infinity:
        counted = counted & ~jnp.isposinf(nats)
    return Total(jnp.where(counted, nats, 0).sum(), counted.sum(dtype=nats.dtype))


@over_rows("logits")
def ctc_log_likelihood(
    logits: jax.Array,
    lengths: Lengths,
    labels: jax.Array,
    label_lengths: Lengths = None,
    *,
    blank: int = 0,
) -> jax.Array:
    """The log-probability of each row of labels: `ctc_loss` row by row, with the other sign.

    Args:
      logits: `[B, T, K]`, as in `ctc_loss`.
      lengths: `[B]` integers, or a `Mask`; None means that all T steps are valid.
      labels: `[B, N]` integers, as in `ctc_loss`; for example from `ctc_beam_decode`.
      label_lengths: `[B]` integers, or a `Mask` of the labels; None means that all N are valid.
      blank: the class that stands for no label.

    Returns:
      `[B]` nats; minus infinity for labels that do not fit or are impossible. In a row of length 0
      it is 0 for no labels at all.

    Raises:
      ValueError, TypeError: as `ctc_loss`.

    Example:
      >>> from birnn_jax.heads import ctc_log_likelihood
      >>> labels = jnp.array([[1, 1], [1, 2]])  # "11" needs three steps
      >>> likelihoods = jnp.exp(ctc_log_likelihood(jnp.zeros([2, 2, 3]), None, labels))
      >>> [round(float(likelihood), 4) for likelihood in likelihoods]
      [0.0, 0.1111]
    """
    return _log_likelihood(make_lattice(logits, lengths, labels, label_lengths, blank))


class Lattice(NamedTuple):
    """The states through which rows of labels pass: a blank, a label, a blank, ..., a blank."""

    steps: Places  # of the logits
    labels: Places
    classes: jax.Array  # [B, S] with S = 2 N + 1, of each state
    log_probs: jax.Array  # [B, T, S], of the class of each state
    skips: jax.Array  # [B, S] bool, True at labels that may follow the one before at once
    ends: jax.Array  # [B, S] bool, True at the two states in which a row may end
    known: jax.Array  # [B], 1, and NaN where a label is none


def make_lattice(
    logits: jax.Array, lengths: Lengths, labels: jax.Array, label_lengths: Lengths, blank: int
) -> Lattice:
    """Checks the arguments of `ctc_loss`, and lays out the states."""
    log_probs, steps = as_log_probs(logits, lengths, blank)
    check_whole_rows(label_lengths, name="label_lengths")
    labels = as_labels(labels)
    if labels.ndim != 2 or labels.shape[0] != log_probs.shape[0]:
        raise ValueError(
            f"labels must be [B, N] with B = {log_probs.shape[0]}, got shape {labels.shape}."
        )
    places = find_places(labels, label_lengths, name="labels", lengths_name="label_lengths")
    labels = places.to_front(labels)
    not_blank = jnp.where(labels == blank, -1, labels)
    labels, known = known_labels(not_blank, places.mask, num_classes=log_probs.shape[-1])

    batch_size, num_labels = labels.shape
    blanks = jnp.full_like(labels, blank)
    between = jnp.stack([blanks, labels], axis=2).reshape(batch_size, 2 * num_labels)
    last = jnp.full_like(labels, blank, shape=(batch_size, 1))
    classes = jnp.concatenate([between, last], axis=1)
    two_before = jnp.pad(classes, ((0, 0), (2, 0)), constant_values=blank)[:, : 2 * num_labels + 1]
    state = jax.lax.broadcasted_iota(jnp.int32, classes.shape, 1)
    final = 2 * places.mask.sum(axis=1, dtype=jnp.int32)[:, None]
    return Lattice(
        steps=steps,
        labels=places,
        classes=classes,
        log_probs=jnp.take_along_axis(log_probs, classes[:, None], axis=2),
        skips=classes != two_before,
        ends=(state == final) | (state == final - 1),
        known=known.astype(log_probs.dtype).prod(axis=1),
    )


def as_log_probs(logits: jax.Array, lengths: Lengths, blank: int) -> tuple[jax.Array, Places]:
    """`[B, T, K]` log-probabilities in float32 at least, valid steps first."""
    check_whole_rows(lengths)
    logits, steps = logits_to_front(logits, lengths)
    if as_size("blank", blank, least=0) >= logits.shape[-1]:
        raise ValueError(f"blank must be one of {logits.shape[-1]} classes, got {blank}.")
    return log_softmax(logits), steps


def first_scores(lattice: Lattice) -> jax.Array:
    """`[B, S]`, before the first step: in the first state, from which a step leads to it or on."""
    scores = jnp.full(lattice.classes.shape, -jnp.inf, lattice.log_probs.dtype)
    return scores.at[:, 0].set(0)


def ways(lattice: Lattice, scores: jax.Array) -> jax.Array:
    """`[B, S, 3]`, scores on the ways into each state: from itself, one before, or two before."""

    def shifted(by: int) -> jax.Array:
        padded = jnp.pad(scores, ((0, 0), (by, 0)), constant_values=-jnp.inf)
        return padded[:, : scores.shape[1]]

    return jnp.stack([scores, shifted(1), jnp.where(lattice.skips, shifted(2), -jnp.inf)], axis=2)


def _log_likelihood(lattice: Lattice) -> jax.Array:
    """`[B]`."""

    def body(alphas: jax.Array, step: tuple) -> tuple[jax.Array, jax.Array]:
        log_probs, valid = step  # [B, S], [B]
        new, lowered = levelled(log_sum_exp(ways(lattice, alphas), axis=2) + log_probs)
        return jnp.where(valid[:, None], new, alphas), jnp.where(valid, lowered[:, 0], 0)

    steps = (jnp.moveaxis(lattice.log_probs, 1, 0), lattice.steps.mask.T)
    alphas, lowered = scan(body, first_scores(lattice), steps)
    ended = log_sum_exp(jnp.where(lattice.ends, alphas, -jnp.inf), axis=1)
    return (ended + lowered.sum(axis=0)) * lattice.known
