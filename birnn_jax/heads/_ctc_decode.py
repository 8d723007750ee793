"""The most probable rows of labels of connectionist temporal classification."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.checks import as_size
from .._core.masks import Lengths
from .._core.meshes import over_rows, scan
from ._ctc import as_log_probs
from ._logspace import levelled, log_add, log_sum_exp


@over_rows("logits")
def ctc_greedy_decode(
    logits: jax.Array, lengths: Lengths = None, *, blank: int = 0
) -> tuple[jax.Array, jax.Array]:
    """The labels of the single most probable path: repetitions merged, then blanks removed.

    Args:
      logits: `[B, T, K]`.
      lengths: `[B]` integers, or a `Mask`; None means that all T steps are valid.
      blank: the class that stands for no label.

    Returns:
      labels: `[B, T]` int32, from the left, -1 behind them; `ctc_align` has their times.
      label_lengths: `[B]` int32.

    Raises:
      ValueError, TypeError: as `ctc_loss`.

    Example:
      >>> from birnn_jax.heads import ctc_greedy_decode
      >>> path = jnp.array([[1, 1, 0, 1, 2]])
      >>> labels, label_lengths = ctc_greedy_decode(jax.nn.one_hot(path, 3))
      >>> labels.tolist(), label_lengths.tolist()
      ([[1, 1, 2, -1, -1]], [3])
    """
    log_probs, places = as_log_probs(logits, lengths, blank)
    mask = places.mask
    path = jnp.where(mask, log_probs.argmax(axis=-1), blank)
    before = jnp.pad(path, ((0, 0), (1, 0)), constant_values=blank)[:, :-1]
    kept = (path != blank) & (path != before)
    # Labels move to the left by a stable sort of what is kept and what is not.
    order = jnp.argsort(~kept, axis=1, stable=True)
    labels = jnp.take_along_axis(jnp.where(kept, path, -1), order, axis=1)
    return labels.astype(jnp.int32), kept.sum(axis=1, dtype=jnp.int32)


@over_rows("logits")
def ctc_beam_decode(
    logits: jax.Array, lengths: Lengths = None, *, width: int, blank: int = 0
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The most probable rows of labels, over all their paths, by prefix beam search.

    After every step the `width` most probable beginnings are kept; with a width of all beginnings
    there are, the result is exact.

    Args:
      logits: `[B, T, K]`.
      lengths: `[B]` integers, or a `Mask`; None means that all T steps are valid.
      width: how many beginnings are kept, W; at least 1.
      blank: the class that stands for no label.

    Returns:
      labels: `[B, W, T]` int32, best first, from the left, -1 behind them.
      label_lengths: `[B, W]` int32.
      log_probs: `[B, W]`, of the labels, as far as the beam has seen their paths; minus infinity,
        without labels, where there are fewer than W. `ctc_log_likelihood` has them over all paths,
        `ctc_align` where in time the labels stand.

    Raises:
      ValueError, TypeError: as `ctc_loss`; also if `width` is below 1.

    Example:
      >>> from birnn_jax.heads import ctc_beam_decode
      >>> labels, label_lengths, log_probs = ctc_beam_decode(jnp.zeros([1, 2, 2]), width=3)
      >>> labels[0].tolist(), jnp.exp(log_probs[0]).round(2).tolist()
      ([[1, -1], [-1, -1], [-1, -1]], [0.75, 0.25, 0.0])

    References:
      Graves, Supervised Sequence Labelling with Recurrent Neural Networks, 2012, section 7.5;
      Hannun et al., First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional
      Recurrent DNNs, 2014.
    """
    width = as_size("width", width)
    log_probs, places = as_log_probs(logits, lengths, blank)
    num_steps = log_probs.shape[1]

    def body(beam: _Beam, step: tuple) -> tuple[_Beam, jax.Array]:
        scores, valid = step
        new = _advance(beam, scores, blank)
        both, lowered = levelled(jnp.stack([new.blank, new.label]).reshape(-1))
        new = new._replace(blank=both[:width], label=both[width:])
        new = jax.tree.map(lambda new, old: jnp.where(valid, new, old), new, beam)
        return new, jnp.where(valid, lowered[0], 0)

    def row(log_probs: jax.Array, mask: jax.Array) -> tuple[_Beam, jax.Array]:
        beam, lowered = scan(body, _empty_beam(width, log_probs), (log_probs, mask))
        return beam, log_add(beam.blank, beam.label) + lowered.sum()

    beam, totals = jax.vmap(row)(log_probs, places.mask)
    dead = jnp.isneginf(totals)
    labels = jnp.where(dead[..., None], -1, beam.labels[..., :num_steps])
    return labels, jnp.where(dead, 0, beam.lengths), totals


