"""Forced alignment: where in time given labels stand, by connectionist temporal classification."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.masks import Lengths
from .._core.meshes import over_rows, scan
from ._ctc import Lattice, first_scores, make_lattice, ways
from ._logspace import levelled


class CTCAlignment(NamedTuple):
    """The most probable path of given labels; times are numbers of steps, from 0.

    Example:
      >>> from birnn_jax.heads import ctc_align
      >>> logits = 9 * jax.nn.one_hot(jnp.array([[0, 1, 1, 0]]), 3)
      >>> alignment = ctc_align(logits, None, labels=jnp.array([[1]]))
      >>> alignment.path.tolist(), alignment.starts.tolist(), alignment.ends.tolist()
      ([[0, 1, 1, 0]], [[1]], [[3]])
    """

    path: jax.Array  # [B, T] int32, the class of each step, -1 in padding
    starts: jax.Array  # [B, N] int32, the first step of each label, -1 where there is none
    ends: jax.Array  # [B, N] int32, the step after its last one, -1 where there is none
    log_probs: jax.Array  # [B], of the path


@over_rows("logits")
def ctc_align(
    logits: jax.Array,
    lengths: Lengths,
    labels: jax.Array,
    label_lengths: Lengths = None,
    *,
    blank: int = 0,
) -> CTCAlignment:
    """Finds where in time labels stand: known ones (forced alignment), or those of a decoder.

    For the labels of `ctc_greedy_decode` this is the path from which they were read.

    Args:
      logits: `[B, T, K]`, as in `ctc_loss`.
      lengths: `[B]` integers, or a `Mask`; None means that all T steps are valid. Times count all
        steps, also those in the gaps of a `Mask`.
      labels: `[B, N]` integers, as in `ctc_loss`.
      label_lengths: `[B]` integers, or a `Mask` of the labels; None means that all N are valid.
      blank: the class that stands for no label.

    Returns:
      `CTCAlignment` with the path, the start and end of each label in steps, and the
      log-probability of the path. Where labels do not fit in their steps or are impossible, it is
      minus infinity, and all else -1.

    Raises:
      ValueError, TypeError: as `ctc_loss`.

    Example:
      >>> from birnn_jax.heads import ctc_align, ctc_greedy_decode
      >>> logits = 9 * jax.nn.one_hot(jnp.array([[1, 1, 0, 1, 2]]), 3)
      >>> labels, label_lengths = ctc_greedy_decode(logits)
      >>> found = ctc_align(logits, None, labels, label_lengths)
      >>> labels[0, :3].tolist(), found.starts[0, :3].tolist(), found.ends[0, :3].tolist()
      ([1, 1, 2], [0, 3, 4], [2, 4, 5])

    References:
      Graves et al., Connectionist Temporal Classification, 2006; Kuerzinger et al.,
      CTC-Segmentation of Large Corpora for German End-to-End Speech Recognition, 2020.
    """
    lattice = make_lattice(logits, lengths, labels, label_lengths, blank)
    states, log_probs = _best_states(lattice)
    found = lattice.steps.mask & (log_probs > -jnp.inf)[:, None]  # nor where it is NaN
    classes = jnp.take_along_axis(lattice.classes, states, axis=1)
    path = jnp.where(found, classes, -1).astype(jnp.int32)
    states = lattice.steps.to_origin(jnp.where(found, states, -1), axis=1)
    starts, ends = _times(states, num_labels=lattice.labels.mask.shape[1])
    return CTCAlignment(
        path=lattice.steps.to_origin(path, axis=1),
        starts=lattice.labels.to_origin(starts, axis=1),
        ends=lattice.labels.to_origin(ends, axis=1),
        log_probs=log_probs,
    )


def _best_states(lattice: Lattice) -> tuple[jax.Array, jax.Array]:
    """`[B, T]`, the state of each step, and `[B]`, the log-probability of that path."""

    def forwards(best: jax.Array, step: tuple) -> tuple[jax.Array, tuple]:
        log_probs, valid = step  # [B, S], [B]
        into = ways(lattice, best)
        new, lowered = levelled(into.max(axis=2) + log_probs)
        came = into.argmax(axis=2)  # from how many states before
        return jnp.where(valid[:, None], new, best), (came, jnp.where(valid, lowered[:, 0], 0))

    mask = lattice.steps.mask.T
    steps = (jnp.moveaxis(lattice.log_probs, 1, 0), mask)
    best, (came, lowered) = scan(forwards, first_scores(lattice), steps)
    ended = jnp.where(lattice.ends, best, -jnp.inf)
    log_probs = (ended.max(axis=1) + lowered.sum(axis=0)) * lattice.known

    def backwards(state: jax.Array, step: tuple) -> tuple[jax.Array, jax.Array]:
        came, valid = step
        before = state - jnp.take_along_axis(came, state[:, None], axis=1)[:, 0]
        return jnp.where(valid, before, state), state

    _, states = scan(backwards, ended.argmax(axis=1), (came, mask), reverse=True)
    return states.T, log_probs


def _times(states: jax.Array, *, num_labels: int) -> tuple[jax.Array, jax.Array]:
    """`[B, N]`, the first step and the one after the last of each label; -1 where there is none."""
    of_label = 2 * jnp.arange(num_labels)[None, None] + 1
    here = states[:, :, None] == of_label  # [B, T, N]
    step = jax.lax.broadcasted_iota(jnp.int32, here.shape, 1)
    ends = jnp.max(jnp.where(here, step + 1, -1), axis=1, initial=-1)
    starts = jnp.min(jnp.where(here, step, here.shape[1]), axis=1, initial=here.shape[1])
    return jnp.where(ends < 0, -1, starts), ends
