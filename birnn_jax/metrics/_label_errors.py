"""Edits between rows of labels in arrays, for an evaluation step on the device."""

import jax
import jax.numpy as jnp

from .._core.checks import as_array
from .._core.masks import named_valid_steps
from .._core.meshes import over_rows, scan
from .._losses import Total


@over_rows("labels")
def label_errors(
    labels: jax.Array,
    label_lengths: jax.Array | None,
    predicted: jax.Array,
    predicted_lengths: jax.Array | None,
) -> Total:
    """The label error rate as a `Total`, so that the rate of all batches is the mean of their sum.

    Args:
      labels: `[B, N]` integers. What stands in padding is never used, here and in `predicted`.
      label_lengths: `[B]` integers; None means that all N are valid.
      predicted: `[B, M]` integers, for example from `birnn_jax.models.ctc_recogniser_decode`.
      predicted_lengths: `[B]` integers; None means that all M are valid.

    Returns:
      `Total` of edits (`count_edits`) over labels, in float32. A row without labels counts the
      labels that were found for it.

    Raises:
      ValueError: if the shapes do not fit.
      TypeError: if an argument is not of integers.

    Example:
      >>> from birnn_jax.metrics import label_errors
      >>> labels, predicted = jnp.array([[3, 1, 4], [1, 5, 0]]), jnp.array([[3, 4], [1, 5]])
      >>> total = label_errors(labels, jnp.array([3, 2]), predicted, None)
      >>> float(total.sum), float(total.count)
      (1.0, 5.0)
    """
    labels, predicted = as_array("labels", labels), as_array("predicted", predicted)
    for name, array in (("labels", labels), ("predicted", predicted)):
        if not jnp.issubdtype(array.dtype, jnp.integer):
            raise TypeError(f"{name} must be integers, the numbers of labels, got {array.dtype}.")
        if array.ndim != 2 or array.shape[0] != labels.shape[0]:
            raise ValueError(
                "labels must be [B, N] and predicted [B, M], got shapes "
                f"{labels.shape} and {predicted.shape}."
            )
    wanted = named_valid_steps(labels, label_lengths, name="labels")
    found = named_valid_steps(predicted, predicted_lengths, name="predicted")
    steps = jnp.arange(labels.shape[1] + 1)[None]

    def body(costs: jax.Array, step: tuple) -> tuple[jax.Array, None]:
        label, valid = step  # [B]; costs: [B, N + 1], of each beginning of the labels
        row = costs + 1  # the label that was found is too many
        near = costs[:, :-1] + (labels != label[:, None]).astype(costs.dtype)
        row = row.at[:, 1:].min(near)
        # And labels are missing: a cost of one more for each step to the right.
        row = jax.lax.cummin(row - steps, axis=1) + steps
        return jnp.where(valid[:, None], row, costs), None

    first = jnp.broadcast_to(steps, (labels.shape[0], steps.shape[1]))
    costs, _ = scan(body, first, (predicted.T, found.T))
    counts = wanted.sum(axis=1)
    edits = jnp.take_along_axis(costs, counts[:, None], axis=1)
    return Total(edits.sum().astype(jnp.float32), counts.sum().astype(jnp.float32))
