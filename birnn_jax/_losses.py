"""Losses and metrics as sums and counts, so that batches of any size add up exactly."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from typing_extensions import TypeAliasType

from ._core.checks import as_array, as_labels
from ._core.masks import Mask, Segments, named_valid_steps
from ._core.meshes import over_rows

Weights = TypeAliasType("Weights", ArrayLike | Mask | Segments | None)
"""Which steps count: bools, weights, `[B]` integer lengths, a `Mask` or `Segments`; None: all."""


class Total(NamedTuple):
    """A sum over valid steps, and how many there were. Totals of batches are added leaf by leaf.

    Where steps have weights, the sum is weighted, and the count is the sum of the weights.

    Example:
      >>> first = Total(sum=jnp.array(3.0), count=jnp.array(1.0))
      >>> second = Total(sum=jnp.array(1.0), count=jnp.array(3.0))
      >>> float(jax.tree.map(jnp.add, first, second).mean)
      1.0
    """

    sum: jax.Array  # []
    count: jax.Array  # []  # pyright: ignore[reportIncompatibleMethodOverride]

    @property
    def mean(self) -> jax.Array:
        """`sum / count`; zero where nothing was counted."""
        return self.sum / divisor(self.count)


def divisor(count: jax.Array) -> jax.Array:
    """What a mean divides its sum by: the count, or 1 where nothing was counted."""
    return jnp.where(count == 0, jnp.ones_like(count), count)


@over_rows("logits")
def cross_entropy(logits: jax.Array, labels: jax.Array, mask: Weights = None) -> Total:
    """Softmax cross entropy of the valid steps, in nats.

    Args:
      logits: `[..., K]`.
      labels: `[...]` integers. What stands where `mask` is False or 0 is never used; at all other
        steps a label outside 0 to K - 1 makes the total NaN. PyTorch's ignore index is a mask:
        `labels != -100`.
      mask: which steps count. `[...]` bool, True where valid, or `[...]` floats, the weight of each
        step; for labels `[B, T]` also `[B]` integer lengths, a `Mask` or `Segments`. None means
        that all steps count.

    Returns:
      `Total` of nats over valid steps, in float32 at least. With weights w, the sum of w * nats
      over the sum of w.

    Raises:
      ValueError: if the shapes do not fit.
      TypeError: if `labels` are not integers, or `mask` is none of the above.

    Example:
      >>> labels, lengths = jnp.array([[1, -1]]), jnp.array([1])
      >>> total = cross_entropy(jnp.zeros([1, 2, 4]), labels, lengths)
      >>> round(float(total.sum), 4), int(total.count)
      (1.3863, 1)
    """
    logits, labels, weights = _check(logits, labels, mask)
    counted = weights != 0
    logits = jnp.where(counted[..., None], logits, 0).astype(weights.dtype)
    valid_labels, known = known_labels(labels, counted, num_classes=logits.shape[-1])
    at_label = jnp.take_along_axis(logits, valid_labels[..., None], axis=-1)[..., 0]
    losses = jax.nn.logsumexp(logits, axis=-1) - at_label
    losses = losses * known.astype(losses.dtype)
    return Total(jnp.where(counted, weights * losses, 0).sum(), weights.sum())


@over_rows("logits")
def accuracy(logits: jax.Array, labels: jax.Array, mask: Weights = None) -> Total:
    """How many valid steps have their highest logit at the label.

    Args:
      logits: `[..., K]`.
      labels: `[...]` integers. A label outside 0 to K - 1, such as that of a tag never seen in
        training, counts as wrong.
      mask: which steps count, as in `cross_entropy`.

    Returns:
      `Total` of correct steps over valid steps, in float32 at least.

    Raises:
      ValueError, TypeError: as `cross_entropy`.

    Example:
      >>> logits = jnp.array([[0.0, 1.0], [2.0, 1.0], [0.0, 5.0]])
      >>> float(accuracy(logits, jnp.array([1, 1, 1]), jnp.array([True, True, False])).mean)
      0.5
    """
    logits, labels, weights = _check(logits, labels, mask)
    correct = logits.argmax(axis=-1) == labels
    return Total(jnp.where(correct, weights, 0).sum(), weights.sum())


def known_labels(
    labels: jax.Array, counted: jax.Array, *, num_classes: int
) -> tuple[jax.Array, jax.Array]:
    """Labels that can be looked up, 0 where they do not count, and what marks the impossible.

    The mark is 1, and NaN where a label counts but is outside 0 to K - 1: a loss is multiplied by
    it. It is the root of -1, since a constant NaN would be reported by `jax_debug_nans` even if no
    label is outside.
    """
    outside = counted & ((labels < 0) | (labels >= num_classes))
    return jnp.where(counted & ~outside, labels, 0), jnp.sqrt(jnp.where(outside, -1.0, 1.0))


def _check(
    logits: jax.Array, labels: jax.Array, mask: Weights
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The arrays, and weights `[...]` in float32 at least: beyond 256, bfloat16 cannot count."""
    logits, labels = as_array("logits", logits), as_labels(labels)
    if logits.shape[:-1] != labels.shape:
        raise ValueError(
            f"logits must be [..., K] and labels [...], got shapes {logits.shape} and "
            f"{labels.shape}."
        )
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    return logits, labels, _mask_of(labels, mask).astype(dtype)


def _mask_of(labels: jax.Array, mask: Weights) -> jax.Array:
    """`[...]`, bool or floats."""
    if mask is None:
        return jnp.ones(labels.shape, bool)
    if isinstance(mask, Mask | Segments):
        return _mask_of_steps(labels, mask)
    mask = as_array("mask", mask)
    if jnp.issubdtype(mask.dtype, jnp.integer):
        if mask.ndim > 1:
            raise ValueError(
                f"mask holds integers of shape {mask.shape}: lengths are [B] integers, and a mask "
                "of 0 and 1 is given as mask != 0."
            )
        return _mask_of_steps(labels, mask)
    if mask.shape != labels.shape:
        raise ValueError(
            f"mask must be [...] as labels, {labels.shape}, or [B] integer lengths, got "
            f"{mask.dtype} of shape {mask.shape}."
        )
    return mask


def _mask_of_steps(labels: jax.Array, lengths: ArrayLike | Mask | Segments) -> jax.Array:
    if labels.ndim != 2:
        raise ValueError(
            "Lengths, a Mask or Segments say which steps of labels [B, T] count, but labels have "
            f"shape {labels.shape}: give a bool mask of that shape."
        )
    return named_valid_steps(labels, lengths, name="labels", lengths_name="mask")