class _Beam(NamedTuple):
    """Different beginnings, the most probable first, with the probability of their paths."""

    labels: jax.Array  # [W, T], -1 behind
    lengths: jax.Array  # [W]
    blank: jax.Array  # [W], log-probability of the paths that end in a blank
    label: jax.Array  # [W], of those that end in the last label


def _empty_beam(width: int, log_probs: jax.Array) -> _Beam:
    """One empty beginning; the other places are dead: of probability zero.

    There is room for one label even without steps: an axis of size 0 cannot be looked up.
    """
    none = jnp.full(width, -jnp.inf, log_probs.dtype)
    return _Beam(
        labels=jnp.full([width, max(log_probs.shape[0], 1)], -1, jnp.int32),
        lengths=jnp.zeros(width, jnp.int32),
        blank=none.at[0].set(0),
        label=none,
    )


def _advance(beam: _Beam, scores: jax.Array, blank: int) -> _Beam:
    """By one step with `[K]` log-probabilities."""
    width, num_classes = len(beam.lengths), len(scores)
    last = beam.labels[jnp.arange(width), beam.lengths - 1]  # -1 where there is none
    total = log_add(beam.blank, beam.label)

    # A beginning stays itself by a blank, or by its last label once more.
    stay_blank = total + scores[blank]
    stay_label = jnp.where(last >= 0, beam.label + scores[last], -jnp.inf)

    # Or it grows by a label; by its last one only across a blank.
    repeats = last[:, None] == jnp.arange(num_classes)[None]
    grown = jnp.where(repeats, beam.blank[:, None], total[:, None]) + scores[None]
    grown = grown.at[:, blank].set(-jnp.inf)

    # What grows into a beginning that is kept already belongs to it.
    into = _is_grown_from(beam)  # [child, parent]
    gained = jnp.where(into, grown[:, last].T, -jnp.inf)
    stay_label = log_add(stay_label, log_sum_exp(gained, axis=1))
    taken = (into[:, :, None] & repeats[:, None]).any(axis=0)  # [parent, label]
    grown = jnp.where(taken, -jnp.inf, grown)

    stay = log_add(stay_blank, stay_label)
    _, places = jax.lax.top_k(jnp.concatenate([stay, grown.reshape(-1)]), width)
    return _select(beam, stay_blank, stay_label, grown, places)


def _is_grown_from(beam: _Beam) -> jax.Array:
    """`[W, W]`, True where the row's beginning is the column's and one label more."""
    longer = beam.lengths[:, None] == beam.lengths[None] + 1
    at_end = jnp.arange(beam.labels.shape[1])[None] == beam.lengths[:, None] - 1
    shortened = jnp.where(at_end, -1, beam.labels)
    return longer & (shortened[:, None] == beam.labels[None]).all(axis=-1)


def _select(
    beam: _Beam, stay_blank: jax.Array, stay_label: jax.Array, grown: jax.Array, places: jax.Array
) -> _Beam:
    """The beginnings at `places` among those that stay and those that grow."""
    width, num_classes = grown.shape
    stays = places < width
    parent = jnp.where(stays, places, (places - width) // num_classes)
    label = (places - width) % num_classes
    labels, lengths = beam.labels[parent], beam.lengths[parent]
    here = jnp.arange(labels.shape[1])[None] == lengths[:, None]
    return _Beam(
        labels=jnp.where(here & ~stays[:, None], label[:, None], labels).astype(jnp.int32),
        lengths=lengths + (~stays).astype(lengths.dtype),
        blank=jnp.where(stays, stay_blank[parent], -jnp.inf),
        label=jnp.where(stays, stay_label[parent], grown[parent, label]),
    )
