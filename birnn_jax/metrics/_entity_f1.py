"""F1 of entities in arrays, for an evaluation step on the device."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.checks import as_array
from .._core.masks import Lengths, Mask, Segments, named_valid_steps
from .._core.meshes import over_rows
from .._core.spans import OUTSIDE, continues, split_tag
from .._losses import Total


@over_rows("labels")
def entity_f1(
    tags: Sequence[str], labels: jax.Array, predicted: jax.Array, lengths: Lengths = None
) -> Total:
    """F1 of entities as a `Total`, so that the F1 of all batches is the mean of their sum.

        F1 = 2 correct / (predicted + gold)

    Args:
      tags: the tag of each label, such as ("O", "B-PER", "I-PER").
      labels: `[B, T]` integers.
      predicted: `[B, T]` integers, for example from `birnn_jax.models.crf_tagger_decode`. A label
        that is not in `tags`, here or in `labels`, counts as outside.
      lengths: `[B]` integers; None means that all T steps are valid.

    Returns:
      `Total` of 2 correct over predicted + gold, in float32; entities as in `score_entities`.

    Raises:
      ValueError: if the shapes do not fit, or for a `Mask` or `Segments`.
      TypeError: if lengths or labels are not integers.

    Example:
      >>> from birnn_jax.metrics import entity_f1
      >>> tags = ("O", "B-PER", "I-PER")
      >>> labels, predicted = jnp.array([[1, 2, 0, 1]]), jnp.array([[1, 2, 0, 0]])
      >>> round(float(entity_f1(tags, labels, predicted).mean), 3)  # one of two, and no other
      0.667
    """
    if isinstance(lengths, Mask | Segments):
        raise ValueError("entity_f1 takes lengths [B]: entities stand side by side in a row.")
    labels, predicted = as_array("labels", labels), as_array("predicted", predicted)
    for name, array in (("labels", labels), ("predicted", predicted)):
        if not jnp.issubdtype(array.dtype, jnp.integer):
            raise TypeError(f"{name} must be integers, the numbers of tags, got {array.dtype}.")
        if array.ndim != 2 or array.shape != labels.shape:
            raise ValueError(
                f"labels and predicted must be [B, T], got shapes {labels.shape} and "
                f"{predicted.shape}."
            )
    valid = named_valid_steps(labels, lengths, name="labels")
    gold, found = (_find_spans(tuple(tags), rows, valid) for rows in (labels, predicted))
    same = (gold.label == found.label) & (gold.end == found.end)
    correct = (gold.starts & found.starts & same).sum()
    count = gold.starts.sum() + found.starts.sum()
    return Total(2.0 * correct.astype(jnp.float32), count.astype(jnp.float32))


class _Spans(NamedTuple):
    starts: jax.Array  # [B, T] bool, whether a span starts here
    end: jax.Array  # [B, T], last step of the span that starts here
    label: jax.Array  # [B, T]


def _find_spans(tags: tuple[str, ...], labels: jax.Array, valid: jax.Array) -> _Spans:
    """`spans_of_tags` in arrays."""
    named = [*tags, OUTSIDE]  # the last stands for what is no tag
    joined = jnp.array([[continues(before, tag) for tag in named] for before in named])
    names = [split_tag(tag)[1] for tag in named]
    label = jnp.array([names.index(name) for name in names])
    outside = jnp.array([tag == OUTSIDE for tag in named])
    known = valid & (labels >= 0) & (labels < len(tags))
    labels = jnp.where(known, labels, len(tags))
    bordered = jnp.pad(labels, ((0, 0), (1, 1)), constant_values=len(tags))
    goes_on = joined[bordered[:, :-1], bordered[:, 1:]]  # [B, T + 1], from the step before
    inside = ~outside[labels]
    steps = jnp.arange(labels.shape[1])[None]
    ends = jnp.where(inside & ~goes_on[:, 1:], steps, labels.shape[1])
    end = jax.lax.cummin(ends, axis=1, reverse=True)
    return _Spans(inside & ~goes_on[:, :-1], end, label[labels])
