"""Losses and metrics as sums and counts, so that batches of any size add up exactly."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from .._core.meshes import over_rows


class Total(NamedTuple):
    """A sum over valid steps, and how many there were. Totals of batches are added leaf by leaf.

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
        return self.sum / jnp.maximum(self.count, 1)


@over_rows("logits")
def cross_entropy(logits: jax.Array, labels: jax.Array, mask: jax.Array) -> Total:
    """Softmax cross entropy of the valid steps, in nats.

    Args:
      logits: `[..., K]`.
      labels: `[...]` integers, 0 to K - 1; what stands where `mask` is False is never used.
      mask: `[...]` bool, True where valid.

    Returns:
      `Total` of nats over valid steps, in float32 at least.

    Raises:
      ValueError: if the shapes do not fit.

    Example:
      >>> labels, mask = jnp.array([[1, -1]]), jnp.array([[True, False]])
      >>> total = cross_entropy(jnp.zeros([1, 2, 4]), labels, mask)
      >>> round(float(total.sum), 4), int(total.count)
      (1.3863, 1)
    """
    _check_targets(logits, labels, mask)
    logits = jnp.where(mask[..., None], logits, 0).astype(_sum_dtype(logits))
    labels = jnp.where(mask, labels, 0)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return Total(jnp.where(mask, losses, 0).sum(), mask.sum(dtype=losses.dtype))


@over_rows("logits")
def accuracy(logits: jax.Array, labels: jax.Array, mask: jax.Array) -> Total:
    """How many valid steps have their highest logit at the label.

    Args:
      logits: `[..., K]`.
      labels: `[...]` integers; what stands where `mask` is False is never used.
      mask: `[...]` bool, True where valid.

    Returns:
      `Total` of correct steps over valid steps, in float32 at least.

    Raises:
      ValueError: if the shapes do not fit.

    Example:
      >>> logits = jnp.array([[0.0, 1.0], [2.0, 1.0], [0.0, 5.0]])
      >>> float(accuracy(logits, jnp.array([1, 1, 1]), jnp.array([True, True, False])).mean)
      0.5
    """
    _check_targets(logits, labels, mask)
    correct = (logits.argmax(axis=-1) == labels) & mask
    dtype = _sum_dtype(logits)
    return Total(correct.sum(dtype=dtype), mask.sum(dtype=dtype))


def _sum_dtype(logits: jax.Array) -> jnp.dtype:
    """Beyond 256, bfloat16 cannot count."""
    return jnp.promote_types(logits.dtype, jnp.float32)


def _check_targets(logits: jax.Array, labels: jax.Array, mask: jax.Array) -> None:
    if not logits.shape[:-1] == labels.shape == mask.shape:
        raise ValueError(
            "logits must be [..., K], labels and mask [...], got shapes "
            f"{logits.shape}, {labels.shape} and {mask.shape}."
        )
